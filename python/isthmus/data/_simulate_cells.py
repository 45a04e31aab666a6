"""Who is who in the simulator: the populations, and the population, batch, pairing and depth of each cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from isthmus.data._simulate_settings import Settings

DEPTH_SD = {"rna": 0.5, "atac": 0.6}  # natural log of the counts per cell
TILT = 1.0  # log scale; a type's share differs up to exp(2) = 7 fold between confounded batches
DEPTH_CLIP = 2.5  # standard deviations; no cell is simulated empty


@dataclass(frozen=True)
class Node:
    """A point in expression and accessibility space: a parent, and what was changed against it."""

    parent: int  # -1: drawn afresh
    changes: str  # "both", "rna" or "atac"


@dataclass(frozen=True)
class Population:
    """Cells between two nodes (the same node twice where there is no lineage)."""

    cell_type: str
    start: int  # node
    end: int  # node
    subgroup: str = ""
    branch: str = "trunk"
    pseudotime: tuple[float, float] = (np.nan, np.nan)


@dataclass(frozen=True)
class Cells:
    """One entry per cell of the study, all modalities together: shared, then RNA only, then ATAC only."""

    population: np.ndarray  # (cells,) int32
    batch: np.ndarray  # (cells,) int32
    place: np.ndarray  # (cells,) float32 in [0, 1]: from the start node to the end node
    depth: dict[str, np.ndarray]  # modality -> (cells,) float32, expected counts
    member: dict[str, np.ndarray]  # modality -> (cells,) bool
    missing: dict[str, str]  # the type that composition took out of a batch, or empty


def draw_tree(settings: Settings) -> tuple[list[Node], list[Population]]:
    """The populations and the nodes that they lie between; a parent always comes before its children."""
    if settings.lineage == "none":
        nodes, populations = _separate_types(settings)
    else:
        nodes, populations = _lineage(settings)
    for rare in settings.rare_types:
        nodes.append(Node(-1, "both"))
        populations.append(Population(rare.name, len(nodes) - 1, len(nodes) - 1, branch="none"))
    return nodes, populations


def _separate_types(settings: Settings) -> tuple[list[Node], list[Population]]:
    """Pairs first (1-2, 3-4, ...), then the independent types; the last type may have subgroups."""
    one_sided = ["rna"] * settings.rna_only_pairs + ["atac"] * settings.atac_only_pairs
    nodes = []
    for i in range(settings.n_types):
        second = i % 2 == 1 and i // 2 < len(one_sided)
        nodes.append(Node(i - 1, one_sided[i // 2]) if second else Node(-1, "both"))
    populations = [Population(name, i, i) for i, name in enumerate(settings.type_names)]
    if settings.subgroups:
        last = populations.pop()
        for j in range(settings.subgroups):
            if j > 0:  # RNA parts the first from the second, ATAC the second from the third, in turn
                nodes.append(Node(len(nodes) - 1, "rna" if j % 2 else "atac"))
            node = len(nodes) - 1
            populations.append(Population(last.cell_type, node, node, f"{last.cell_type}.{j + 1}"))
    return nodes, populations


def _lineage(settings: Settings) -> tuple[list[Node], list[Population]]:
    """Types are stages, edge after edge; branching: a trunk of a third of them, then two branches in turn."""
    n_trunk = settings.n_types if settings.lineage == "linear" else max(1, settings.n_types // 3)
    nodes, tips = [Node(-1, "both")], {"trunk": (0, 0)}  # branch -> (node, stages from the root)
    edges = []
    for i in range(settings.n_types):
        branch = "trunk" if i < n_trunk else f"branch{(i - n_trunk) % 2 + 1}"
        start, depth = tips.get(branch, tips["trunk"])
        nodes.append(Node(start, "both"))
        tips[branch] = (len(nodes) - 1, depth + 1)
        edges.append((branch, start, len(nodes) - 1, depth))
    longest = max(depth for *_, depth in edges) + 1
    return nodes, [
        Population(name, start, end, branch=branch, pseudotime=(depth / longest, (depth + 1) / longest))
        for name, (branch, start, end, depth) in zip(settings.type_names, edges, strict=True)
    ]


def draw_cells(settings: Settings, populations: list[Population], rng: np.random.Generator) -> Cells:
    """Assign every cell; sizes are quotas, so that types, batches and rare types have the sizes asked for."""
    shared, single = settings.n_shared, settings.n_cells - settings.n_shared
    segments = [shared, single, single] if len(settings.modalities) == 2 else [settings.n_cells]
    weights, missing = _composition(settings, populations, rng)
    rare = [record.n_cells for record in settings.rare_types]
    rare_shared = _rare_shared(rare, shared, single)
    rare_single = [n - s for n, s in zip(rare, rare_shared, strict=True)]
    parts = []
    for i, size in enumerate(segments):
        parts.append(_segment(settings, size, rare_shared if i == 0 else rare_single, weights, rng))
    population = np.concatenate([p for p, _ in parts])
    batch = np.concatenate([b for _, b in parts])
    order = np.arange(population.size)
    member = {
        "rna": order < settings.n_cells,
        "atac": (order < shared) | (order >= settings.n_cells),
    }
    if len(settings.modalities) == 1:
        member = {settings.modalities[0]: np.ones(population.size, dtype=bool)}
    place = rng.random(population.size, dtype=np.float32)
    return Cells(population, batch, place, _depths(settings, batch, rng), member, missing)


def _rare_shared(rare: list[int], shared: int, single: int) -> list[int]:
    """How many cells of each rare type are shared: its part, rounded, unless a segment has no room for so many."""
    rounded = [round(n * shared / (shared + single)) for n in rare]
    total = min(max(sum(rounded), sum(rare) - single), shared)
    return rounded if total == sum(rounded) else quota(total, np.array(rare)).tolist()


def _composition(
    settings: Settings, populations: list[Population], rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, str]]:
    """Share of each common population in each batch, (batches, populations), and the type that one lacks."""
    names = settings.type_names
    share = rng.gamma(8.0, size=len(names))
    shares = np.tile(share / share.sum(), (settings.n_batches, 1))  # (batches, types)
    # Types lie on a circle and batches look at it from different sides: strong whatever the seed.
    angle = rng.permutation(len(names)) / len(names) + np.arange(settings.n_batches)[:, None] / settings.n_batches
    tilt = TILT * np.cos(2 * np.pi * angle)  # (batches, types), log scale
    absent, where = int(rng.integers(len(names))), int(rng.integers(settings.n_batches))
    missing = {}
    if settings.confounding in ("composition", "both"):
        shares = shares * np.exp(tilt)
        shares[where, absent] = 0.0
        missing = {"cell_type": names[absent], "batch": settings.batch_names[where]}
    common = [p for p in populations if p.cell_type in names]
    split = np.array([sum(q.cell_type == p.cell_type for q in common) for p in common])
    weights = shares[:, [names.index(p.cell_type) for p in common]] / split
    return weights / weights.sum(axis=1, keepdims=True), missing


def _segment(
    settings: Settings, size: int, rare: list[int], weights: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Populations and batches of ``size`` cells in random order, of them the given numbers of rare cells."""
    population, batch = [], []
    n_common = weights.shape[1]
    for i, (record, n) in enumerate(zip(settings.rare_types, rare, strict=True)):
        population.append(np.full(n, n_common + i))
        batch.append(np.resize(np.array(record.batches), n))
    per_batch = quota(size - sum(rare), np.ones(settings.n_batches))
    for code, n in enumerate(per_batch):
        population.append(np.repeat(np.arange(n_common), quota(n, weights[code])))
        batch.append(np.full(n, code))
    order = rng.permutation(size)
    return np.concatenate(population)[order].astype(np.int32), np.concatenate(batch)[order].astype(np.int32)


def quota(total: int, weights: np.ndarray) -> np.ndarray:
    """Whole numbers that add up to ``total`` and follow ``weights`` (largest remainders)."""
    exact = total * weights / weights.sum()
    whole = np.floor(exact).astype(np.int64)
    order = np.argsort(whole - exact, kind="stable")
    whole[order[: total - whole.sum()]] += 1
    return whole


def _depths(settings: Settings, batch: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Expected counts per cell: lognormal, correlated 0.5 between modalities, times the batch's factor."""
    first, second = (np.clip(rng.normal(size=batch.size), -DEPTH_CLIP, DEPTH_CLIP) for _ in range(2))
    shift = 0.1 * settings.batch_strength * rng.uniform(-1, 1, settings.n_batches)
    if settings.confounding in ("depth", "both"):
        shift = np.log(2) * np.linspace(-1, 1, settings.n_batches)  # fourfold from first to last
    noise = {"rna": first, "atac": 0.5 * first + np.sqrt(0.75) * second}
    median = {"rna": settings.rna_depth, "atac": settings.atac_depth}
    return {
        m: (median[m] * np.exp(DEPTH_SD[m] * noise[m] + shift[batch])).astype(np.float32) for m in settings.modalities
    }


def obs_table(settings: Settings, populations: list[Population], cells: Cells, modality: str) -> pd.DataFrame:
    """``obs`` of one modality; ``subgroup``, ``pseudotime`` and ``branch`` where asked for."""
    rows = np.flatnonzero(cells.member[modality])
    population, place = cells.population[rows], cells.place[rows]
    width = max(6, len(str(cells.population.size)))
    table = pd.DataFrame(
        {
            "cell_type": _categorical([p.cell_type for p in populations], population),
            "batch": pd.Categorical.from_codes(cells.batch[rows], settings.batch_names),
            "paired": np.logical_and.reduce(list(cells.member.values()))[rows] & (len(cells.member) == 2),
        },
        index=pd.Index([f"cell{i + 1:0{width}d}" for i in rows]),
    )
    if settings.subgroups:
        table["subgroup"] = _categorical([p.subgroup or p.cell_type for p in populations], population)
    if settings.lineage != "none":
        start, end = (np.array([p.pseudotime[i] for p in populations])[population] for i in (0, 1))
        table["pseudotime"] = start + (end - start) * place
        table["branch"] = _categorical([p.branch for p in populations], population)
    return table


def _categorical(names: list[str], codes: np.ndarray) -> pd.Categorical:
    """Names by population, in their order of appearance; several populations may share a name."""
    categories = list(dict.fromkeys(names))
    recode = np.array([categories.index(name) for name in names])
    return pd.Categorical.from_codes(recode[codes], categories)
