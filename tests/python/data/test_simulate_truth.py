"""Planted truth of the simulator: coordinates, links, lineages."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
from scipy import stats
from sklearn.utils.extmath import randomized_svd

from isthmus.data._simulate_genome import CHROMOSOMES, LENGTHS, LINK_WINDOW, near_pairs
from isthmus.data.simulate import simulate

SMALL = {"n_genes": 300, "n_peaks": 1500}


def log_depth_normalised(study: ad.AnnData) -> np.ndarray:
    """Dense (cells, features)."""
    counts = study.X.toarray()
    depth = counts.sum(axis=1, keepdims=True)
    return np.log1p(counts * np.median(depth) / depth)


# ---------------------------------------------------------------- genome and links


def test_coordinates_are_in_order(multiome) -> None:
    length = dict(zip(CHROMOSOMES, LENGTHS, strict=True))
    for study in multiome.values():
        var = study.var
        assert var.index.is_unique
        assert (var["chromStart"] >= 0).all()
        assert (var["chromEnd"] <= var["chrom"].astype(str).map(length)).all()
    peaks, genes = multiome["atac"].var, multiome["rna"].var
    assert (peaks["chromEnd"] - peaks["chromStart"] == 500).all()
    for _, of_chrom in peaks.groupby("chrom", observed=True):
        assert (of_chrom["chromStart"].to_numpy()[1:] >= of_chrom["chromEnd"].to_numpy()[:-1]).all()
    names = [f"{p.chrom}:{p.chromStart}-{p.chromEnd}" for p in peaks.itertuples()]
    assert list(peaks.index) == names
    forward = (genes["strand"] == "+").to_numpy()
    assert 0.4 < forward.mean() < 0.6
    expected = np.where(forward, genes["chromStart"], genes["chromEnd"] - 1)
    np.testing.assert_array_equal(genes["tss"], expected)


def brute_force_pairs(peaks: pd.DataFrame, genes: pd.DataFrame) -> set[tuple[int, int, int]]:
    """Every peak against every gene."""
    middle = (peaks["chromStart"] + peaks["chromEnd"]).to_numpy() // 2
    distance = np.abs(middle[:, None] - genes["tss"].to_numpy())
    same = peaks["chrom"].astype(str).to_numpy()[:, None] == genes["chrom"].astype(str).to_numpy()
    return {(p, g, int(distance[p, g])) for p, g in zip(*np.nonzero(same & (distance <= LINK_WINDOW)), strict=True)}


def test_near_pairs_equal_brute_force(multiome) -> None:
    peaks, genes = multiome["atac"].var.iloc[::3], multiome["rna"].var
    found = list(zip(*near_pairs(peaks, genes), strict=True))
    assert len(found) == len(set(found))
    assert set(found) == brute_force_pairs(peaks, genes)


def test_links_are_near_and_thin_out_with_distance(multiome) -> None:
    links = multiome["rna"].uns["links"]
    peaks, genes = multiome["atac"].var.loc[links["peak"]], multiome["rna"].var.loc[links["gene"]]
    assert (peaks["chrom"].to_numpy() == genes["chrom"].to_numpy()).all()
    middle = (peaks["chromStart"] + peaks["chromEnd"]).to_numpy() // 2
    np.testing.assert_array_equal(links["distance"], np.abs(middle - genes["tss"].to_numpy()))
    assert links["distance"].max() <= LINK_WINDOW
    assert not links.duplicated(["peak", "gene"]).any()
    assert links["gene"].value_counts().max() <= 2
    assert 0.2 < (links["sign"] == -1).mean() < 0.4
    everyone = near_pairs(multiome["atac"].var, multiome["rna"].var)[2]
    assert np.median(links["distance"]) < 0.6 * np.median(everyone)
    assert len(simulate(n_cells=20, n_links=37, links_per_gene=1, **SMALL)["rna"].uns["links"]) == 37


def matched_pairs(links: pd.DataFrame, rna: ad.AnnData, atac: ad.AnnData) -> tuple[np.ndarray, np.ndarray]:
    """For each link the unlinked pair (peak, gene) that is nearest in distance."""
    peak, gene, distance = near_pairs(atac.var, rna.var)
    linked = set(zip(atac.var_names.get_indexer(links["peak"]), rna.var_names.get_indexer(links["gene"]), strict=True))
    free = np.array([pair not in linked for pair in zip(peak, gene, strict=True)])
    order = np.argsort(distance[free], kind="stable")
    at = np.searchsorted(distance[free][order], links["distance"]).clip(max=order.size - 1)
    return peak[free][order[at]], gene[free][order[at]]


def test_linked_pairs_correlate_beyond_distance_matched_ones(multiome) -> None:
    """With the planted sign, over all cells and within types alone."""
    rna, atac = multiome["rna"], multiome["atac"]
    links = rna.uns["links"]
    expression, access = log_depth_normalised(rna), log_depth_normalised(atac)
    planted = atac.var_names.get_indexer(links["peak"]), rna.var_names.get_indexer(links["gene"])
    control = matched_pairs(links, rna, atac)
    types = rna.obs["cell_type"].cat.codes.to_numpy()
    for within_types in (False, True):
        both = []
        for values in (access, expression):
            centre = np.stack([values[types == t].mean(axis=0) for t in range(6)])[types] if within_types else 0
            rest = values - centre
            both.append((rest - rest.mean(axis=0)) / (rest.std(axis=0) + 1e-9))
        linked, unlinked = (
            links["sign"].to_numpy() * (both[0][:, p] * both[1][:, g]).mean(axis=0) for p, g in (planted, control)
        )
        test = stats.mannwhitneyu(linked, unlinked, alternative="greater")
        assert test.pvalue < 1e-4
        assert linked.mean() > 3 * abs(unlinked.mean())


# ---------------------------------------------------------------- lineage


def held_out_r2(study: ad.AnnData, target: np.ndarray) -> float:
    """R squared of a ridge regression of the target on 20 principal components, even cells to odd cells."""
    values = log_depth_normalised(study)
    u, s, _ = randomized_svd(values - values.mean(axis=0), 20, random_state=0)
    components = np.column_stack([np.ones(len(u)), u * s, (u * s)[:, :4] ** 2])
    weights = np.linalg.lstsq(components[::2], target[::2], rcond=None)[0]
    error = target[1::2] - components[1::2] @ weights
    return 1 - error.var() / target[1::2].var()


def test_lineage_is_continuous_and_seen_by_both_modalities() -> None:
    study = simulate(n_cells=600, n_types=4, lineage=True, n_batches=1, n_genes=500, n_peaks=3000)
    obs = study["rna"].obs
    stage = obs["cell_type"].cat.codes.to_numpy()
    np.testing.assert_array_equal(np.floor(obs["pseudotime"].clip(upper=1 - 1e-9) * 4).astype(int), stage)
    assert set(obs["branch"]) == {"trunk"}
    for modality in study.values():
        assert held_out_r2(modality, obs["pseudotime"].to_numpy()) > 0.7


def test_branches_share_the_trunk_and_part_after_it(separability) -> None:
    study = simulate(n_cells=900, n_types=6, lineage="branching", n_batches=1, rare_types={"rare": 9}, **SMALL)
    obs = study["rna"].obs
    assert list(obs["branch"].cat.categories) == ["trunk", "branch1", "branch2", "none"]
    assert obs["pseudotime"].isna().sum() == (obs["branch"] == "none").sum() == 9
    top = obs.groupby("branch", observed=True)["pseudotime"].agg(["min", "max"])
    assert top.loc["trunk", "max"] <= top.loc[["branch1", "branch2"], "min"].min()
    late = (obs["pseudotime"] > 0.8).to_numpy() & obs["branch"].isin(["branch1", "branch2"]).to_numpy()
    assert separability(study["rna"], obs["branch"], late) > 0.95
