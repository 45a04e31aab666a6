"""A fitted scI2CL model: embed, project, transfer labels, impute either modality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from isthmus._errors import InputError
from isthmus.data import Categories, Coverage, Pipeline, Prepared, from_anndata
from isthmus.data.categories import shorten
from isthmus.data.door import check_choice, check_number
from isthmus.data.modalities import by_modality, objects_of
from isthmus.data.study import layer_or_usual
from isthmus.models.sci2cl import SCI2CL
from isthmus.tl._impute import collect, column_positions
from isthmus.tl._inference import CELLS_AT_ONCE
from isthmus.tl._labels import align_labels, nearest_labels
from isthmus.tl._paired import MODALITIES, Paired, paired_studies, write_paired
from isthmus.tl._sci2cl_fit import Input, embed_rows, make_network
from isthmus.tl._store import Manifest, below, weights_of, with_weights
from isthmus.tl.fitted import FittedModel

Data = Mapping[str, AnnData] | Any


class Sci2cl(FittedModel):
    """What :func:`isthmus.tl.sci2cl` returns.

    Attributes
    ----------
    network
        The trained :class:`isthmus.models.SCI2CL`, on the CPU, in evaluation mode.
    inputs, batches
        The fitted transforms and the reference's batches, by ``"rna"`` and ``"atac"``.
    cells, latent, measured
        Names, embedding, and what was measured of all distinct reference cells (``"both"``, ``"rna"`` or ``"atac"``).
    coverage
        By modality, of the last projection; None before.
    """

    system: ClassVar[str] = "sci2cl"
    title = "scI2CL"

    def __init__(
        self, *, manifest: Manifest, network: SCI2CL, inputs: dict[str, Input], batches: dict[str, Categories],
        cells: pd.Index, latent: np.ndarray, measured: np.ndarray, history: pd.DataFrame,
    ) -> None:  # fmt: skip
        self.manifest, self.network, self.inputs, self.batches = manifest, network, inputs, batches
        self.cells, self.latent, self.measured, self.history = cells, latent, measured, history
        self.coverage: dict[str, Coverage] | None = None

    @property
    def pipelines(self) -> dict[str, Pipeline]:
        """Depth, choice of features and scale of each modality."""
        return {m: one.pipeline for m, one in self.inputs.items()}

    def embed(self, data: Data, **settings: Any) -> np.ndarray:
        """Embedding of cells that have every feature of the model; arguments as in :meth:`project`.

        Returns
        -------
        numpy.ndarray
            (distinct cells, latent) float32; nothing is written.
        """
        paired = self._paired(data, **settings)
        return embed_rows(self.network, self._prepare(paired, 1.0), paired.rows)

    def project(
        self, query: Data, *, rna: str | None = None, atac: str | None = None,
        layer: str | Mapping[str, str | None] | None = None, min_coverage: float = 0.2, key_added: str | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Bring new cells into the embedding, without training.

        The encoders know no batches, so that cells of any batch can be projected. For cells that lack a modality, or
        if only one is given, the other's code is what the model expects beside the one that is there;
        ``obs["<key_added>_measured"]`` says which cells these are.

        Parameters
        ----------
        query
            A MuData, or a mapping from name to AnnData, with both modalities or one; features in any order, additional
            ones are left aside, missing ones count as unknown. Gets ``obsm["X_<key_added>"]`` and
            ``uns["<key_added>"]``.
        rna, atac
            What the two are called in ``query``; None = as in the fit.
        layer
            Layer with the counts; None = the one of the fit where the query has it, else ``X``.
        min_coverage
            Least share of each modality's features that the query must have.
        key_added
            Stem of the keys written; None = as in the fit.

        Returns
        -------
        numpy.ndarray
            (distinct cells, latent) float32: cells of RNA in their order, then those that only ATAC has.

        Raises
        ------
        InputError
            If no modality is there, the coverage is too low or the values cannot be used; nothing was written then.
        """
        check_number(min_coverage, "min_coverage", 0.0, 1.0)
        paired = self._paired(query, rna=rna, atac=atac, layer=layer)
        z, _ = self._project(query, paired, min_coverage, key_added or self.settings["key_added"])
        return z

    def _project(self, query: Data, paired: Paired, min_coverage: float, key: str) -> tuple[np.ndarray, Paired]:
        prepared = self._prepare(paired, min_coverage)
        self.coverage = {m: part.coverage for m, part in prepared.items()}
        z = embed_rows(self.network, prepared, paired.rows)
        facts = {m: coverage.as_dict() for m, coverage in self.coverage.items()}
        self.write(query, paired, z, key, projection=facts)
        return z, paired

    def _prepare(self, paired: Paired, min_coverage: float) -> dict[str, Prepared]:
        out = {}
        for m, study in paired.studies.items():
            try:
                out[m] = self.inputs[m].apply(study, min_coverage)
            except InputError as error:
                found = f"modality '{paired.names[m]}': {error.found}"
                raise InputError(error.expected, found, error.remedy) from error
        return out

    def _paired(
        self, data: Data, rna: str | None = None, atac: str | None = None,
        layer: str | Mapping[str, str | None] | None = None,
    ) -> Paired:  # fmt: skip
        """The query at the door: both modalities, or the one that is there."""
        objects = objects_of(data)
        names = {"rna": rna or self.settings["rna"], "atac": atac or self.settings["atac"]}
        there = {m: name for m, name in names.items() if name in objects}
        if not there:
            raise InputError(
                f"a modality {shorten(list(names.values()))}",
                shorten(list(objects)) or "none",
                "say what they are called, as in rna='my name'",
            )
        asked = by_modality(layer, list(objects), "layer")
        used = {
            n: layer_or_usual(objects[n], asked[n], (self.settings["layer"] or {}).get(m)) for m, n in there.items()
        }
        if len(there) == 2:
            return paired_studies({n: objects[n] for n in there.values()}, **names, layer=used)
        ((m, name),) = there.items()
        study = from_anndata(objects[name], layer=used[name])
        rows = np.full((study.n_cells, 2), -1, dtype=np.int64)
        rows[:, MODALITIES.index(m)] = np.arange(study.n_cells)
        return Paired({m: study}, rows, study.cells, there)

    def write(self, data: Data, paired: Paired, z: np.ndarray, key: str, **facts: Any) -> None:
        """Put the embedding of distinct cells, and what was measured of each, into the objects."""
        write_paired(self, data, paired, z, key, **facts)
        measured = measured_of(paired.rows)
        for m, name in paired.names.items():
            objects_of(data)[name].obs[f"{key}_measured"] = pd.Categorical(paired.of(m, measured))

    def transfer_labels(
        self, query: Data, labels: pd.Series | Sequence, *, k: int = 15, unknown_below: float = 0.5,
        key_added: str | None = None, min_coverage: float = 0.2, **settings: Any,
    ) -> pd.DataFrame:  # fmt: skip
        """Label query cells by their nearest reference cells.

        Parameters
        ----------
        query
            Cells to label, as in :meth:`project`, which is done first. Gets ``obs["<key_added>_label"]`` and
            ``obs["<key_added>_confidence"]``.
        labels
            Labels of the reference cells: in their order (``cells``), or a Series named by cell.
        k, unknown_below
            As for the other systems, see :meth:`isthmus.tl.FittedModel.transfer_labels`.
        key_added, min_coverage, **settings
            As in :meth:`project`.

        Returns
        -------
        pandas.DataFrame
            ``label`` and ``confidence`` of each distinct query cell.
        """
        check_number(k, "k", 1, whole=True)
        check_number(unknown_below, "unknown_below", 0.0, 1.0)
        check_number(min_coverage, "min_coverage", 0.0, 1.0)
        known = align_labels(labels, self.cells)
        has, key = known.notna().to_numpy(), key_added or self.settings["key_added"]
        z, paired = self._project(query, self._paired(query, **settings), min_coverage, key)
        label, sure = nearest_labels(self.latent[has], known[has].to_numpy(), z, k, unknown_below)
        for m, name in paired.names.items():
            obs = objects_of(query)[name].obs
            obs[f"{key}_label"] = pd.Categorical(paired.of(m, label))
            obs[f"{key}_confidence"] = paired.of(m, sure)
        return pd.DataFrame({"label": label, "confidence": sure}, index=paired.cells)

    def impute(
        self, data: Data, modality: str, *, features: Sequence[str] | None = None,
        batch: str | Sequence[str] | None = None, least: float = 0.0, file: str | Path | None = None,
        min_coverage: float = 0.2, **settings: Any,
    ) -> AnnData:  # fmt: skip
        """One modality as the decoder expects it from the embedding, measured or not.

        Parameters
        ----------
        data
            Cells as in :meth:`project`; nothing is written into them.
        modality
            ``"rna"`` or ``"atac"``: what to impute.
        features
            Names of the model's features to impute; None = all of them.
        batch
            Name (or names) of the reference's batches to imitate; None or ``"average"`` = the mean over all of them.
        least
            Values below it are left out, and the result is sparse; 0 = dense.
        file
            ``.h5ad`` file to write block by block; the result is returned opened in backed mode.
        min_coverage
            Least share of the model's features that each modality of ``data`` must have.
        **settings
            ``rna``, ``atac`` and ``layer`` of :meth:`project`.

        Returns
        -------
        anndata.AnnData
            (distinct cells, features): log-normalised values, the unit of the model's input before scaling.

        Raises
        ------
        InputError
            If a modality, feature or batch is unknown, the coverage too low, or the result would not fit into memory.
        """
        check_number(min_coverage, "min_coverage", 0.0, 1.0)
        check_choice(modality, MODALITIES, "modality")
        check_number(least, "least", 0.0)
        pipeline, domains = self.pipelines[modality], self.batches[modality].imitated(batch)
        columns = column_positions(pipeline.features, features)
        paired = self._paired(data, **settings)
        z = embed_rows(self.network, self._prepare(paired, min_coverage), paired.rows)
        blocks = (block[:, columns] for block in self._decode(modality, z, domains))
        cells = AnnData(obs=pd.DataFrame(index=pd.Index(paired.cells, dtype=object)))
        return collect(blocks, cells, pipeline.features[columns], least, file)

    def _decode(self, modality: str, z: np.ndarray, domains: list[int]) -> Iterator[np.ndarray]:
        """Expected log-normalised values averaged over batches, in blocks of (cells, model features) float32."""
        pipeline = self.pipelines[modality]
        depth = pipeline.depth.target * pipeline.depth.share[pipeline.universe.get_indexer(pipeline.features)].sum()
        with torch.inference_mode():
            for begin in range(0, len(z), CELLS_AT_ONCE):
                part = torch.from_numpy(z[begin : begin + CELLS_AT_ONCE])
                total = sum(
                    torch.log1p(depth * self.network.decode(modality, part, torch.full((len(part),), domain)))
                    for domain in domains
                )
                yield (total / len(domains)).numpy()

    def _state(self) -> tuple[dict[str, list[str]], dict[str, np.ndarray]]:
        arrays = weights_of(self.network)
        names = {"measured": list(self.measured)}
        for m, one in self.inputs.items():
            plain, own = one.pipeline.state()
            own = own if one.idf is None else {**own, "idf": one.idf}
            names |= {f"{m}.{key}": plain[key] for key in ("universe", "features")}
            names[f"{m}.batches"] = list(self.batches[m].names)
            arrays |= {f"{m}.{key}": array for key, array in own.items()}
        return names, arrays

    @classmethod
    def _from_state(cls, manifest: Manifest, names: dict[str, list[str]], arrays: dict[str, np.ndarray]) -> Sci2cl:
        inputs = {}
        for m in MODALITIES:
            own = {key: names[f"{m}.{key}"] for key in ("universe", "features")}
            plain = {"profile": m, "scaling": "global", "target": manifest.facts["target"][m], **own}
            inputs[m] = Input(Pipeline.from_state(plain, below(m, arrays)), arrays.get(f"{m}.idf"))
        batches = {m: Categories(tuple(names[f"{m}.batches"])) for m in MODALITIES}
        sizes = [
            {m: len(table[m]) for m in MODALITIES}
            for table in ({m: p.pipeline.features for m, p in inputs.items()}, batches)
        ]
        network = make_network(*sizes, manifest.facts["batch_counts"], manifest.settings)
        return cls(
            manifest=manifest, network=with_weights(network, arrays), inputs=inputs, batches=batches,
            cells=pd.Index(names["cells"]), latent=arrays["latent"],
            measured=np.array(names["measured"], dtype=object), history=pd.DataFrame(),
        )  # fmt: skip

    def __repr__(self) -> str:
        lacking = int((self.measured != "both").sum())
        cells = f"{len(self.cells)} cells" + (f", {lacking} of them with one modality" if lacking else "")
        sizes = " and ".join(f"{len(p.features)} features of {m}" for m, p in self.pipelines.items())
        return f"Sci2cl({cells}, {sizes}, {self.latent.shape[1]} latent dimensions)"


def measured_of(rows: np.ndarray) -> np.ndarray:
    """(distinct cells,) ``"both"``, ``"rna"`` or ``"atac"``."""
    words = np.array(["", "rna", "atac", "both"], dtype=object)
    return words[(rows >= 0) @ np.array([1, 2])]
