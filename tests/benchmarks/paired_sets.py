"""Paired RNA + ATAC to score SAILERX and scI2CL on, and what they are compared with.

The methods under test never see the labels. ``pseudo_paired`` is no measurement of pairs: each labelled RNA cell was
given a labelled ATAC cell of the same type, so that within a type the two say nothing of each other.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import scipy.sparse as sp
from sklearn.manifold import spectral_embedding
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

import isthmus as im
from isthmus.data import Lsi, from_anndata
from isthmus.metrics._graph import fuzzy_graph, leiden
from isthmus.tl._sailerx_fit import principal_components

DATA = Path(os.environ.get("ISTHMUS_DATA", Path(__file__).parents[3] / "shared" / "data"))
RNA_CLASSES = {"CD19": "B", "CD14": "Mono", "CD34": "Prog", "CD56": "NK", "CD4": "CD4 T", "CD8": "CD8 T"}
ATAC_CLASSES = {
    "17_B": "B", "11_CD14.Mono.1": "Mono", "12_CD14.Mono.2": "Mono", "01_HSC": "Prog", "05_CMP.LMPP": "Prog",
    "06_CLP.1": "Prog", "07_GMP": "Prog", "25_NK": "NK", "20_CD4.N1": "CD4 T", "21_CD4.N2": "CD4 T",
    "22_CD4.M": "CD4 T", "19_CD8.N": "CD8 T", "23_CD8.EM": "CD8 T", "24_CD8.CM": "CD8 T",
}  # fmt: skip
RESOLUTIONS = np.linspace(0.1, 2.0, 20)
NEIGHBOURS, PRUNE = 20, 1 / 15  # of Hao et al.


def simulated(seed: int = 0, n_cells: int = 10_000, n_peaks: int = 50_000, **settings: Any) -> dict[str, ad.AnnData]:
    """12 types, of which 3 pairs differ only in ATAC; two batches, the second four times as deep.

    Counts are so few (1,000 of RNA, 800 of ATAC a cell) and types so near (0.7 of the usual strength) that neither
    modality alone tells all of them: at the simulator's own defaults LSI finds every type, and no method could show
    that it is better. These numbers were chosen by PCA and LSI alone, before any model was run on the set.
    """
    usual = {
        "n_genes": 5000, "n_types": 12, "n_batches": 2, "confounding": "depth", "rna_only_pairs": 0,
        "atac_only_pairs": 3, "rna_depth": 1000, "atac_depth": 800, "type_strength": 0.7,
    }  # fmt: skip
    return im.data.simulate(n_cells=n_cells, n_peaks=n_peaks, seed=seed, **{**usual, **settings})


def pseudo_paired(seed: int = 0) -> dict[str, ad.AnnData]:
    """Sorted PBMC (RNA) and bone marrow (ATAC, 10,000 peaks), joined by six types; see the head of this file."""
    rng = np.random.default_rng(seed)
    rna, atac = (ad.read_h5ad(DATA / f"{name}.h5ad") for name in ("pbmc_facs_rna", "bmmc_granja_atac"))
    own = np.array(
        [next(c for start, c in RNA_CLASSES.items() if str(t).startswith(start)) for t in rna.obs["cell_type"]]
    )
    other = np.array([ATAC_CLASSES.get(str(t), "") for t in atac.obs["cell_type"]])
    rows = {"rna": [], "atac": []}
    for name in dict.fromkeys(RNA_CLASSES.values()):
        one, two = np.flatnonzero(own == name), np.flatnonzero(other == name)
        size = min(len(one), len(two))
        rows["rna"].append(rng.permutation(one)[:size])
        rows["atac"].append(rng.permutation(two)[:size])
    out = {k: x[np.concatenate(rows[k])].copy() for k, x in (("rna", rna), ("atac", atac))}
    types = own[np.concatenate(rows["rna"])]
    for x in out.values():
        x.obs_names = [f"pair{i}" for i in range(len(types))]
        x.obs["cell_type"] = types
        x.obsm.clear()
    out["rna"].obs["batch"] = out["atac"].obs["batch"].to_numpy()  # which donor the ATAC cell is of
    return out


def scicar() -> dict[str, ad.AnnData]:
    """A549 cells measured twice (sci-CAR), three time points."""
    return {k: ad.read_h5ad(DATA / f"scicar_a549_{k}.h5ad") for k in ("rna", "atac")}


def rna_pca(data: dict[str, ad.AnnData], n_components: int = 50) -> np.ndarray:
    """The RNA reference embedding alone: the verb's own principal components."""
    return principal_components(from_anndata(data["rna"]), n_components, 0)


def atac_lsi(data: dict[str, ad.AnnData], n_components: int = 50) -> np.ndarray:
    """LSI alone, without its first component, which is depth."""
    x = data["atac"].X.tocsr()
    return Lsi.fit(x, n_components + 1).apply(x)[:, 1:]


def scores(z: np.ndarray, labels: Any, seed: int = 0) -> dict[str, float]:
    """Leiden scores on scanpy's graph; silhouette of the labels, 0.5 being no separation.

    The silhouette is that of the embedding, and that of a spectral embedding of its graph of shared neighbours: only
    the latter can be compared with a method that gives a graph.
    """
    labels = np.asarray(labels)
    near = NearestNeighbors(n_neighbors=NEIGHBOURS + 1).fit(z).kneighbors(z)[1][:, 1:]
    return {
        **leiden_scores(scanpy_graph(z), labels, seed), "silhouette": im.metrics.silhouette_label(z, labels),
        "silhouette (spectral)": spectral_silhouette(shared_neighbours(near, PRUNE), labels, seed),
    }  # fmt: skip


def graph_scores(graph: sp.csr_matrix, labels: Any, seed: int = 0) -> dict[str, float]:
    """The same for a graph, which has no silhouette of its own."""
    silhouette = spectral_silhouette(graph, labels, seed)
    return {**leiden_scores(graph, labels, seed), "silhouette": np.nan, "silhouette (spectral)": silhouette}


def scanpy_graph(z: np.ndarray) -> sp.csr_matrix:
    """Graph of 15 nearest neighbours, the cell itself counted, with the weights of UMAP."""
    return fuzzy_graph(im.metrics.nearest(z, 14))


def leiden_scores(graph: sp.csr_matrix, labels: Any, seed: int = 0) -> dict[str, float]:
    """NMI and ARI at the resolution of the best NMI of 20, the best ARI of any, and both with the true number.

    Where no resolution gives as many clusters as there are types, the nearest number counts; of several, the best NMI.
    """
    labels, found = np.asarray(labels), []
    for resolution in RESOLUTIONS:
        clusters = leiden(graph, resolution, seed)
        scores = normalized_mutual_info_score(labels, clusters), adjusted_rand_score(labels, clusters)
        found.append((*scores, abs(len(np.unique(clusters)) - len(np.unique(labels)))))
    nmi, ari, _ = max(found)
    k_nmi, k_ari, _ = min(found, key=lambda row: (row[2], -row[0]))
    best = max(row[1] for row in found)
    return {"nmi": nmi, "ari": ari, "best ari": best, "true number nmi": k_nmi, "true number ari": k_ari}


def spectral_silhouette(graph: sp.csr_matrix, labels: np.ndarray, seed: int, n_components: int = 20) -> float:
    """Silhouette of the labels in the leading eigenvectors of the graph's Laplacian."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a graph in several pieces is fine
        z = spectral_embedding(graph, n_components=n_components, random_state=seed, drop_first=True)
    return im.metrics.silhouette_label(z, labels)


def weighted_neighbours(
    rna: np.ndarray, atac: np.ndarray, k: int = NEIGHBOURS, candidates: int = 200
) -> tuple[sp.csr_matrix, np.ndarray]:
    """Weighted nearest neighbours of Hao et al. 2021 (doi:10.1016/j.cell.2021.04.048).

    Parameters
    ----------
    rna, atac
        (cells, components) embeddings; rows are brought to length 1.
    k, candidates
        Neighbours of the weights and of the graph; neighbours in each modality among which the graph's are sought.

    Returns
    -------
    graph, weight
        (cells, cells) symmetric CSR of shared-neighbour similarities, and (cells,) the weight of RNA.
    """
    z = [normalize(rna), normalize(atac)]
    near = [NearestNeighbors(n_neighbors=candidates + 1).fit(x).kneighbors(x)[1][:, 1:] for x in z]
    kernels = [_Kernel(x, n[:, :k]) for x, n in zip(z, near, strict=True)]
    score = []
    for i in (0, 1):
        within, across = (kernels[i].affinity(z[i][near[j][:, :k]].mean(axis=1)) for j in (i, 1 - i))
        score.append(np.clip(within / (across + 1e-4), 0, 200))
    weight = 1.0 / (1.0 + np.exp(score[1] - score[0]))
    chosen = np.empty((len(rna), k), dtype=np.int64)
    for cell in range(len(rna)):
        others = np.union1d(near[0][cell], near[1][cell])
        likeness = weight[cell] * kernels[0].pairs(cell, others) + (1 - weight[cell]) * kernels[1].pairs(cell, others)
        chosen[cell] = others[np.argsort(-likeness, kind="stable")[:k]]
    return shared_neighbours(chosen, PRUNE), weight


class _Kernel:
    """Likeness of cells in one modality: 1 up to the nearest neighbour, then an exponential of the cell's bandwidth."""

    def __init__(self, z: np.ndarray, near: np.ndarray) -> None:
        self.z, self.least = z, np.linalg.norm(z - z[near[:, 0]], axis=1)
        shared = shared_neighbours(near, prune=0.0)
        shared.setdiag(0)
        shared.eliminate_zeros()
        width = np.empty(len(z))
        for cell in range(len(z)):  # the k cells that share fewest of its neighbours, but any
            row = slice(shared.indptr[cell], shared.indptr[cell + 1])
            far = shared.indices[row][np.argsort(shared.data[row], kind="stable")[: near.shape[1]]]
            width[cell] = np.linalg.norm(z[far] - z[cell], axis=1).mean() if len(far) else self.least[cell]
        self.width = np.maximum(width - self.least, 1e-6)

    def affinity(self, predicted: np.ndarray) -> np.ndarray:
        """(cells,) likeness of each cell to what is predicted of it."""
        return np.exp(-np.maximum(np.linalg.norm(self.z - predicted, axis=1) - self.least, 0) / self.width)

    def pairs(self, cell: int, others: np.ndarray) -> np.ndarray:
        """(others,) likeness of one cell to others."""
        distance = np.linalg.norm(self.z[others] - self.z[cell], axis=1)
        return np.exp(-np.maximum(distance - self.least[cell], 0) / self.width[cell])


def shared_neighbours(near: np.ndarray, prune: float) -> sp.csr_matrix:
    """(cells, cells) Jaccard index of neighbourhoods, each cell in its own."""
    n, k = near.shape
    member = sp.csr_matrix((np.ones(n * k), near.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n)) + sp.eye(n)
    both = (member @ member.T).tocsr()
    both.data = both.data / (2 * (k + 1) - both.data)
    both.data[both.data < prune] = 0
    both.eliminate_zeros()
    return both
