from __future__ import annotations

import torch

from isthmus.data import Batch
from isthmus.nn import SparseRows


def rows(n):
    return SparseRows(torch.arange(n + 1), torch.zeros(n, dtype=torch.long), torch.ones(n), 3)


def test_x_is_what_the_encoder_sees():
    seen = rows(4)
    batch = Batch({"counts": rows(4), "x": seen}, torch.zeros(4, dtype=torch.long), torch.arange(4))
    assert batch.x is seen
    assert len(batch) == 4


def test_moving_keeps_every_part():
    mask = torch.tensor([True, False])
    label = torch.tensor([-1, 2])
    batch = Batch({"x": rows(2)}, torch.tensor([1, 0]), torch.tensor([5, 3]), {"x": mask}, label).to(
        torch.device("cpu")
    )
    assert batch.label.tolist() == [-1, 2]
    assert batch.covariate.tolist() == [1, 0]
    assert batch.index.tolist() == [5, 3]
    assert batch.present["x"].tolist() == [True, False]
    assert batch.x.dense.tolist() == [[1, 0, 0], [1, 0, 0]]
