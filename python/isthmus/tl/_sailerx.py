"""A fitted SAILERX model: embed, project, impute accessibility, gene activity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from anndata import AnnData

from isthmus._errors import InputError
from isthmus.data import Categories, Coverage, Study, from_anndata
from isthmus.data.door import check_number
from isthmus.data.study import layer_or_usual
from isthmus.genomics import GuidanceGraph
from isthmus.models.sailerx import SAILERX
from isthmus.tl._impute import collect, column_positions
from isthmus.tl._sailerx_fit import Peaks, encode_all, make_network
from isthmus.tl._store import Manifest, weights_of, with_weights
from isthmus.tl.fitted import FittedModel

DECODED_AT_ONCE = 256  # cells; with 130,000 peaks a block is 130 MB


class Sailerx(FittedModel):
    """What :func:`isthmus.tl.sailerx` returns.

    Attributes
    ----------
    network
        The trained :class:`isthmus.models.SAILERX`, on the CPU, in evaluation mode.
    peaks
        The peaks of the reference by chromosome.
    batches
        The reference's batches.
    paired
        (cells,) bool, which reference cells have RNA.
    coverage
        Of the last projection; None before.
    """

    system: ClassVar[str] = "sailerx"
    title = "SAILERX"

    def __init__(
        self, *, manifest: Manifest, network: SAILERX, peaks: Peaks, batches: Categories, paired: np.ndarray,
        cells: pd.Index, latent: np.ndarray, history: pd.DataFrame,
    ) -> None:  # fmt: skip
        self.manifest, self.network, self.peaks, self.batches = manifest, network, peaks, batches
        self.paired, self.cells, self.latent, self.history = paired, cells, latent, history
        self.coverage: Coverage | None = None

    def embed(self, adata: AnnData, *, layer: str | None = None) -> np.ndarray:
        """Embedding of cells with every peak of the reference; nothing is written.

        Parameters
        ----------
        adata
            Cells by peaks with counts.
        layer
            As in :meth:`project`.

        Returns
        -------
        numpy.ndarray
            (cells, latent) float32.
        """
        x, _, _ = self.peaks.open(self._study(adata, layer), min_coverage=1.0)
        return encode_all(self.network, x)

    def project(
        self, query: AnnData, *, layer: str | None = None, min_coverage: float = 0.2, key_added: str | None = None
    ) -> np.ndarray:
        """Bring new cells with ATAC into the embedding, without training; RNA is not needed.

        The encoder sees neither batch nor RNA, so that cells of any batch can be projected.

        Parameters
        ----------
        query
            Cells by peaks with counts; peaks in any order, additional ones are left aside, missing ones count as
            unknown (open as often as in the reference), not as closed. Gets ``obsm["X_<key_added>"]`` and
            ``uns["<key_added>"]``.
        layer
            Layer with the counts; None = the one of the fit where the query has it, else ``X``.
        min_coverage
            Least share of the model's peaks that the query must have.
        key_added
            Stem of the keys written; None = as in the fit.

        Returns
        -------
        numpy.ndarray
            (cells, latent) float32.

        Raises
        ------
        InputError
            If the coverage is too low or the values cannot be used; nothing was written then.
        """
        check_number(min_coverage, "min_coverage", 0.0, 1.0)
        x, fill, self.coverage = self.peaks.open(self._study(query, layer), min_coverage)
        z = encode_all(self.network, x, fill)
        key = key_added or self.settings["key_added"]
        self.write_embedding(query, z, key, projection=self.coverage.as_dict())
        return z

    def _study(self, adata: AnnData, layer: str | None) -> Study:
        return from_anndata(adata, layer=layer_or_usual(adata, layer, self.settings["layer"]))

    def impute(
        self, adata: AnnData, *, features: Sequence[str] | None = None, batch: str | Sequence[str] | None = None,
        depth: float | None = None, least: float = 0.0, top: int | None = None, file: str | Path | None = None,
        key_added: str | None = None, **settings: Any,
    ) -> AnnData:  # fmt: skip
        """Chance of each peak to be open, at one depth and in one batch for all cells.

        Parameters
        ----------
        adata
            Reference or query cells; projected first, unless this model's embedding of them is there.
        features
            Names of the model's peaks to impute; None = all of them.
        batch
            Name (or names) of the reference's batches to imitate; None or ``"average"`` = the mean over all of them.
        depth
            Open peaks of the cell to imitate: the chances over all of the model's peaks sum to it. None = the
            reference's geometric mean.
        least
            Chances below it are left out, and the result is sparse; 0 = dense.
        top
            How many peaks to keep of each cell, its most accessible ones; the result is sparse.
        file
            ``.h5ad`` file to write block by block instead of keeping the result in memory; it is returned opened
            in backed mode.
        key_added
            ``layers["<key_added>"]`` is set when every peak of ``adata`` was imputed and no file is named; None = as in
            the fit. An embedding under this key is used before that under the key of the fit.
        **settings
            Passed to :meth:`project`.

        Returns
        -------
        anndata.AnnData
            (cells, peaks) in [0, 1].

        Raises
        ------
        InputError
            If a peak or batch is unknown, or the result would not fit into memory (give ``top``, ``least``, a file, or
            fewer peaks).
        """
        columns = column_positions(self.peaks.names, features)
        check_number(least, "least", 0.0, 1.0)
        if top is not None:
            check_number(top, "top", 1, whole=True)
        blocks = self._decoded(adata, columns, batch, depth, key_added, settings)
        names = self.peaks.names[columns]
        out = collect(blocks, adata, names, least, file, None if top is None else int(top))
        if file is None and adata.var_names.isin(out.var_names).all():
            adata.layers[key_added or self.settings["key_added"]] = out[:, adata.var_names].X
        return out

    def gene_activity(
        self, adata: AnnData, graph: GuidanceGraph, *, batch: str | Sequence[str] | None = None,
        depth: float | None = None, file: str | Path | None = None, key_added: str | None = None, **settings: Any,
    ) -> AnnData:  # fmt: skip
        """Sum of the imputed chances of the peaks that a graph joins to each gene, times their edges' weights.

        Parameters
        ----------
        adata
            Cells, as in :meth:`impute`.
        graph
            Genes and peaks, see :func:`isthmus.genomics.guidance_graph`: overlap of the gene's body and promoter by
            default.
        batch, depth, file, key_added, **settings
            As in :meth:`impute`; no layer is set.

        Returns
        -------
        anndata.AnnData
            (cells, genes) for the genes with a peak that the model knows; values are on no absolute scale.

        Raises
        ------
        InputError
            If no gene of the graph has such a peak, or the result would take more than 4 GiB of memory.
        """
        table = graph.to_frame()
        table = table[table["target"].isin(self.peaks.names)]
        if not len(table):
            raise InputError(
                f"edges from genes to the model's {len(self.peaks.names)} peaks, such as '{self.peaks.names[0]}'",
                "none in this graph",
                "make it from the peaks that were fitted, as in im.genomics.guidance_graph(rna, atac)",
            )
        gene, genes = pd.factorize(table["source"])
        peak = self.peaks.names.get_indexer(table["target"])
        columns, position = np.unique(peak, return_inverse=True)
        shape = (len(columns), len(genes))
        sums = sp.csr_matrix((table["weight"].to_numpy(dtype=np.float32), (position, gene)), shape=shape)
        blocks = self._decoded(adata, columns, batch, depth, key_added, settings)
        activity = (np.asarray(block @ sums) for block in blocks)
        return collect(activity, adata, pd.Index(genes, dtype=object), 0.0, file)

    def _decoded(
        self, adata: AnnData, columns: np.ndarray, batch: str | Sequence[str] | None, depth: float | None,
        key_added: str | None, settings: dict[str, Any],
    ) -> Iterator[np.ndarray]:  # fmt: skip
        """Check what is asked for, embed the cells, and begin to decode."""
        domains, most = self.batches.imitated(batch), len(self.peaks.names)
        if depth is None:
            depth = min(np.exp(self.network.depth[0]), 0.9 * most)
        check_number(depth, "depth", 1.0, 0.9 * most)
        z, _ = self._embedding_of(adata, key_added, settings)
        return self._decode(z, columns, domains, float(depth))

    def _decode(
        self, z: np.ndarray, columns: np.ndarray, domains: Sequence[int], depth: float
    ) -> Iterator[np.ndarray]:  # fmt: skip
        """Chances averaged over batches, in blocks of (cells, ``columns``) float32."""
        for start in range(0, len(z), DECODED_AT_ONCE):
            with torch.inference_mode():
                part = torch.from_numpy(np.ascontiguousarray(z[start : start + DECODED_AT_ONCE]))
                at = torch.full((len(part),), depth)
                total = sum(self.network.decode(part, at, torch.full((len(part),), b)) for b in domains)
                yield (total / len(domains)).numpy()[:, columns]

    def _state(self) -> tuple[dict[str, list[str]], dict[str, np.ndarray]]:
        names = {
            "peaks": list(self.peaks.names), "chromosomes": list(self.peaks.chromosomes),
            "batches": list(self.batches.names),
        }  # fmt: skip
        own = {"sizes": np.array(self.peaks.sizes), "frequency": self.peaks.frequency}
        return names, {**own, "paired": self.paired.astype(np.uint8), **weights_of(self.network)}

    @classmethod
    def _from_state(cls, manifest: Manifest, names: dict[str, list[str]], arrays: dict[str, np.ndarray]) -> Sailerx:
        sizes = tuple(int(n) for n in arrays["sizes"])
        peaks = Peaks(pd.Index(names["peaks"]), tuple(names["chromosomes"]), sizes, arrays["frequency"])
        network = make_network(peaks, len(names["batches"]), manifest.facts, manifest.settings)
        return cls(
            manifest=manifest, network=with_weights(network, arrays), peaks=peaks,
            batches=Categories(tuple(names["batches"])),
            paired=arrays["paired"].astype(bool), cells=pd.Index(names["cells"]), latent=arrays["latent"],
            history=pd.DataFrame(),
        )  # fmt: skip

    def __repr__(self) -> str:
        without = int((~self.paired).sum())
        cells = f"{len(self.cells)} cells" + (f", {without} of them without RNA" if without else "")
        where = f"{len(self.peaks.sizes)} chromosomes" if len(self.peaks.sizes) > 1 else "one group"
        return f"Sailerx({cells}, {len(self.peaks.names)} peaks in {where}, {self.latent.shape[1]} latent dimensions)"
