from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from isthmus.data import SparseLoader
from isthmus.data.joint import JointLoader


def a_loader(rng, cells, **settings):
    facts = {"representation": np.arange(cells, dtype=np.float32)[:, None], "weight": np.ones(cells, np.float32)}
    x = sp.random(cells, 6, 0.5, "csr", np.float32, random_state=rng)
    return SparseLoader(x, np.arange(cells) % 2, batch_size=8, shuffle=True, cells=facts, **settings)


@pytest.fixture
def loaders(rng):
    return {"rna": a_loader(rng, 50, seed=1), "atac": a_loader(rng, 20, seed=2)}


def cells_of(batches, name):
    return np.concatenate([batch.parts[name].index.numpy() for batch in batches])


def test_an_epoch_is_one_pass_over_the_largest_and_several_over_the_smaller(loaders):
    batches = list(JointLoader(loaders).epoch())
    assert len(batches) == len(JointLoader(loaders)) == 6
    assert {len(part) for batch in batches for part in batch.parts.values()} == {8}
    rna, atac = (np.bincount(cells_of(batches, name)) for name in ("rna", "atac"))
    assert rna.max() == 1
    assert set(atac) <= {2, 3}  # 48 rows of 20 cells


def test_what_is_said_of_a_cell_stays_with_it(loaders):
    for batch in JointLoader(loaders).epoch():
        for name, part in batch.parts.items():
            assert part.representation[:, 0].tolist() == part.index.tolist()
            assert np.array_equal(part.x.dense, loaders[name].x[part.index.numpy()].toarray())
            assert np.array_equal(part.covariate, loaders[name].batch[part.index.numpy()])


def test_the_same_epoch_is_the_same_and_the_next_another(loaders):
    first, again, other = (cells_of(JointLoader(loaders).epoch(i), "rna").tolist() for i in (0, 0, 1))
    assert first == again != other


def test_paired_rows_are_one_cell_and_the_rest_is_filled_up(loaders):
    shared = np.stack([np.arange(10), np.arange(10)[::-1]], axis=1)
    only = [
        np.stack([np.arange(10, 50), np.full(40, -1)], axis=1),
        np.stack([np.full(10, -1), np.arange(10, 20)], axis=1),
    ]
    pairs = np.concatenate([shared, *only])
    partner = dict(shared)
    batches = list(JointLoader(loaders, pairs).epoch())
    assert len(batches) == 60 // 8
    seen = 0
    for batch in batches:
        both = (batch.present["rna"] & batch.present["atac"]).numpy()
        rna, atac = (batch.parts[name].index.numpy() for name in ("rna", "atac"))
        assert [partner[i] for i in rna[both]] == atac[both].tolist()
        assert (batch.present["rna"] | batch.present["atac"]).all()
        assert set(rna[~batch.present["rna"].numpy()]) <= set(range(50))
        seen += both.sum()
    assert seen >= 6


def test_processes_share_an_epoch(loaders):
    whole = JointLoader(loaders)
    parts = [list(JointLoader(loaders, rank=rank, world=2).epoch()) for rank in range(2)]
    assert [len(part) for part in parts] == [3, 3]
    together = np.concatenate([cells_of(part, "rna") for part in parts])
    assert sorted(together) == sorted(cells_of(whole.epoch(), "rna"))


def test_held_out_cells_come_in_order_and_all(rng):
    loaders = {name: a_loader(rng, n) for name, n in (("rna", 20), ("atac", 13))}
    for loader in loaders.values():
        loader.shuffle = False
    batches = list(JointLoader(loaders).epoch())
    assert cells_of(batches, "rna").tolist() == list(range(20))
    assert cells_of(batches, "atac").tolist() == [*range(13), *range(7)]


def test_another_pairing_is_another_fingerprint(loaders):
    pairs = np.stack([np.arange(20), np.arange(20)], axis=1)
    prints = {JointLoader(loaders, p).fingerprint() for p in (None, pairs, pairs[::-1])}
    assert len(prints) == 3
