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

    Returns
    -------
    Moments
        (batches, hidden) float32, population variance. Without cells, the running mean and no variance.
    """
    moments, _ = moments_of_groups(model, prepared, batch, n_batches, np.ones((len(batch), 1)))
    return Moments(moments.mean[0], moments.variance[0])


def moments_of_groups(
    model: SCALEX, prepared: Prepared, batch: np.ndarray, n_batches: int, member: np.ndarray
) -> tuple[Moments, torch.Tensor]:
    """Moments of the cells of each batch in each group, where a cell may belong to several groups in part.

    One pass; sums in double precision around the running mean of training, so that nothing cancels.

    Parameters
    ----------
    batch
        (cells,) codes below ``n_batches``.
    member
        (cells, groups) part that each group has in each cell.

    Returns
    -------
    moments
        (groups, batches, hidden) float32, population variance. Without cells, the running mean and no variance.
    count
        (groups, batches) float32, cells' worth.
    """
    centre = model.encoder.norm.running_mean.double()
    parts = torch.from_numpy(np.asarray(member, dtype=np.float64))
    count = torch.zeros(n_batches, parts.shape[1], 1, dtype=torch.float64)
    total = torch.zeros(n_batches, parts.shape[1], len(centre), dtype=torch.float64)
    square = torch.zeros_like(total)
    fill = fill_of(prepared)
    with torch.inference_mode():
        for part in SparseLoader(prepared.x, batch, batch_size=CELLS_AT_ONCE).epoch():
            h = model.hidden(part.x, fill).double() - centre
            for code in part.covariate.unique():
                own = part.covariate == code
                share = parts[part.index[own]].T  # (groups, cells)
                count[code] += share.sum(dim=1, keepdim=True)
                total[code] += share @ h[own]
                square[code] += share @ h[own].square()
        mean = total / count.clamp(min=1e-12)
        variance = (square / count.clamp(min=1e-12) - mean.square()).clamp(min=0)
    moments = Moments((mean + centre).float().transpose(0, 1), variance.float().transpose(0, 1))
    return moments, count[..., 0].float().T


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
    return exact.towards(everywhere, torch.where(n < 2, 0.0, weight))


def encode(model: SCALEX, prepared: Prepared, moments: Moments, group: np.ndarray) -> np.ndarray:
    """Posterior means, (cells, latent) float32; ``group`` is each cell's row of ``moments``."""
    fill = fill_of(prepared)
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


def fill_of(prepared: Prepared) -> torch.Tensor | None:
    """Values of unmeasured features; None where all were measured."""
    return None if prepared.found.all() else torch.from_numpy(prepared.fill)
