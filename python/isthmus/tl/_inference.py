"""Running a fitted encoder or decoder over many cells, deterministically and in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
import torch

from isthmus.data import Prepared, SparseLoader
from isthmus.models import SCALEX
from isthmus.nn import Moments

CELLS_AT_ONCE = 1024
PSEUDO_CELLS = 32.0  # cells' worth of trust in the running statistics, for statistics="shrunk"


def moments_of_batches(model: SCALEX, prepared: Prepared, batch: np.ndarray, n_batches: int) -> Moments:
    """Exact mean and variance, over all cells of each batch, of what the encoder's normalisation sees.

    One pass; sums in double precision around the running mean of training, so that nothing cancels.

    Returns
    -------
    Moments
        (batches, hidden) float32, population variance. A batch without cells gets NaN.
    """
    centre = model.encoder.norm.running_mean.double()
    width = centre.shape[0]
    count = torch.zeros(n_batches, 1, dtype=torch.float64)
    total, square = (
        torch.zeros(n_batches, width, dtype=torch.float64),
        torch.zeros(n_batches, width, dtype=torch.float64),
    )
    fill = _fill(prepared)
    with torch.inference_mode():
        for part in SparseLoader(prepared.x, batch, batch_size=CELLS_AT_ONCE).epoch():
            h = model.hidden(part.x, fill).double() - centre
            count.index_add_(0, part.covariate, torch.ones(len(part), 1, dtype=torch.float64))
            total.index_add_(0, part.covariate, h)
            square.index_add_(0, part.covariate, h.square())
        mean = total / count
        variance = (square / count - mean.square()).clamp(min=0)
    return Moments((mean + centre).float(), variance.float())


def mean_by_batch(x: sp.csr_matrix, batch: np.ndarray, n_batches: int) -> torch.Tensor:
    """Mean of each feature in each batch, (batches, features) float32, drawn to the overall mean by eight cells."""
    member = sp.csr_matrix((np.ones(len(batch)), (batch, np.arange(len(batch)))), shape=(n_batches, len(batch)))
    count = np.bincount(batch, minlength=n_batches)[:, None]
    overall = np.asarray(x.mean(axis=0))
    return torch.from_numpy((((member @ x).toarray() + 8 * overall) / (count + 8)).astype(np.float32))


def nats_of_means(mean: torch.Tensor, counts: np.ndarray) -> float:
    """Nats a cell costs that is coded by the mean expression of its batch: the loss that a fit starts from.

    Parameters
    ----------
    mean
        (batches, features) in [0, 1].
    counts
        (batches,) cells.
    """
    p = mean.double().clamp(1e-4, 1 - 1e-4)
    entropy = -(p * p.log() + (1 - p) * (1 - p).log()).sum(dim=1)
    return float(np.average(entropy.numpy(), weights=counts))


def choose_moments(model: SCALEX, exact: Moments, counts: np.ndarray, statistics: str) -> Moments:
    """The moments to encode with: of each batch, of training, or between them.

    Parameters
    ----------
    exact
        Moments of each batch, see :func:`moments_of_batches`.
    counts
        (batches,) cells they were computed from.
    statistics
        ``"exact"``: each batch's own (the infinite mini-batch of the authors' inference); a batch under two cells
        gets the running ones. ``"running"``: those of the whole reference, for every batch. ``"shrunk"``: the
        mixture with the weight n / (n + 32) on the batch's own.
    """
    running = model.encoder.running_moments()
    everywhere = Moments(running.mean.expand_as(exact.mean), running.variance.expand_as(exact.variance))
    n = torch.from_numpy(np.asarray(counts, dtype=np.float32))
    weight = {"exact": torch.ones_like(n), "running": torch.zeros_like(n), "shrunk": n / (n + PSEUDO_CELLS)}[statistics]
    own = Moments(exact.mean.nan_to_num(), exact.variance.nan_to_num())
    return own.towards(everywhere, torch.where(n < 2, 0.0, weight))


def encode(model: SCALEX, prepared: Prepared, moments: Moments, group: np.ndarray) -> np.ndarray:
    """Posterior means, (cells, latent) float32; ``group`` is each cell's row of ``moments``."""
    fill = _fill(prepared)
    with torch.inference_mode():
        parts = [
            model.encode(part.x, fill, moments, part.covariate).mean.numpy()
            for part in SparseLoader(prepared.x, group, batch_size=CELLS_AT_ONCE).epoch()
        ]
    return np.concatenate(parts)


def decode(model: SCALEX, z: np.ndarray, domains: list[int], scale: np.ndarray) -> Iterator[np.ndarray]:
    """Expected expression, averaged over ``domains``, in blocks of (cells, features) float32.

    ``scale`` is (domains, features), what 1 stands for in each of them.
    """
    unit = torch.from_numpy(scale)
    with torch.inference_mode():
        for start in range(0, len(z), CELLS_AT_ONCE):
            part = torch.from_numpy(z[start : start + CELLS_AT_ONCE])
            total = torch.zeros(len(part), unit.shape[1])
            for domain, largest in zip(domains, unit, strict=True):
                total += largest * model.decode(part, torch.full((len(part),), domain))
            yield (total / len(domains)).numpy()


def _fill(prepared: Prepared) -> torch.Tensor | None:
    """Values of unmeasured features; None where all were measured."""
    return None if prepared.found.all() else torch.from_numpy(prepared.fill)
