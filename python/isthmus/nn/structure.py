"""How cells lie to each other: divergence between all pairs of posteriors, likeness of two similarity matrices."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus.nn.gaussian import Gaussian


def mean_pairwise_kl(q: Gaussian) -> Tensor:
    r"""Mean Kullback-Leibler divergence between the posteriors of all pairs of cells, without forming the pairs.

    .. math:: \frac{1}{B^2} \sum_{ij} KL(q_i \,\|\, q_j)
        = \frac12 \sum_d \left( \overline{s^2 + \mu^2}\;\overline{s^{-2}} - 2\,\bar\mu\;\overline{\mu s^{-2}}
        + \overline{\mu^2 s^{-2}} - 1 \right)

    where the bars are means over cells: the mean of a product over all pairs is the product of the means, and the
    logarithms of i and j cancel. It bounds the information that z holds about any property of the cells that a
    decoder is told otherwise.

    Returns
    -------
    torch.Tensor
        Scalar, nats; the pairs of a cell with itself, which are 0, are among them.

    References
    ----------
    Moyer et al. 2018 (arXiv:1805.09458); Cao et al. 2021, Bioinformatics 37:i317, doi:10.1093/bioinformatics/btab303.
    """
    mean = q.mean - q.mean.mean(dim=0, keepdim=True).detach()  # differences matter only, and nothing cancels badly
    precision = (-q.log_variance).exp()
    spread = (q.log_variance.exp() + mean.square()).mean(dim=0) * precision.mean(dim=0)
    crossed = mean.mean(dim=0) * (mean * precision).mean(dim=0)
    own = (mean.square() * precision).mean(dim=0)
    return 0.5 * (spread - 2.0 * crossed + own - 1.0).sum()


def structure_loss(
    z: Tensor, reference: Tensor, weight: Tensor | None = None, group: Tensor | None = None
) -> Tensor:  # fmt: skip
    r"""Mean squared difference of the cosine similarities of cells in two embeddings, over pairs of different cells.

    .. math:: \frac{1}{B (B - 1)} \sum_{i \ne j} w_i w_j \left( \cos(g_i, g_j) - \cos(z_i, z_j) \right)^2

    Parameters
    ----------
    z, reference
        (cells, ...) embeddings; their scales do not matter.
    weight
        (cells,) weight of each cell; None = 1.
    group
        (cells,) codes; only cells of the same one are compared. None = all are.

    Returns
    -------
    torch.Tensor
        Scalar; its expectation does not depend on the number of cells.
    """
    counted = 1.0 - torch.eye(len(z), device=z.device)
    if group is not None:
        counted = counted * (group[:, None] == group)
    squares = counted * (similarity(reference) - similarity(z)).square()
    if weight is not None:
        squares = squares * weight[:, None] * weight
    return squares.sum() / counted.sum().clamp(min=1.0)


def similarity(z: Tensor) -> Tensor:
    """(cells, cells) cosines, float32."""
    with torch.autocast(z.device.type, enabled=False):
        unit = F.normalize(z.float(), dim=1)
        return unit @ unit.T
