"""Regulatory links along a stretch of the genome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from isthmus._errors import InputError
from isthmus._optional import require
from isthmus.data.categories import shorten, text_of
from isthmus.data.door import check_number
from isthmus.genomics._names import split_names, without_version
from isthmus.genomics._positions import gene_bodies
from isthmus.genomics.builds import chrom_in_style, in_style
from isthmus.genomics.intervals import Intervals
from isthmus.genomics.links import checked_links
from isthmus.pl._axes import GREY, INK, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LIGHT, _MIDDLE, _STRONG = "#f6b78a", "#e2581e", "#a31c04"  # from the least to the best score of a significant link
_PEAK, _IDLE = "#2f6fb0", "#aeb6bd"
_POINTS = 60  # of an arc
_LANE = 0.115  # height of a row of genes, as a share of that of the arcs
_LETTER = 0.011  # width of a letter, as a share of the picture


def links(
    table: pd.DataFrame,
    gene: str | None = None,
    region: str | None = None,
    *,
    genes: Intervals | pd.DataFrame | None = None,
    fdr: float = 0.05,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw links as arcs between transcription starts and peaks, over the genes and peaks of a stretch of the genome.

    The top of an arc is at its score; significant links are coloured, the better the darker. Peaks with a significant
    link are blue.

    Parameters
    ----------
    table
        From :func:`isthmus.genomics.link_table`.
    gene
        Draw the links of this gene alone, and by default the stretch that they span.
    region
        The stretch, such as ``"chr1:1,000,000-1,500,000"``, with ``chr`` or without; by default that of ``gene``.
    genes
        Where genes lie, so that whole bodies are drawn: intervals, a data frame with names in a column (such as
        ``gene_name``) or as its index, or the ``positions`` of a guidance graph (features without strand are taken for
        peaks and left out). A gene that the links call by its id has its name here, where there is one. Of genes with
        links that are not among them, by default of all, a short arrow marks where transcription starts.
    fdr
        Links with a q-value below are significant.
    ax
        Axes to draw on; default a new figure.
    title
        Default the gene, or the region.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    InputError
        If neither gene nor region is given, the gene is unknown, there is no link with known positions in the region,
        a column is absent, or ``genes`` have no names.
    EnvironmentProblem
        If matplotlib is missing.
    """
    table, gene = checked_links(table), gene if gene is None else text_of(gene)
    check_number(fdr, "fdr", 0, 1)
    chrom, start, end = _stretch(table, gene, region)
    shown = _within(table, chrom, start, end)
    arcs = shown if gene is None else shown[shown["gene"] == gene]
    if arcs.empty:
        raise InputError(
            f"links between a gene and a peak that both lie in {chrom}:{start:,}-{end:,}",
            "none",
            "widen the region, or name another gene",
        )
    bodies = _in_lanes(_bodies(shown, genes, gene, chrom, (start, end)), (start, end))
    lanes = int(bodies["lane"].max()) + 1 if len(bodies) else 0
    ax = new_axes(ax, (8.0, 3.1 + 0.26 * lanes))
    strong = arcs["qvalue"].to_numpy() < fdr
    top = _arcs(ax, arcs, strong, fdr)
    _peaks(ax, shown, set(arcs["peak"][strong]), top, (start, end))
    _genes(ax, bodies, gene, top, (start, end))
    _finish(ax, chrom, (start, end), top, lanes)
    name = f"{chrom}:{start:,}-{end:,}" if region is not None else gene
    ax.set_title(name if title is None else title, fontsize=11, color=INK)
    return ax


def _stretch(table: pd.DataFrame, gene: str | None, region: str | None) -> tuple[str, int, int]:
    """Chromosome, start and end of what is drawn."""
    if region is not None:
        chrom, start, end, _ = split_names(pd.Index([region], dtype=object))
        # As for an annotation: the region may be written in another style than the links.
        called = chrom_in_style(str(chrom[0]), table["chrom"].dropna().unique())
        return called, int(start[0]), int(end[0])
    if gene is None:
        raise InputError("a gene or a region", "neither", "give gene='MS4A1' or region='chr1:1000000-1500000'")
    rows = table[(table["gene"] == gene) & table["tss"].notna() & table["peak_start"].notna()]
    if rows.empty:
        known = pd.unique(table["gene"][table["tss"].notna()])
        raise InputError(
            f"a gene with links of known position, such as {shorten(known, 3) or 'none: no positions are known'}",
            f"'{gene}'",
            "name one of these",
        )
    low = int(min(rows["peak_start"].min(), rows["tss"].min()))
    high = int(max(rows["peak_end"].max(), rows["tss"].max() + 1))
    margin = max((high - low) // 16, 500)
    return str(rows["chrom"].iloc[0]), max(low - margin, 0), high + margin


def _within(table: pd.DataFrame, chrom: str, start: int, end: int) -> pd.DataFrame:
    """Links with both ends in the stretch, with a column ``middle`` of the peak."""
    rows = table[(table["chrom"] == chrom) & table["tss"].notna() & table["peak_start"].notna()]
    rows = rows.assign(middle=(rows["peak_start"] + rows["peak_end"]).astype(float) / 2)
    return rows[rows["middle"].between(start, end) & rows["tss"].between(start, end - 1)]


def _arcs(ax: Axes, rows: pd.DataFrame, strong: np.ndarray, fdr: float) -> float:
    """Draw half ellipses, the best on top; returns the height of the picture above the line of the genome."""
    matplotlib = require("matplotlib", extra="plot")
    lines = require("matplotlib.collections", extra="plot").LineCollection
    score = rows["score"].to_numpy(dtype=float)
    top = max(1.08 * float(score.max()), 0.05)
    height = np.maximum(score, 0.02 * top)  # links below 0 are seen to be there, and no more
    a, b = rows["tss"].to_numpy(dtype=float), rows["middle"].to_numpy()
    angle = np.linspace(0, np.pi, _POINTS)
    x = ((a + b) / 2)[:, None] + ((a - b) / 2)[:, None] * np.cos(angle)
    paths = np.stack([x, height[:, None] * np.sin(angle)], axis=2)
    best = np.argsort(score)
    weak, good = best[~strong[best]], best[strong[best]]
    low = float(score[good].min()) if good.size else 0.0
    share = (score[good] - low) / max(top - low, 1e-12)
    ramp = matplotlib.colors.LinearSegmentedColormap.from_list("links", [_LIGHT, _MIDDLE, _STRONG])
    ax.add_collection(lines(paths[weak], colors=GREY, linewidths=0.9, capstyle="round"))
    ax.add_collection(lines(paths[good], colors=ramp(share), linewidths=1.2 + 1.3 * share, capstyle="round"))
    handles = [
        matplotlib.lines.Line2D([], [], color=color, linewidth=2, label=f"{name} ({len(group):,})")
        for color, name, group in ((_MIDDLE, f"q < {fdr:g}", good), (GREY, "other links", weak))
        if group.size
    ]
    ax.plot(np.unique(a), np.zeros(len(np.unique(a))), "o", color=INK, markersize=3.5, clip_on=False, zorder=4)
    ax.legend(handles=handles, loc="upper right", frameon=False, fontsize=8, labelcolor=INK, handlelength=1.4)
    return top


def _peaks(ax: Axes, rows: pd.DataFrame, linked: set[str], top: float, span: tuple[int, int]) -> None:
    """Draw each peak as a box under the line, wide enough to be seen."""
    peaks = rows.drop_duplicates("peak")
    width = np.maximum((peaks["peak_end"] - peaks["peak_start"]).to_numpy(dtype=float), 0.003 * (span[1] - span[0]))
    blue = peaks["peak"].isin(linked).to_numpy()
    for chosen, color in ((~blue, _IDLE), (blue, _PEAK)):
        left = peaks["middle"].to_numpy()[chosen] - width[chosen] / 2
        ax.bar(left, 0.055 * top, width[chosen], bottom=-0.085 * top, align="edge", color=color, linewidth=0)


def _bodies(
    rows: pd.DataFrame, genes: Any, chosen: str | None, chrom: str, span: tuple[int, int]
) -> pd.DataFrame:  # fmt: skip
    """Genes of the stretch: name, start, end (equal where only the start of transcription is known), strand, ``mine``.

    ``mine`` is true of the chosen gene, whether the links call it by its name or its id.
    """
    ends = rows.drop_duplicates("gene")
    first = ends["tss"].to_numpy(dtype=float)
    linked = pd.DataFrame(
        {"name": ends["gene"], "start": first, "end": first, "strand": ends["strand"], "mine": ends["gene"] == chosen}
    )
    if genes is None:
        return linked.reset_index(drop=True)
    genes, called = gene_bodies(genes)
    start, end = span
    # The fit calls chromosomes of genes and peaks alike; the annotation may still call them otherwise.
    genes = in_style(genes, Intervals([chrom], [chrom], [start], [end], ["."]))
    here = (np.asarray(genes.chrom.astype(str)) == chrom) & (genes.start < end) & (genes.end > start) & genes.stranded
    part, called = genes.take(here), _comparable(called[here].ravel()).reshape(-1, called.shape[1])
    mine = np.isin(called, _comparable([] if chosen is None else [chosen])).any(axis=1)
    bodies = pd.DataFrame(
        {"name": part.names, "start": part.start, "end": part.end, "strand": part.strand, "mine": mine}
    )
    absent = ~np.isin(_comparable(linked["name"]), called)  # of these the links tell where they start
    return pd.concat([bodies, linked[absent]], ignore_index=True)


def _comparable(names: Sequence[str]) -> np.ndarray:
    """Names of genes, ids without their version."""
    return without_version(pd.Index(names, dtype=object)).to_numpy()


def _in_lanes(bodies: pd.DataFrame, span: tuple[int, int]) -> pd.DataFrame:
    """What is drawn of each gene: ``left``, ``right``, where its name stands (``side``), and its ``lane`` from the top.

    The chosen gene comes first, those that fill the stretch last; no two genes of a lane or their names meet.
    """
    width = span[1] - span[0]
    forward = (bodies["strand"] != "-").to_numpy()
    left, right = (np.clip(bodies[part].to_numpy(dtype=float), *span) for part in ("start", "end"))
    bare = (bodies["end"] <= bodies["start"]).to_numpy()  # the start of transcription alone
    right, left = (
        np.where(bare & forward, right + 0.03 * width, right),
        np.where(bare & ~forward, left - 0.03 * width, left),
    )
    letters = bodies["name"].astype(str).str.len().to_numpy() * _LETTER * width + 0.022 * width
    side = np.select([right + letters <= span[1], left - letters >= span[0]], ["right", "left"], "inside")
    from_, to = np.where(side == "left", left - letters, left), np.where(side == "right", right + letters, right)
    lane, lanes = np.zeros(len(bodies), dtype=np.int64), []
    for row in np.lexsort((left, side == "inside", ~bodies["mine"].to_numpy())):
        free = (all(to[row] < a or from_[row] > b for a, b in taken) for taken in lanes)
        lane[row] = next((i for i, fits in enumerate(free) if fits), len(lanes))
        if lane[row] == len(lanes):
            lanes.append([])
        lanes[lane[row]].append((from_[row], to[row]))
    return bodies.assign(left=left, right=right, side=side, lane=lane)


def _genes(ax: Axes, bodies: pd.DataFrame, chosen: str | None, top: float, span: tuple[int, int]) -> None:
    """Draw each gene as an arrow along its strand, with its name."""
    gap = 0.008 * (span[1] - span[0])
    for gene in bodies.itertuples():
        strong = chosen is None or gene.mine
        y = -(0.16 + _LANE * (gene.lane + 0.4)) * top
        tail, tip = (gene.right, gene.left) if gene.strand == "-" else (gene.left, gene.right)
        arrow = {"arrowstyle": "-|>,head_width=0.2,head_length=0.4", "linewidth": 1.8, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", (tip, y), (tail, y), arrowprops={**arrow, "color": INK if strong else _IDLE})
        x, align = {
            "right": (gene.right + gap, "left"),
            "left": (gene.left - gap, "right"),
            "inside": ((gene.left + gene.right) / 2, "center"),
        }[gene.side]
        text = ax.text(x, y, str(gene.name), ha=align, va="center_baseline", fontsize=8.5, style="italic")
        text.set(color=INK if strong else "#7b838a", weight="bold" if gene.mine else "normal")
        if gene.side == "inside":
            text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.5})


def _finish(ax: Axes, chrom: str, span: tuple[int, int], top: float, lanes: int) -> None:
    ticker = require("matplotlib.ticker", extra="plot")
    ax.set_xlim(*span)
    ax.set_ylim(-(0.16 + _LANE * lanes) * top, top)
    ax.axhline(0, color="#8a9199", linewidth=0.8, zorder=1)
    ax.set_yticks([tick for tick in ticker.MaxNLocator(4).tick_values(0, top) if 0 <= tick <= top])
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#999999")
    ax.spines["left"].set_bounds(0, top)
    ax.xaxis.set_major_locator(ticker.MaxNLocator(6, steps=[1, 2, 5, 10]))
    digits = int(np.clip(np.ceil(6.8 - np.log10(max(span[1] - span[0], 1))), 0, 6))  # enough to tell ticks apart
    ax.xaxis.set_major_formatter(lambda x, _: f"{x / 1e6:.{digits}f}")
    ax.tick_params(labelsize=8, colors=INK)
    ax.set_xlabel(f"{chrom} (Mb)", fontsize=9, color=INK)
    ax.set_ylabel("score", fontsize=9, color=INK, y=1, ha="right")
