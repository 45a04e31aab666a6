from __future__ import annotations

import torch

from isthmus.data import Batch
from isthmus.data.batch import JointBatch
from isthmus.nn import SparseRows


def rows(n):
    return SparseRows(torch.arange(n + 1), torch.zeros(n, dtype=torch.long), torch.ones(n), 3)


def test_x_is_what_the_encoder_sees():
    seen = rows(4)
    batch = Batch({"counts": rows(4), "x": seen}, torch.zeros(4, dtype=torch.long), torch.arange(4))
    assert batch.x is seen
    assert len(batch) == 4


def test_moving_keeps_every_part():
    facts = {
        "label": torch.tensor([-1, 2]),
        "representation": torch.tensor([[1.0], [2.0]]),
        "weight": torch.tensor([0.5, 1.5]),
    }
    batch = Batch({"x": rows(2)}, torch.tensor([1, 0]), torch.tensor([5, 3]), **facts)
    joint = JointBatch({"rna": batch}, {"rna": torch.tensor([True, False])}).to(torch.device("cpu"))
    moved = joint.parts["rna"]
    assert len(joint) == 2
    assert joint.present["rna"].tolist() == [True, False]
    assert all(getattr(moved, name).tolist() == tensor.tolist() for name, tensor in facts.items())
    assert moved.covariate.tolist() == [1, 0]
    assert moved.index.tolist() == [5, 3]
    assert moved.x.dense.tolist() == [[1, 0, 0], [1, 0, 0]]
