"""A fitted GLUE model: embed, project, transfer labels and predict across modalities, link peaks to genes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from isthmus._errors import InputError
from isthmus.data import Categories, Study, from_anndata
from isthmus.data.door import check_choice, check_number
from isthmus.data.modalities import objects_of
from isthmus.data.study import layer_or_usual, relative_counts
from isthmus.genomics import GuidanceGraph, link_table
from isthmus.genomics.links import N_NULL
from isthmus.metrics import integration_consistency
from isthmus.models.glue import GLUE
from isthmus.tl._classifier import Classifying
from isthmus.tl._glue_fit import embed_cells, make_network
from isthmus.tl._impute import collect, column_positions
from isthmus.tl._inference import CELLS_AT_ONCE
from isthmus.tl._sides import Side
from isthmus.tl._store import Manifest, below, weights_of, with_weights


class Glue(Classifying):
    """What :func:`isthmus.tl.glue` returns.

    Attributes
    ----------
    network
        The trained :class:`isthmus.models.GLUE`, on the CPU, in evaluation mode.
    sides
        The fitted transforms of each modality, by name.
    graph
        The part of the guidance graph that was trained, forward edges; its nodes are the features in order.
    labels
        Cell types; None where none were given.
    cells, latent, modality
        Names, embedding and modality (names) of all reference cells, one modality after the other.
    weight
        (cells,) how much each cell counted in the alignment.
    decoyed
        The graph with its decoys, and (its edges,) bool, which are decoys; None where no model has seen them.
    link_embeddings
        (models, features, dimensions) that links are scored by, see ``link_models``; None where ``n_models=0``.
    """

    system: ClassVar[str] = "glue"
    title = "GLUE"

    def __init__(
        self, *, manifest: Manifest, network: GLUE, sides: dict[str, Side], graph: GuidanceGraph,
        labels: Categories | None, cells: pd.Index, latent: np.ndarray, modality: np.ndarray, weight: np.ndarray,
        history: pd.DataFrame, decoyed: tuple[GuidanceGraph, np.ndarray] | None, link_embeddings: np.ndarray | None,
    ) -> None:  # fmt: skip
        self.manifest, self.network, self.sides, self.graph, self.labels = manifest, network, sides, graph, labels
        self.cells, self.latent, self.modality, self.weight = cells, latent, modality, weight
        self.history, self.coverage = history, None
        self.decoyed, self.link_embeddings = decoyed, link_embeddings

    @property
    def modalities(self) -> list[str]:
        """Names of the modalities, the one that edges start from first."""
        return list(self.sides)

    @property
    def features(self) -> pd.Index:
        """Features of all modalities, the nodes of the graph."""
        return self.graph.features

    @property
    def feature_embedding(self) -> np.ndarray:
        """(features, latent) float32, the mean of ``q(V | G)``."""
        with torch.inference_mode():
            return torch.cat(list(self.network.embed_features().values())).numpy()

    def cells_of(self, modality: str) -> pd.Index:
        """Names of the reference cells of a modality."""
        return self.cells[self.modality == self._known(modality)]

    def latent_of(self, modality: str) -> np.ndarray:
        """(cells, latent) float32 embedding of the reference cells of a modality."""
        return self.latent[self.modality == self._known(modality)]

    def _known(self, modality: str) -> str:
        check_choice(modality, self.modalities, "modality")
        return modality

    def embed(self, adata: AnnData, modality: str, **settings: Any) -> np.ndarray:
        """Embedding of cells that have every feature of the reference; arguments as in :meth:`project`.

        Returns
        -------
        numpy.ndarray
            (cells, latent) float32; nothing is written.
        """
        study = self._study(adata, self._known(modality), **settings)
        representation, _ = self.sides[modality].represent(study, min_coverage=1.0)
        return embed_cells(self.network, modality, representation)

    def project(
        self, query: AnnData, modality: str, *, layer: str | None = None, values: str | None = None,
        min_coverage: float = 0.2, key_added: str | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Bring new cells of one modality into the embedding, without training.

        The encoders know no batches, so that cells of any batch can be projected.

        Parameters
        ----------
        query
            Cells; features in any order, additional ones are left aside, missing ones count as unknown. Gets
            ``obsm["X_<key_added>"]`` and ``uns["<key_added>"]``.
        modality
            Which of the model's modalities it is.
        layer
            Layer with the values; None = the one of the fit where the query has it, else ``X``.
        values
            What the values are; None = as in the fit. Models of counts take ``"lognorm"``, too, of cells that were
            brought to one depth before features were chosen.
        min_coverage
            Least share of the reduction's features that the query must have.
        key_added
            Stem of the keys written; None = as in the fit.

        Returns
        -------
        numpy.ndarray
            (cells, latent) float32.

        Raises
        ------
        InputError
            If the modality is unknown, the coverage too low or the values cannot be used; nothing was written then.
        """
        check_number(min_coverage, "min_coverage", 0.0, 1.0)
        study = self._study(query, self._known(modality), layer=layer, values=values)
        representation, self.coverage = self.sides[modality].represent(study, min_coverage)
        z = embed_cells(self.network, modality, representation)
        key = key_added or self.settings["key_added"]
        projection = {**self.coverage.as_dict(), "modality": modality}
        self.write_embedding(query, z, key, modality=modality, projection=projection)
        return z

    def _study(
        self, adata: AnnData, modality: str, layer: str | None = None, values: str | None = None
    ) -> Study:  # fmt: skip
        layer = layer_or_usual(adata, layer, (self.settings["layer"] or {}).get(modality))
        usual = self.sides[modality].values
        study = from_anndata(adata, layer=layer, values=values or usual)
        if usual == "counts":
            study = relative_counts(study)
        if study.values != usual:
            raise InputError(
                f"values='{usual}' of '{modality}', as in the fit",
                f"values='{study.values}'" + (" of cells of several depths" if usual == "counts" else ""),
                "give values of the same kind",
            )
        return study

    def transfer_labels(
        self, query: AnnData, labels: pd.Series | Sequence, *, source: str, modality: str, k: int = 15,
        unknown_below: float = 0.5, key_added: str | None = None, **settings: Any,
    ) -> pd.DataFrame:  # fmt: skip
        """Label cells of one modality by their nearest reference cells of another.

        Parameters
        ----------
        query
            Cells to label; projected first, unless this model's embedding of them is there. Gets
            ``obs["<key_added>_label"]`` and ``obs["<key_added>_confidence"]``.
        labels
            Labels of the reference cells of ``source``: in their order, or a Series named by cell.
        source
            Modality whose reference cells vote.
        modality
            Modality of the query.
        k, unknown_below, key_added, **settings
            As for the other systems, see :meth:`isthmus.tl.FittedModel.transfer_labels`; settings go to
            :meth:`project`.

        Returns
        -------
        pandas.DataFrame
            ``label`` and ``confidence`` of each query cell.
        """
        voters = (self.cells_of(source), self.latent_of(source))
        named = labels.index if isinstance(labels, pd.Series) else voters[0]
        if not named.isin(voters[0]).any() and named.isin(self.cells).any():
            raise InputError(
                f"labels of the cells of '{source}'",
                f"those of other cells, such as '{named[0]}'",
                "name their modality",
            )
        return self._vote(query, labels, voters, k, unknown_below, key_added, {"modality": modality, **settings})

    def _usual_settings(self, record: dict[str, Any]) -> dict[str, Any]:
        return {"modality": record.get("modality")}

    def predict(
        self, adata: AnnData, source: str, target: str, *, features: Sequence[str] | None = None,
        batch: str | Sequence[str] | None = None, library: float | None = None, least: float = 0.0,
        file: str | Path | None = None, key_added: str | None = None, **settings: Any,
    ) -> AnnData:  # fmt: skip
        """What cells of one modality would show in another, as the decoder of that one expects it.

        Parameters
        ----------
        adata
            Cells of ``source``; projected first, unless this model's embedding of them is there.
        source, target
            Modality of the cells; modality to predict.
        features
            Features of the target to predict; None = all that the model explains.
        batch
            Batch of the target (or several) to imitate; None or ``"average"`` = the mean over all of them.
        library
            Counts that a predicted cell has over the model's features; None = the median of the target's reference.
        least
            Values below it are left out, and the result is sparse; 0 = dense.
        file
            ``.h5ad`` file to write block by block; the result is returned opened in backed mode.
        key_added
            Where the embedding of the cells is looked for first; None = as in the fit.
        **settings
            Passed to :meth:`project`.

        Returns
        -------
        anndata.AnnData
            (cells, features) expected values, in the unit of the target's values (counts where these are counts).
        """
        side = self.sides[self._known(target)]
        columns = column_positions(side.features, features)
        domains = side.batches.imitated(batch)
        check_number(least, "least", 0.0)
        library = self.manifest.facts["library"][target] if library is None else library
        check_number(library, "library", 0.0)
        z, _ = self._embedding_of(adata, key_added, {"modality": self._known(source), **settings})
        blocks = (block[:, columns] for block in self._decode(z, target, domains, library))
        return collect(blocks, adata, side.features[columns], least, file)

    def _decode(self, z: np.ndarray, target: str, domains: list[int], library: float) -> Iterator[np.ndarray]:
        with torch.inference_mode():
            v = self.network.embed_features()[target]
            for start in range(0, len(z), CELLS_AT_ONCE):
                u = torch.from_numpy(np.ascontiguousarray(z[start : start + CELLS_AT_ONCE]))
                counts = torch.full((len(u), 1), float(library))
                total = sum(
                    self.network.decode(target, u, v, torch.full((len(u),), domain), counts) for domain in domains
                )
                yield (total / len(domains)).numpy()

    def links(
        self, fdr: float | None = None, *, null: str | None = None, alternative: str = "greater", n_null: int = N_NULL,
        seed: int = 0,
    ) -> pd.DataFrame:  # fmt: skip
        """Which peaks go with which genes, and how sure that is.

        The score is the cosine of the embeddings of peak and gene, averaged over the fit's ``n_models`` models: the
        correlation of their profiles over the aligned cells, see ``link_models`` of :func:`isthmus.tl.glue`. It is
        compared with the scores of pairs far apart that stand for edges of about the same distance. See
        :func:`isthmus.genomics.link_table`.

        Parameters
        ----------
        fdr
            Largest q value to return; None = all pairs.
        null
            As in :func:`isthmus.genomics.link_table`; None = ``"trans"`` for ``link_models`` that no edge has pulled
            (``"cells"``), ``"decoy"`` for others.
        alternative, seed
            As in :func:`isthmus.genomics.link_table`.
        n_null
            Pairs that mean nothing to compare with, about; all pairs of genes and peaks of the links of a stratum where
            that is fewer. The more, the smaller a p value can be: with hundreds of thousands of links more than the
            default may call more of them. The default takes ten seconds at most.

        Returns
        -------
        pandas.DataFrame
            ``peak``, ``gene``, ``score``, ``zscore``, ``pvalue``, ``qvalue``, ``distance`` (base pairs, from the start
            of the gene to the middle of the peak), ``n_null`` and where they lie; the best first.

        Raises
        ------
        InputError
            If the model was fitted with ``n_models=0``.
        """
        if self.link_embeddings is None:
            raise InputError(
                "a model that was fitted with n_models of at least 1",
                "one with n_models=0",
                "fit it anew with n_models=4",
            )
        if fdr is not None:
            check_number(fdr, "fdr", 0.0, 1.0)
        null = null or ("trans" if self.settings["link_models"] == "cells" else "decoy")
        graph, is_decoy = self.decoyed or (self.graph, None)
        table = link_table(
            graph, self.link_embeddings, is_decoy, null=null, n_null=n_null, alternative=alternative, seed=seed
        )
        kept = table if fdr is None else table[table["qvalue"] <= fdr]
        extreme = {"greater": -kept["score"], "less": kept["score"], "two-sided": -kept["score"].abs()}[alternative]
        return kept.iloc[np.lexsort((extreme, kept["pvalue"], kept["qvalue"]))].reset_index(drop=True)

    def consistency(
        self, data: Mapping[str, AnnData] | Any, n_metacells: Sequence[int] = (10, 20, 50, 100, 200)
    ) -> pd.DataFrame:
        """Whether features that the graph links go together in the aligned cells.

        Parameters
        ----------
        data
            The reference cells, by modality or as a MuData, in any order.
        n_metacells
            How many groups the cells are summed up in.

        Returns
        -------
        pandas.DataFrame
            ``n_metacells`` and ``consistency``; a curve that stays above 0.05 can be trusted, see
            :func:`isthmus.metrics.integration_consistency`.

        Raises
        ------
        InputError
            If reference cells or features of the model are missing.
        """
        objects = objects_of(data)
        studies = {k: self._reference_study(objects.get(k), k) for k in self.modalities}
        return integration_consistency(
            {k: self.latent_of(k) for k in studies},
            {k: self.sides[k].targets(study) for k, study in studies.items()},
            {k: self.sides[k].features for k in studies},
            self.graph, n_metacells, values={k: self.sides[k].values for k in studies}, seed=self.settings["seed"],
        )  # fmt: skip

    def _reference_study(self, adata: AnnData | None, modality: str) -> Study:
        """The cells that the model was fitted to, in the order of the fit."""
        cells = self.cells_of(modality)
        study = None if adata is None else self._study(adata, modality)
        rows = np.full(len(cells), -1) if study is None else study.cells.get_indexer(cells)
        if (rows < 0).any():
            raise InputError(
                f"the {len(cells)} cells of '{modality}' that the model was fitted to",
                f"{(rows < 0).sum()} of them missing, such as '{cells[rows < 0][0]}'",
                "give the objects that were fitted",
            )
        return study.subset(rows)

    def _state(self) -> tuple[dict[str, list[str]], dict[str, np.ndarray]]:
        labels = [] if self.labels is None else list(self.labels.names)
        names = {"modality": [str(name) for name in self.modality], "labels": labels}
        arrays = {"weight": self.weight, **weights_of(self.network)}
        graphs = {"trained": self.graph, **({"links": self.decoyed[0]} if self.decoyed is not None else {})}
        parts = [(f"side.{k}", side.state()[:2]) for k, side in self.sides.items()]
        for key, (some_names, some_arrays) in [*parts, *((f"{k}", g.state()) for k, g in graphs.items())]:
            names |= {f"{key}.{name}": value for name, value in some_names.items()}
            arrays |= {f"{key}.{name}": value for name, value in some_arrays.items()}
        if self.decoyed is not None:
            arrays["is_decoy"] = self.decoyed[1].astype(np.uint8)
        if self.link_embeddings is not None:
            arrays["link_embeddings"] = self.link_embeddings
        return names, arrays

    @classmethod
    def _from_state(cls, manifest: Manifest, names: dict[str, list[str]], arrays: dict[str, np.ndarray]) -> Glue:
        sides = {
            k: Side.from_state(k, below(f"side.{k}", names), below(f"side.{k}", arrays), facts)
            for k, facts in manifest.facts["sides"].items()
        }
        decoyed = None
        if "is_decoy" in arrays:
            links = GuidanceGraph.from_state(below("links", names), below("links", arrays))
            decoyed = links, arrays["is_decoy"].astype(bool)
        graph = GuidanceGraph.from_state(below("trained", names), below("trained", arrays))
        labels = Categories(tuple(names["labels"])) if names["labels"] else None
        network = make_network(sides, graph, labels, manifest.settings)
        return cls(
            manifest=manifest, network=with_weights(network, arrays), sides=sides, graph=graph, labels=labels,
            cells=pd.Index(names["cells"]), latent=arrays["latent"],
            modality=np.array(names["modality"], dtype=object), weight=arrays["weight"], history=pd.DataFrame(),
            decoyed=decoyed, link_embeddings=arrays.get("link_embeddings"),
        )  # fmt: skip
