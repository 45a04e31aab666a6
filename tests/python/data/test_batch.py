from __future__ import annotations

import pytest
import torch

from isthmus.data import Batch
from isthmus.nn import SparseRows


def rows(n):
    return SparseRows(torch.arange(n + 1), torch.zeros(n, dtype=torch.long), torch.ones(n), 3)


def test_x_is_the_only_modality():
    one = rows(4)
    batch = Batch({"rna": one}, torch.zeros(4, dtype=torch.long), torch.arange(4))
    assert batch.x is one
    assert len(batch) == 4


def test_x_of_two_modalities_is_no_one():
    batch = Batch({"rna": rows(2), "atac": rows(2)}, torch.zeros(2, dtype=torch.long), torch.arange(2))
    with pytest.raises(ValueError, match="too many values"):
        _ = batch.x


def test_moving_keeps_every_part():
    mask = torch.tensor([True, False])
    batch = Batch({"rna": rows(2)}, torch.tensor([1, 0]), torch.tensor([5, 3]), {"rna": mask}).to(torch.device("cpu"))
    assert batch.covariate.tolist() == [1, 0]
    assert batch.index.tolist() == [5, 3]
    assert batch.present["rna"].tolist() == [True, False]
    assert batch.x.dense.tolist() == [[1, 0, 0], [1, 0, 0]]
