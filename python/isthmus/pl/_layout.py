"""From what the user has to two coordinates per cell."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus._errors import InputError
from isthmus.metrics._graph import fuzzy_graph
from isthmus.metrics._inputs import as_embedding
from isthmus.metrics._neighbors import nearest


def umap(latent: ArrayLike, *, n_neighbors: int = 30, min_dist: float = 0.1, seed: int = 0) -> NDArray[np.float32]:
    """Lay an embedding out in two dimensions with UMAP, as scanpy does.

    Parameters
    ----------
    latent
        Embedding, ``(cells, latent)``.
    n_neighbors
        Neighbours of a cell, the cell itself counted as scanpy does; at most the number of cells.
    min_dist
        How tightly cells may be packed.
    seed
        Seed of neighbour search and layout.

    Returns
    -------
    numpy.ndarray
        Coordinates, ``(cells, 2)`` float32.

    Raises
    ------
    InputError
        If the embedding is not finite or has fewer than five cells.

    References
    ----------
    McInnes et al. 2018, arXiv:1802.03426.
    """
    import scanpy as sc
    from anndata import AnnData

    z = as_embedding(latent)
    if len(z) < 5:
        raise InputError("at least five cells for a UMAP", f"{len(z)}", "draw two latent dimensions instead")
    holder = AnnData(z)
    # scanpy counts the cell itself as its first neighbour.
    holder.obsp["connectivities"] = fuzzy_graph(nearest(z, max(n_neighbors, 3) - 1, seed=seed))
    holder.uns["neighbors"] = {"connectivities_key": "connectivities", "params": {"method": "umap", "use_rep": "X"}}
    # The spectral start wants more cells than a tiny set has.
    start = "spectral" if len(z) > 20 else "random"
    sc.tl.umap(holder, min_dist=min_dist, random_state=seed, init_pos=start)
    return np.asarray(holder.obsm["X_umap"], dtype=np.float32)


def latent_of(source: Any, basis: str | ArrayLike) -> tuple[NDArray[np.float64], str]:
    """Return the coordinates named by ``basis`` and the name to write on the axes.

    ``source`` is an AnnData, a fitted model (its reference cells) or the coordinates themselves.

    Raises
    ------
    InputError
        If there is no such embedding, or it does not belong to these cells.
    """
    if not isinstance(basis, str):
        z = as_embedding(basis, "basis")
        n_cells = getattr(source, "n_obs", len(z))
        if len(z) != n_cells:
            raise InputError(
                f"one row in basis for each of the {n_cells} cells",
                f"{len(z)} rows",
                "take both from one object",
            )
        return z, "dimension"
    if hasattr(source, "obsm"):
        return _from_obsm(source, basis)
    if hasattr(source, "latent"):
        return as_embedding(source.latent, "latent space of the model"), "latent"
    return as_embedding(source), "dimension"


def _from_obsm(adata: Any, basis: str) -> tuple[NDArray[np.float64], str]:
    for key in (basis, f"X_{basis}"):
        if key in adata.obsm:
            return as_embedding(adata.obsm[key], f"embedding {key}"), key.removeprefix("X_")
    raise InputError(
        f'an embedding obsm["{basis}"]',
        f"only {sorted(map(str, adata.obsm.keys())) or 'none'}",
        "fit or project first (im.tl.scalex, model.project), or name one of these as basis",
    )


def flat(
    z: NDArray[np.float64], name: str, *, n_neighbors: int, min_dist: float, seed: int
) -> tuple[NDArray[np.floating], str]:
    """Two coordinates per cell, the embedding itself where it has two, else its UMAP; and the axes' name."""
    if z.shape[1] == 1:
        z = np.hstack([z, np.zeros_like(z)])
    if z.shape[1] == 2:
        return z, "UMAP" if name.endswith("umap") else name
    return umap(z, n_neighbors=n_neighbors, min_dist=min_dist, seed=seed), "UMAP"
