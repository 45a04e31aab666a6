"""Maps of cells: one data set, or a query over its reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from isthmus._errors import InputError
from isthmus.pl._axes import GREY, legend, names_on_map, new_axes, scatter, square
from isthmus.pl._colors import as_categorical, colors_of
from isthmus.pl._layout import flat, latent_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def embedding(
    source: Any,
    basis: str | ArrayLike = "X_scalex",
    color: str | ArrayLike | pd.Series | None = None,
    *,
    ax: Axes | None = None,
    title: str | None = None,
    palette: dict[Any, Any] | None = None,
    names_on_data: bool = False,
    size: float | None = None,
    n_neighbors: int = 30,
    min_dist: float = 0.1,
    seed: int = 0,
    keep: bool = False,
) -> Axes:
    """Draw cells where the embedding puts them.

    An embedding of more than two dimensions is laid out with UMAP first. Nothing in ``source`` changes,
    unless ``keep``.

    Parameters
    ----------
    source
        AnnData, fitted model (its reference cells), or coordinates ``(cells, latent)``.
    basis
        Key of ``obsm``, with or without ``X_`` (``"X_scalex"``, ``"umap"``), or coordinates ``(cells, any)``.
    color
        Column of ``obs``, feature name, or one value per cell. Categories get distinct colours (those of
        ``uns["<column>_colors"]`` where recorded), numbers a scale; cells without a value are grey and lie
        below.
    ax
        Axes to draw on; default a new figure.
    title
        Default the name of the colour.
    palette
        Colours by category that win over all others.
    names_on_data
        Write the names on the map instead of a legend; good for many types.
    size
        Area of a point in square points; default by the number of cells.
    n_neighbors, min_dist
        Settings of the UMAP.
    seed
        Seed of the UMAP and of the order in which the points are drawn.
    keep
        Keep a UMAP computed here as ``obsm["<basis>_umap"]``.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    InputError
        If there is no such embedding, column or feature, or lengths differ.
    EnvironmentProblem
        If matplotlib is missing.

    Examples
    --------
    >>> ax = im.pl.embedding(adata, color="cell_type")
    >>> ax.figure.savefig("types.png", dpi=200)
    """
    z, name = latent_of(source, basis)
    values, label = _values(source, color, len(z))
    xy, axis_name = flat(z, name, n_neighbors=n_neighbors, min_dist=min_dist, seed=seed)
    if keep and z.shape[1] > 2:
        _keep(source, basis, xy)
    ax = new_axes(ax)
    order = np.random.default_rng(seed).permutation(len(xy))
    if values is None:
        scatter(ax, xy[order], "#5b7f95", size)
    elif _is_scale(values):
        _draw_scale(ax, xy, values, order, size)
    else:
        recorded = source.uns.get(f"{color}_colors") if isinstance(color, str) else None
        _draw_groups(ax, xy, values, order, size, recorded, palette, label, names_on_data)
    square(ax, label if title is None else title, axis_name)
    return ax


def projection(
    reference: Any,
    query: Any,
    basis: str = "X_scalex",
    color: str | ArrayLike | pd.Series | None = None,
    *,
    ax: Axes | None = None,
    title: str | None = None,
    palette: dict[Any, Any] | None = None,
    names_on_data: bool = False,
    size: float | None = None,
    n_neighbors: int = 30,
    min_dist: float = 0.1,
    seed: int = 0,
) -> Axes:
    """Draw query cells over their reference, which lies below in grey.

    Both are laid out together, so that the map is fair to both. Nothing in the objects changes.

    Parameters
    ----------
    reference
        AnnData, fitted model, or coordinates ``(cells, latent)`` of the reference.
    query
        AnnData or coordinates of the projected cells, in the same latent space.
    basis
        Key of ``obsm`` in both.
    color
        Column or feature of the query, or one value per query cell. Colours recorded in the query win, then
        those recorded in the reference for a column of the same name.
    ax, title, palette, names_on_data, size, n_neighbors, min_dist, seed
        As in :func:`embedding`.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    InputError
        If an embedding, column or feature is missing, or the two have different latent dimensions.
    EnvironmentProblem
        If matplotlib is missing.
    """
    below, name = latent_of(reference, basis)
    above, _ = latent_of(query, basis)
    if below.shape[1] != above.shape[1]:
        raise InputError(
            "reference and query in one latent space",
            f"{below.shape[1]} and {above.shape[1]} dimensions",
            "project the query with the model of this reference",
        )
    values, label = _values(query, color, len(above))
    xy, axis_name = flat(np.vstack([below, above]), name, n_neighbors=n_neighbors, min_dist=min_dist, seed=seed)
    ax = new_axes(ax)
    scatter(ax, xy[: len(below)], GREY, size, zorder=1)
    xy = xy[len(below) :]
    order = np.random.default_rng(seed).permutation(len(xy))
    if values is None:
        scatter(ax, xy[order], "#bd1f01", size, zorder=2)
        legend(ax, {"reference": GREY, "query": "#bd1f01"})
    elif _is_scale(values):
        _draw_scale(ax, xy, values, order, size)
    else:
        values, recorded = _like_reference(reference, query, color, values)
        _draw_groups(ax, xy, values, order, size, recorded, palette, label, names_on_data, {"reference": GREY})
    square(ax, (label or "query over reference") if title is None else title, axis_name)
    return ax


def _like_reference(reference: Any, query: Any, color: Any, values: pd.Series) -> tuple[pd.Series, Any]:
    """Give the query's categories the order, and so the colours, they have in the reference."""
    if not isinstance(color, str) or f"{color}_colors" in query.uns:
        return values, query.uns.get(f"{color}_colors") if isinstance(color, str) else None
    column = getattr(reference, "obs", pd.DataFrame()).get(color)
    if column is None:
        return values, None
    known = list(as_categorical(column).categories)
    added = [name for name in as_categorical(values).categories if name not in known]
    recorded = reference.uns.get(f"{color}_colors") if not added else None
    return pd.Series(pd.Categorical(values, categories=known + added), index=values.index), recorded


def _values(source: Any, color: Any, n_cells: int) -> tuple[pd.Series | None, str | None]:
    """Values to colour by, one per cell, and their name."""
    if color is None:
        return None, None
    if isinstance(color, str):
        return _column(source, color), color
    if isinstance(color, pd.DataFrame) or np.ndim(color) != 1 or len(color) != n_cells:
        raise InputError(
            f"color as one value for each of the {n_cells} cells",
            f"shape {np.shape(color)}",
            "name a column of obs, or take the values from the same cells",
        )
    name = None if getattr(color, "name", None) is None else str(color.name)
    dtype = getattr(color, "dtype", None)
    return pd.Series(color, dtype=dtype).reset_index(drop=True), name


def _column(source: Any, color: str) -> pd.Series:
    if not hasattr(source, "obs"):
        raise InputError(
            "an AnnData, to look up a column by name",
            f"{type(source).__name__} and color={color!r}",
            "pass the values themselves as color, one per cell",
        )
    if color in source.obs:
        return source.obs[color].reset_index(drop=True)
    if color in source.var_names:
        return pd.Series(np.asarray(source.obs_vector(color), dtype=float))
    columns = ", ".join(map(str, source.obs.columns[:12])) or "no columns"
    raise InputError(f"a column of obs or a feature named {color!r}", columns, "check the spelling")


def _is_scale(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _draw_scale(
    ax: Axes, xy: NDArray[np.floating], values: pd.Series, order: NDArray[np.intp], size: float | None
) -> None:
    numbers = values.to_numpy(dtype=float, na_value=np.nan)
    known = np.isfinite(numbers)
    if not known.all():
        scatter(ax, xy[~known], GREY, size, zorder=1.5)
    order = order[known[order]]
    points = scatter(ax, xy[order], numbers[order], size, cmap="viridis", zorder=2)
    if len(order):
        bar = ax.figure.colorbar(points, ax=ax, shrink=0.5, aspect=18, pad=0.02)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8, length=2)


def _draw_groups(
    ax: Axes,
    xy: NDArray[np.floating],
    values: pd.Series,
    order: NDArray[np.intp],
    size: float | None,
    recorded: Any,
    given: dict[Any, Any] | None,
    label: str | None,
    names_on_data: bool,
    others: dict[str, str] | None = None,
) -> None:
    groups = as_categorical(values)
    colors = colors_of(groups.categories, recorded, given)
    known = groups.codes >= 0
    if not known.all():
        scatter(ax, xy[~known], GREY, size, zorder=1.5)
    lookup = np.array([*colors.values(), GREY])
    order = order[known[order]]
    scatter(ax, xy[order], lookup[groups.codes[order]], size, zorder=2)
    present = [name for code, name in enumerate(groups.categories) if (groups.codes == code).any()]
    if names_on_data:
        names_on_map(ax, xy, np.asarray(groups, dtype=object), present)
        return
    entries = {str(name): colors[name] for name in present}
    if not known.all():
        entries["no value"] = GREY
    legend(ax, entries | (others or {}), title=None)


def _keep(source: Any, basis: Any, xy: NDArray[np.floating]) -> None:
    if not hasattr(source, "obsm") or not isinstance(basis, str):
        raise InputError(
            "an AnnData and a named basis, to keep the UMAP",
            f"{type(source).__name__} with basis of type {type(basis).__name__}",
            "leave keep out, or compute it with im.pl.umap and store it yourself",
        )
    source.obsm[f"{basis if basis in source.obsm else f'X_{basis}'}_umap"] = xy
