"""Counts of the simulator, 1,000 cells at a time, at a cost that follows the counts and not the matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from isthmus.data._simulate_cells import Cells, Population
from isthmus.data._simulate_profiles import N_PROGRAMMES, STATE_CLIP, STATE_LIMIT, FeatureModel

BLOCK = 1_000  # cells that share a random stream; part of the meaning of a seed, so never to be changed


@dataclass(frozen=True)
class Block:
    """The cells of one block that are measured in one modality."""

    start: np.ndarray  # (cells,) node
    end: np.ndarray  # (cells,) node
    place: np.ndarray  # (cells,) float32, 0 at the start and 1 at the end
    batch: np.ndarray  # (cells,)
    depth: np.ndarray  # (cells,) float32, expected counts
    state: np.ndarray  # z, (cells, programmes) float32


def stream(seed: int, *key: int) -> np.random.Generator:
    """An independent random stream for each key, whatever the order in which they are used."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def count_blocks(
    seed: int, populations: list[Population], cells: Cells, models: dict[str, FeatureModel]
) -> Iterator[dict[str, sparse.csr_matrix]]:
    """Yield, block by block, the counts of each modality's cells, (cells, features) float32."""
    ends = np.array([(p.start, p.end) for p in populations])
    for number, begin in enumerate(range(0, cells.population.size, BLOCK)):
        rows = np.arange(begin, min(begin + BLOCK, cells.population.size))
        state = stream(seed, 3, number, 0).standard_normal((rows.size, N_PROGRAMMES), dtype=np.float32)
        state = np.clip(state, -STATE_CLIP, STATE_CLIP)
        block = {}
        for modality, member in cells.member.items():
            here = np.flatnonzero(member[rows])
            chosen = rows[here]
            start, end = ends[cells.population[chosen]].T
            part = Block(
                start,
                end,
                cells.place[chosen],
                cells.batch[chosen],
                cells.depth[modality][chosen],
                state[here],
            )
            rng = stream(seed, 3, number, {"rna": 1, "atac": 2}[modality])
            block[modality] = sample_counts(models[modality], part, rng)
        yield block


def sample_counts(model: FeatureModel, block: Block, rng: np.random.Generator) -> sparse.csr_matrix:
    """Exact Poisson or negative binomial counts by thinning.

    Candidate events are a Poisson process under an envelope; each is kept with the ratio of the true rate
    to the envelope. For a negative binomial of mean m and dispersion phi, the events kept are the clusters
    of its compound Poisson form: Poisson(log(1 + phi m) / phi) of them, of logarithmic size
    (Quenouille 1949).

    Returns
    -------
    scipy.sparse.csr_matrix
        (cells, features) float32 whole numbers, indices sorted, no stored zeros.
    """
    shape = (block.batch.size, model.shift.shape[1])
    nothing = np.empty(0, dtype=np.int64)
    cells, features, sizes = [nothing], [nothing], [nothing.astype(np.float32)]
    for cell, feature in _candidates(model, block, rng):
        kept, size = _thin(model, block, cell, feature, rng)
        cells.append(cell[kept])
        features.append(feature[kept])
        sizes.append(size)
    cell, feature, size = np.concatenate(cells), np.concatenate(features), np.concatenate(sizes)
    counts = sparse.coo_matrix((size, (cell, feature)), shape=shape).tocsr()  # adds up repeats
    counts.sort_indices()
    return counts


def _candidates(model: FeatureModel, block: Block, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cell and feature of each event under the envelope, node by node; a cell between two has both.

    Of a node's events, first how many fall on each feature, then on which cell each falls: the cells of a
    block are few, so this search stays in the cache.
    """
    moving = block.start != block.end
    at_start = np.where(moving, 1.0 - block.place, 1.0)
    for node_of, share in ((block.start, at_start), (block.end, 1.0 - at_start)):
        weight = block.depth * share
        for node in np.unique(node_of[weight > 0]):
            here = np.flatnonzero((node_of == node) & (weight > 0))
            number = rng.poisson(weight[here].sum() * model.envelope[node])
            feature = np.repeat(np.arange(number.size), number)
            yield here.take(_draw_weighted(weight[here], feature.size, rng)), feature


def _draw_weighted(weight: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Positions drawn with odds ``weight``, by Walker's alias table (faster than a binary search)."""
    n = weight.size
    share, other = n * weight / weight.sum(), np.arange(n)
    small, large = [list(np.flatnonzero(side)) for side in (share < 1, share >= 1)]
    while small and large:  # each small one is filled up by a large one
        low, high = small.pop(), large[-1]
        other[low] = high
        share[high] -= 1.0 - share[low]
        if share[high] < 1:
            small.append(large.pop())
    share[small + large] = 1.0  # rounding leaves these
    position = n * rng.random(size)
    column = position.astype(np.intp)
    return np.where(position - column < share.take(column), column, other.take(column))


def _thin(
    model: FeatureModel, block: Block, cell: np.ndarray, feature: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Which events are kept, (events,) bool, and the counts of those kept, float32."""
    log_modifier = _entry(model.shift, block.batch.take(cell), feature)
    log_modifier += _state_effect(model, block, cell, feature)
    chance = np.exp(log_modifier - model.ceiling.take(feature))
    if model.dispersion is None:
        kept = rng.random(cell.size) < chance
        return kept, np.ones(np.count_nonzero(kept), dtype=np.float32)
    mean = _mean_rate(model, block, cell, feature) * block.depth.take(cell) * np.exp(log_modifier)
    spread = (model.dispersion.take(feature) * mean).astype(np.float64)  # phi m
    kept = rng.random(cell.size) < chance * np.log1p(spread) / spread
    return kept, rng.logseries(spread[kept] / (1.0 + spread[kept])).astype(np.float32)


def _state_effect(model: FeatureModel, block: Block, cell: np.ndarray, feature: np.ndarray) -> np.ndarray:
    """Log change of each event's rate by the state of its cell; features without loadings are skipped."""
    effect = np.zeros(cell.size, dtype=np.float32)
    moved = np.flatnonzero(model.loadings.any(axis=1).take(feature))
    state, loadings = block.state.take(cell[moved], axis=0), model.loadings.take(feature[moved], axis=0)
    product = np.einsum("ek,ek->e", state, loadings)
    effect[moved] = STATE_LIMIT * np.tanh(product / STATE_LIMIT)
    return effect


def _mean_rate(model: FeatureModel, block: Block, cell: np.ndarray, feature: np.ndarray) -> np.ndarray:
    """Rate rho of each event's feature in its cell, between the two nodes."""
    place = block.place.take(cell)
    start, end = (_entry(model.rate, node.take(cell), feature) for node in (block.start, block.end))
    return (1 - place) * start + place * end


def _entry(table: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """``table[row, column]``; one flat index is twice as fast as two."""
    return table.ravel().take(row.astype(np.intp) * table.shape[1] + column)
