"""A simulated multiome whose truth is known: types, batches, pairs, lineage, peak-gene links."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from isthmus.data._simulate_cells import Cells, Population, draw_cells, draw_tree, obs_table
from isthmus.data._simulate_counts import count_blocks, stream
from isthmus.data._simulate_genome import draw_genes, draw_links, draw_peaks
from isthmus.data._simulate_profiles import draw_feature_models
from isthmus.data._simulate_settings import Settings, check_settings, check_target
from isthmus.data._simulate_write import join_blocks, write_blocks


def simulate(
    n_cells: int = 1000,
    n_genes: int = 2000,
    n_peaks: int = 10_000,
    n_types: int = 6,
    n_batches: int = 2,
    *,
    modalities: str | Sequence[str] = ("rna", "atac"),
    confounding: str = "none",
    pairing: str = "paired",
    paired_fraction: float = 0.3,
    rna_only_pairs: int | None = None,
    atac_only_pairs: int | None = None,
    subgroups: int = 0,
    rare_types: Mapping[str, Any] | None = None,
    n_links: int | None = None,
    links_per_gene: int = 2,
    negative_links: float = 0.0,
    lineage: bool | str = False,
    type_strength: float = 1.0,
    batch_strength: float = 1.0,
    rna_depth: float | None = None,
    atac_depth: float | None = None,
    seed: int = 0,
    file: str | os.PathLike | None = None,
    chunk_size: int = 10_000,
) -> dict[str, ad.AnnData] | dict[str, Path]:
    r"""Simulate raw counts of RNA and chromatin accessibility, in memory or streamed to disk.

    Parameters
    ----------
    n_cells
        Cells **per modality**.
    n_genes, n_peaks
        Features. Peaks are 500 base pairs wide and do not overlap.
    n_types, n_batches
        Common cell types (``type1`` ...) and batches (``batch1`` ...).
    modalities
        ``("rna", "atac")`` or one; the counts of one do not depend on whether the other is asked for
        (when the cells are paired).
    confounding
        ``"depth"``: fourfold depth from the first batch to the last. ``"composition"``: the shares of the
        types differ strongly by batch, and one type is missing from one batch. ``"both"``, or ``"none"``.
    pairing
        ``"paired"``: every cell has both modalities. ``"partial"``: ``paired_fraction`` of each modality's
        cells do. ``"unpaired"``: no cell does. A cell with both has the same name in both.
    paired_fraction
        Share of shared cells under ``pairing="partial"``.
    rna_only_pairs, atac_only_pairs
        Pairs of types that differ in one modality and are the same in the other; ``type1`` and ``type2``
        first. By default one pair of each kind where there are four types or more and no lineage.
    subgroups
        Groups within the last type (``obs["subgroup"]``): RNA parts the first from the second, ATAC the
        second from the third, and so on in turn, so that each modality alone merges some of them.
    rare_types
        Extra types: name -> cells per modality, or (cells, batches), where batches are names or how many.
    n_links, links_per_gene, negative_links
        Planted peak-gene links: how many in all (default: half as many as genes), at most how many per
        gene, and which share of them is repressive.
    lineage
        ``True`` or ``"linear"``: the types are stages of one continuous path; ``"branching"``: a trunk and
        two branches. Adds ``obs["pseudotime"]`` (0 at the root, 1 at the farthest tip; NaN for rare types)
        and ``obs["branch"]``.
    type_strength, batch_strength
        Size of the differences between types and between batches; 1 is moderate, 0 none.
    rna_depth, atac_depth
        Median counts per cell; by default 3,000 :math:`\sqrt{G / 20{,}000}` and 0.04 per peak (100 at
        least).
    seed
        Same seed and settings, same numbers (for one NumPy version), in memory as on disk. Genes, peaks,
        links and the types' profiles do not depend on ``n_cells``.
    file
        A folder: write ``rna.h5ad`` and ``atac.h5ad`` there, block by block, and return their paths.
    chunk_size
        Cells per append to the files; changes memory and speed, not the numbers.

    Returns
    -------
    dict
        ``{"rna": AnnData, "atac": AnnData}`` or, with ``file``, the paths. ``X``: (cells, features) CSR
        float32 whole numbers. ``obs``: ``cell_type``, ``batch`` (categorical), ``paired`` (bool), and as
        above. ``var``: ``chrom``, ``chromStart``, ``chromEnd`` (BED, 0-based), for genes ``strand`` and
        ``tss``. ``uns["links"]``: ``peak``, ``gene``, ``distance`` (base pairs), ``effect``, ``sign``.
        ``uns["simulation"]``: the settings, ``rna_only`` and ``atac_only`` (pairs as ``"type1/type2"``),
        and ``missing`` (the type that composition took out of a batch).

    Raises
    ------
    isthmus.InputError
        For settings that do not fit each other: expected, found, remedy.

    Notes
    -----
    Cell :math:`c` has a batch :math:`b`, depths :math:`d_c` (lognormal, correlated between modalities), and
    a place :math:`s_c \in [0, 1]` between two nodes :math:`k, l` of the tree of populations (without a
    lineage :math:`k = l`, the type). Its state :math:`z_c \in R^{10}`, standard normal clipped at 2.5,
    holds activities of regulatory programmes that vary within types.

    Peak :math:`p` has log accessibility :math:`a_{kp}` in node :math:`k` and loadings :math:`w_p` (two
    programmes); gene :math:`g` has its own log expression :math:`o_{kg}`, and follows its linked peaks with
    slopes :math:`\sigma_{pg} = \mathrm{sign} \cdot \mathrm{effect} / \sqrt{n_g}`:

    .. math::

        \rho^{A}_{kp} &\propto \exp(\nu_p + a_{kp}), \qquad
        \rho^{R}_{kg} \propto \exp(\mu_g + o_{kg} + \textstyle\sum_p \sigma_{pg} a_{kp}), \\
        w_g &= \textstyle\sum_p \sigma_{pg} w_p, \qquad
        m_{cf} = d_c \, [(1 - s_c) \rho_{kf} + s_c \rho_{lf}] \,
            \exp(\beta_{bf} + 1.2 \tanh(w_f \cdot z_c / 1.2)), \\
        y_{cp} &\sim \mathrm{Poisson}(m_{cp}), \qquad
        x_{cg} \sim \mathrm{NB}(\mathrm{mean}\ m_{cg},\ \mathrm{variance}\ m + \phi_g m^2).

    Terms in :math:`k` are bounded by :math:`2.5 \tanh(\cdot / 2.5)`; :math:`\mu` is lognormal with sd 2,
    :math:`\nu` with sd 1, :math:`\phi` around 0.3; :math:`\beta` shifts half of the features and leaves the
    depth alone. Unlinked genes may have programmes of their own. Counts are drawn by thinning, so that time
    and memory follow the counts and not cells times features. Each block of 1,000 cells has its own random
    stream.

    A few features of low level may be empty in a small study, as in real data.

    Examples
    --------
    >>> import isthmus as im
    >>> study = im.data.simulate(n_cells=300, confounding="composition", seed=1)
    >>> study["rna"].shape, study["atac"].shape
    ((300, 2000), (300, 10000))
    """
    given = dict(locals())  # first of all, while the arguments are the only names
    folder, chunk_size = check_target(given.pop("file"), given.pop("chunk_size"))
    empty, blocks = _plan(check_settings(**given))
    if folder is not None:
        return write_blocks(folder, empty, blocks, chunk_size)
    for modality, counts in join_blocks(list(blocks)).items():
        empty[modality].X = counts
    return empty


def _plan(settings: Settings) -> tuple[dict[str, ad.AnnData], Iterator[dict[str, sparse.csr_matrix]]]:
    """Studies without counts, and the blocks of counts to come."""
    genome = stream(settings.seed, 0)
    genes = draw_genes(settings.n_genes, genome)
    peaks = draw_peaks(settings.n_peaks, genes, genome)
    links = draw_links(settings, genes, peaks, genome)
    nodes, populations = draw_tree(settings)
    models = draw_feature_models(settings, nodes, genes.index, peaks.index, links, stream(settings.seed, 1))
    cells = draw_cells(settings, populations, stream(settings.seed, 2))
    features = {"rna": genes, "atac": peaks}
    empty = {m: _empty_study(settings, populations, cells, m, features[m], links) for m in settings.modalities}
    return empty, count_blocks(settings.seed, populations, cells, models)


def _empty_study(
    settings: Settings,
    populations: list[Population],
    cells: Cells,
    modality: str,
    var: pd.DataFrame,
    links: pd.DataFrame,
) -> ad.AnnData:
    """Cells, features and truth of one modality, without counts."""
    names = settings.type_names
    paired = [f"{a}/{b}" for a, b in zip(names[::2], names[1::2], strict=False)]
    record = settings.plain()
    record["n_links"] = len(links)
    record["rna_only"] = np.array(paired[: settings.rna_only_pairs], dtype=object)
    record["atac_only"] = np.array(paired[settings.rna_only_pairs :][: settings.atac_only_pairs], dtype=object)
    record["missing"] = cells.missing
    return ad.AnnData(
        obs=obs_table(settings, populations, cells, modality),
        var=var.copy(),
        uns={"links": links.copy(), "simulation": record},
    )
