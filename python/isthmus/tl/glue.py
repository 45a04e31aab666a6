"""The verb for GLUE: several modalities and a guidance graph in, embeddings and fitted model out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from anndata import AnnData

from isthmus.data import Categories, Study
from isthmus.data.door import check_choice
from isthmus.data.modalities import by_modality, from_modalities, objects_of, pair_cells
from isthmus.genomics import GuidanceGraph
from isthmus.nn.inner_product import DECODERS
from isthmus.tl._cell_types import known_labels, label_categories, label_codes
from isthmus.tl._glue import Glue
from isthmus.tl._glue_door import check_modalities, with_same_batches
from isthmus.tl._glue_fit import Cells, embed_all, make_network, prepare, run_phases, settle
from isthmus.tl._glue_links import LINK_MODELS, link_embeddings
from isthmus.tl._settings import Settings
from isthmus.tl._sides import REDUCTIONS
from isthmus.tl.fitted import new_manifest
from isthmus.train.devices import randomness
from isthmus.train.progress import make_reporter


@dataclass(frozen=True)
class GlueSettings(Settings):
    """All arguments of :func:`glue` that decide the numbers."""

    WORDS: ClassVar = {
        **Settings.WORDS, **dict.fromkeys(("paired", "balance", "match_groups", "shared_batches"), (True, False)),
        "link_models": LINK_MODELS,
    }  # fmt: skip
    BOUNDS: ClassVar = {
        **Settings.BOUNDS, "n_features": (1, math.inf), "n_components": (1, math.inf), "n_layers": (0, 10),
        "n_models": (0, 100), "link_steps": (1, math.inf), "dropout": (0.0, 0.95), "pretrain_share": (0.0, 0.95),
        "burn_in": (0.0, 1.0),
        **{f"{name}_weight": (0.0, math.inf) for name in (
            "kl", "graph", "align", "labels", "joint_cross", "real_cross", "cosine", "pretrain_align")},
    }  # fmt: skip

    batch_key: dict[str, str] | None
    labels_key: dict[str, str] | None
    layer: dict[str, str] | None
    values: dict[str, str]
    paired: bool
    likelihoods: dict[str, str]
    representations: dict[str, str]
    n_features: int
    n_components: int
    n_layers: int
    dropout: float
    kl_weight: float
    graph_weight: float
    align_weight: float
    labels_weight: float
    joint_cross_weight: float
    real_cross_weight: float
    cosine_weight: float
    data_weights: dict[str, float] | None
    pretrain_align_weight: float
    pretrain_share: float
    burn_in: float
    balance: bool
    match_groups: bool
    shared_batches: bool
    n_models: int
    link_models: str
    link_steps: int

    def check(self) -> None:
        """Also the words by modality."""
        super().check()
        for word in self.likelihoods.values():
            check_choice(word, tuple(DECODERS), "likelihood")
        for word in self.representations.values():
            check_choice(word, REDUCTIONS, "representation")


def glue(
    data: Mapping[str, AnnData] | Any, graph: GuidanceGraph, *, batch_key: str | Mapping[str, str] | None = None,
    labels_key: str | Mapping[str, str] | None = None, paired: bool = False,
    layer: str | Mapping[str, str] | None = None, values: str | Mapping[str, str] = "counts",
    likelihoods: str | Mapping[str, str] | None = None, representations: str | Mapping[str, str] | None = None,
    n_features: int = 2000, n_components: int = 100, n_latent: int = 50, n_hidden: int = 256, n_layers: int = 2,
    dropout: float = 0.2, kl_weight: float = 1.0, graph_weight: float = 0.02, align_weight: float = 0.05,
    labels_weight: float = 0.02, joint_cross_weight: float = 0.02, real_cross_weight: float = 0.02,
    cosine_weight: float = 0.02, data_weights: Mapping[str, float] | None = None,
    pretrain_align_weight: float = 0.0, pretrain_share: float = 0.35,
    burn_in: float = 0.3, balance: bool = True, match_groups: bool = True, shared_batches: bool = False,
    n_models: int = 4, link_models: str = "cells", link_steps: int = 1000, max_epochs: int | None = None,
    max_steps: int | None = None, batch_size: int = 128, learning_rate: float = 2e-3,
    schedule: str = "constant", validation_fraction: float = 0.1,
    early_stopping: bool = False, accelerator: str = "auto", devices: int | str = 1, precision: str = "32-true",
    compile: bool | str = False, seed: int = 0, key_added: str = "glue",
    progress: str | Callable[[str], Any] = "auto", checkpoint: str | None = None,
) -> Glue:  # fmt: skip
    """Align modalities that share no cells and no features, through a guidance graph (Cao and Gao 2022).

    Parameters
    ----------
    data
        The modalities: a mapping from name to AnnData, or a MuData. The one that the graph's edges start from (the
        genes) stands first. Each gets ``obsm["X_<key_added>"]``, ``varm["<key_added>"]`` (its features' embedding,
        NaN for features that were not modelled) and ``uns["<key_added>"]``; with labels also
        ``obs["<key_added>_label"]`` and ``obs["<key_added>_confidence"]``, the classifier's type of every cell and its
        probability.
    graph
        Which features have to do with each other, see :func:`isthmus.genomics.guidance_graph`.
    batch_key
        Column of ``obs`` with the batch of each cell, for all modalities or by modality; None = one batch. Batches
        have their own scales and offsets in the decoders; the encoders know no batches.
    labels_key
        Column of ``obs`` with cell types, for all modalities or by modality; any share may be missing. None = the fit
        sees no labels.
    paired
        Whether cells of the same name in two modalities are the same cell. By default names mean nothing.
    layer
        Layer with the values, for all modalities or by modality; None = ``X``.
    values
        What the values are: ``"counts"``, ``"lognorm"`` or ``"values"`` (any numbers, such as scores of methylation).
    likelihoods
        For all modalities or by modality: ``"nb"`` (the default for counts), ``"zinb"``, ``"bernoulli"`` (open or
        not), ``"normal"`` (the default for other values) or ``"ziln"``.
    representations
        What the encoder sees, for all modalities or by modality: ``"lsi"`` (the default where features are named by
        positions) or ``"pca"`` of the variable features.
    n_features
        Variable features of the first modality (and of others that are reduced by PCA). Those of the other
        modalities follow from the graph.
    n_components
        Dimensions of PCA and LSI.
    n_latent
        Dimensions of the embedding of cells and features.
    n_hidden, n_layers, dropout
        Width and number of hidden layers of encoders and discriminator, share of hidden units left out in training.
    kl_weight, graph_weight, align_weight, labels_weight
        Weights of the divergences, the graph's likelihood, the adversary and the classifier of cell types.
    joint_cross_weight, real_cross_weight, cosine_weight
        Weights of what paired cells add.
    data_weights
        Weight of each modality's likelihood, 1 on average; None = all alike.
    pretrain_align_weight
        Weight of the adversary in pre-training, where it sees the cells through noise only; with 0 it learns, and
        nothing is hidden from it.
    pretrain_share
        Share of the steps before the adversary takes part.
    burn_in
        Share of the other steps in which the noise on the adversary's input falls to nothing.
    balance
        Whether cells are weighted in the alignment, see Notes.
    match_groups
        Whether at the end the modalities are laid on each other within groups of similar cells, see Notes.
    shared_batches
        Whether batches are the same ones in all modalities; then the adversary is told them.
    n_models
        Models that the scores of links are averaged over; they share the cells' embedding. 0 = no links.
    link_models
        What they are. ``"cells"``: how much there is of each feature in each of up to 60 groups of similar cells (by
        k-means, of another start for each model); the score is the correlation of two such profiles, and the graph only
        says which pairs to score. ``"graph"``: as in the paper, graph and decoders are trained anew beside frozen
        encoders, so that the graph's edges raise the score; slower, and worse on simulated links.
    link_steps
        Steps of each model of ``"graph"``.
    max_epochs, max_steps
        Epochs of the largest modality, and steps, at the most; None = by the number of cells.
    batch_size
        Cells of each modality in a step.
    learning_rate, schedule
        Of Adam; ``"cosine"``, ``"constant"`` or ``"plateau"`` (cut to a tenth where held-out cells get no better).
    validation_fraction, early_stopping
        Share of cells to hold out, and whether to: the training stops when they get no better, and the best weights
        are put back. With ``schedule="plateau"`` this is the paper's way.
    accelerator, devices, precision, compile
        Where and how to compute, see :class:`isthmus.train.Options`.
    seed
        Of weights, noise and order.
    key_added
        Stem of the keys written.
    progress
        ``"auto"``, ``"bar"``, ``"lines"``, ``"silent"`` or a function that takes lines.
    checkpoint
        Folder to keep the state of the run in, to go on after an interruption.

    Returns
    -------
    Glue
        The fitted model.

    Raises
    ------
    InputError
        If data, graph or an argument cannot be used; nothing was written then.
    TrainingError
        If a loss stops being finite.

    Notes
    -----
    Training has two parts. In the first there is no adversary (``pretrain_align_weight``): graph and data alone bring
    the modalities into one space, up to an offset, which is then removed. Clusters are matched between modalities, and
    each cell counts as much as the other modality has of its kind, so that cells that only one modality has are not
    forced onto others. In the second part the adversary aligns what is left, at first through noise (``burn_in``).
    It leaves them near each other rather than mixed: at the end the cells of each modality are moved, by a map that is
    stored, so that in each of 20 groups of similar cells (those of one modality apart) all have one mean.

    Examples
    --------
    >>> import isthmus as im
    >>> data = im.data.simulate(n_cells=300, n_genes=200, n_peaks=600, pairing="unpaired")
    >>> graph = im.genomics.guidance_graph(data, extend=20_000)
    >>> model = im.tl.glue(data, graph, max_steps=100, progress="silent")
    >>> data["atac"].obsm["X_glue"].shape
    (300, 50)
    """
    studies = from_modalities(data, batch_key, layer=layer, values=values)
    names = list(studies)
    given = {**locals(), "values": {k: study.values for k, study in studies.items()}}
    for name in ("batch_key", "labels_key", "layer", "likelihoods", "representations"):
        given[name] = {k: v for k, v in by_modality(given[name], names, name).items() if v is not None}
        given[name] = given[name] or ({} if name in ("likelihoods", "representations") else None)
    settings = GlueSettings.take(given, {})
    make_reporter(progress)  # an unknown word is refused before the work, not after
    check_modalities(studies, graph, settings)
    studies = with_same_batches(studies) if settings.shared_batches else studies
    objects = objects_of(data)
    labels, codes = joint_labels(objects, settings.labels_key, studies)
    model = fit(studies, graph, labels, codes, settings, progress=progress, checkpoint=checkpoint)
    _write(objects, model, key_added)
    return model


def joint_labels(
    objects: Mapping[str, AnnData], labels_key: Mapping[str, str] | None, studies: Mapping[str, Study]
) -> tuple[Categories | None, dict[str, np.ndarray] | None]:
    """Cell types of all modalities together, and the (cells,) codes of each, -1 where not known."""
    if labels_key is None:
        return None, None
    columns = {k: known_labels(objects[k], key).astype(object) for k, key in labels_key.items()}
    labels = label_categories(pd.concat(columns.values()), "', '".join(dict.fromkeys(labels_key.values())))
    codes = {k: np.full(study.n_cells, -1, dtype=np.int64) for k, study in studies.items()}
    return labels, codes | {k: label_codes(labels, column) for k, column in columns.items()}


def fit(
    studies: Mapping[str, Study], graph: GuidanceGraph, labels: Categories | None,
    codes: Mapping[str, np.ndarray] | None, settings: GlueSettings, *, progress: str | Callable[[str], Any],
    checkpoint: str | None,
) -> Glue:  # fmt: skip
    """Preprocess, train, and store what inference needs."""
    pairs = pair_cells(studies) if settings.paired else None
    cells, trained = prepare(studies, graph, codes, settings)
    # now, so that a graph that has no decoys is refused before the work
    decoyed = trained.with_decoys(settings.seed) if settings.n_models and settings.link_models == "graph" else None
    sides = {k: c.side for k, c in cells.items()}
    with randomness(settings.seed):
        network = make_network(sides, trained, labels, asdict(settings))
    history, weight = run_phases(network, cells, pairs, settings, progress=progress, checkpoint=checkpoint)
    if settings.match_groups:
        settle(network, cells, settings.seed)
    latents = embed_all(network, cells)
    embeddings = link_embeddings(network, cells, latents, decoyed, settings, progress) if settings.n_models else None
    latent = np.concatenate(list(latents.values()))
    return Glue(
        manifest=new_manifest("glue", asdict(settings), _facts(cells, trained), latent), network=network, sides=sides,
        graph=trained, labels=labels, cells=pd.Index(np.concatenate([s.cells for s in studies.values()]), dtype=object),
        latent=latent, modality=np.repeat(np.array(list(studies), dtype=object), [len(z) for z in latents.values()]),
        weight=np.ones(len(latent), np.float32) if weight is None else np.concatenate(list(weight.values())),
        history=history, decoyed=decoyed, link_embeddings=embeddings,
    )  # fmt: skip


def _facts(cells: Mapping[str, Cells], graph: GuidanceGraph) -> dict[str, Any]:
    """What the manifest says beside the settings."""
    sums = {k: np.asarray(c.targets.sum(axis=1)).ravel() for k, c in cells.items()}
    return {
        "n_cells": {k: len(c.batch) for k, c in cells.items()},
        "n_features": {k: len(c.side.features) for k, c in cells.items()},
        "n_edges": graph.n_edges,
        "library": {k: float(np.median(total)) for k, total in sums.items()},
        "sides": {k: c.side.state()[2] for k, c in cells.items()},
    }


def _write(objects: Mapping[str, AnnData], model: Glue, key: str) -> None:
    """Embeddings of cells and features, and cell types where there are labels, into the objects."""
    v = pd.DataFrame(model.feature_embedding, index=model.features)
    for name, side in model.sides.items():
        adata = objects[name]
        own = v.loc[side.features]
        adata.varm[key] = own.reindex(adata.var_names).to_numpy(dtype=np.float32)
        model.write_embedding(adata, model.latent_of(name), key, modality=name)
        if model.labels is not None:
            model.predict_labels(adata, modality=name)
