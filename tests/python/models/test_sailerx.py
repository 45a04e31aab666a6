from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from isthmus.data.batch import Batch, JointBatch
from isthmus.models.sailerx import PAIRED, SAILERX, UNPAIRED, Weights, alignment_weights
from isthmus.nn import Gaussian, SparseRows, kl_standard_normal
from isthmus.nn.structure import mean_pairwise_kl, structure_loss
from isthmus.train.schedules import Clock

SIZES, DEPTH = [30, 12, 18], (2.5, 0.4)


def rows_of(x):
    m = sp.csr_matrix(x.astype(np.float32))
    parts = (m.indptr.astype(np.int64), m.indices.astype(np.int64), m.data)
    return SparseRows(*map(torch.from_numpy, parts), x.shape[1])


def part_of(rng, n_cells=16):
    x = rng.random((n_cells, sum(SIZES))) < 0.3
    return Batch(
        {"x": rows_of(x)}, torch.from_numpy(rng.integers(0, 2, n_cells)), torch.arange(n_cells),
        representation=torch.from_numpy(rng.standard_normal((n_cells, 4)).astype(np.float32)),
        weight=torch.from_numpy(rng.random(n_cells).astype(np.float32)),
    )  # fmt: skip


def make(**settings):
    torch.manual_seed(0)
    return SAILERX(SIZES, 2, DEPTH, n_latent=5, n_hidden=8, **settings)


@pytest.fixture
def batch(rng):
    return JointBatch({PAIRED: part_of(rng), UNPAIRED: part_of(rng)})


def test_every_term_is_what_its_name_says(batch):
    model = make().eval()
    terms = model.losses(batch)
    q = {k: model.encode(part.x) for k, part in batch.parts.items()}
    both = Gaussian(*(torch.cat([getattr(p, n) for p in q.values()]) for n in ("mean", "log_variance")))
    paired = batch.parts[PAIRED]
    torch.testing.assert_close(terms.kl, kl_standard_normal(both).mean())
    torch.testing.assert_close(terms.invariance, mean_pairwise_kl(both))
    torch.testing.assert_close(terms.structure, structure_loss(q[PAIRED].mean, paired.representation, paired.weight))


def test_reconstruction_is_the_mean_over_all_cells(batch, monkeypatch):
    model = make().eval()
    monkeypatch.setattr(Gaussian, "rsample", lambda q: q.mean)
    expected = []
    for part in batch.parts.values():
        z, x = model.encode(part.x).mean, part.x.dense
        p = model.decoder.peaks.logits(
            model.decoder(z, (x.sum(1).log() - DEPTH[0]) / DEPTH[1], part.covariate)
        ).sigmoid()
        expected.append(-torch.where(x > 0, p, 1 - p).log().sum(1))
    torch.testing.assert_close(model.losses(batch).reconstruction, torch.cat(expected).mean(), rtol=1e-4, atol=0)


def test_cells_without_rna_have_no_part_in_the_structure(batch, rng):
    model = make().eval()
    other = replace(batch.parts[UNPAIRED], representation=torch.randn(16, 4), weight=torch.rand(16))
    before, after = model.losses(batch), model.losses(JointBatch({**batch.parts, UNPAIRED: other}))
    assert before.structure == after.structure
    alone = model.losses(JointBatch({PAIRED: batch.parts[PAIRED]}))
    assert alone.structure == before.structure
    assert alone.invariance != before.invariance


def test_warm_up_has_no_divergences_and_equal_weights(batch):
    weights = Weights(kl=2.0, invariance=3.0, structure=5.0, warm_up=0.2, warm_up_structure=7.0, cycles=1)
    model = make(weights=weights).eval()
    (phase,) = model.phases()
    paired = batch.parts[PAIRED]
    begin, full = Clock(0, 100), Clock(90, 100)
    model.at(begin)
    terms = model.losses(batch)
    plain = structure_loss(model.encode(paired.x).mean, paired.representation)
    torch.testing.assert_close(terms.structure, plain)
    torch.testing.assert_close(phase.loss(terms, begin), terms.reconstruction + 7.0 * terms.structure)
    model.at(full)
    terms = model.losses(batch)
    total = terms.reconstruction + 2.0 * terms.kl + 3.0 * terms.invariance + 5.0 * terms.structure
    torch.testing.assert_close(phase.loss(terms, full), total)
    quarter = Clock(40, 100)  # a quarter of the cycle after the warm-up: half of the weight
    total = terms.reconstruction + 0.5 * (2.0 * terms.kl + 3.0 * terms.invariance) + 5.0 * terms.structure
    torch.testing.assert_close(phase.loss(terms, quarter), total)


def test_depth_and_batch_reach_the_decoder_only(batch):
    model = make(typical=20.0).eval()
    part = batch.parts[PAIRED]
    z = model.encode(part.x).mean
    deep, shallow = (model.decoder(z, torch.full((16,), d), part.covariate) for d in (2.0, -2.0))
    assert not torch.allclose(deep, shallow)
    other = model.decoder(z, torch.zeros(16), 1 - part.covariate)
    assert not torch.allclose(other, model.decoder(z, torch.zeros(16), part.covariate))


def test_as_many_peaks_are_open_as_asked_for(batch):
    model, part = make().eval(), batch.parts[PAIRED]
    chances = model.decode(model.encode(part.x).mean, torch.full((16,), 21.0), part.covariate)
    torch.testing.assert_close(chances.sum(1), torch.full((16,), 21.0), rtol=1e-3, atol=0)


def test_scaled_sums_do_not_feel_how_often_a_cell_was_read(rng):
    """A cell's peaks counted over halves of them look alike: the encoder sees shares, not sums."""
    model = make(typical=18.0).eval()
    x = np.zeros((2, sum(SIZES)), dtype=np.float32)
    x[0, [1, 5, 33, 50]] = 1.0
    x[1] = 2.0 * x[0]
    z = model.encode(rows_of(x)).mean
    torch.testing.assert_close(z[0], z[1])
    plain = make().eval().encode(rows_of(x)).mean
    assert not torch.allclose(plain[0], plain[1])


def test_missing_peaks_are_taken_at_their_frequency(rng):
    model = make(typical=18.0).eval()
    x = (rng.random((4, sum(SIZES))) < 0.3).astype(np.float32)
    fill = np.zeros(sum(SIZES), dtype=np.float32)
    fill[:10] = 0.3
    x[:, :10] = 0
    h = model.encoder.first(rows_of(x), torch.from_numpy((18.0 - 3.0) / x.sum(1)), torch.from_numpy(fill))
    dense = torch.from_numpy(x * ((18.0 - 3.0) / x.sum(1))[:, None] + fill)
    expected = [d @ w for d, w in zip(dense.split(SIZES, dim=1), model.encoder.first.weight.split(SIZES), strict=True)]
    torch.testing.assert_close(h, torch.stack(expected, dim=1) + model.encoder.first.bias)


def test_weights_are_the_scaled_log_ratio(rng):
    rna, atac = (torch.from_numpy(rng.lognormal(8, 1, 500)) for _ in range(2))
    ratio = (rna / atac).log()
    plain = alignment_weights(rna, atac, clip=0.0)
    torch.testing.assert_close(plain, ((ratio - ratio.min()) / (ratio.max() - ratio.min())).float())
    torch.testing.assert_close(alignment_weights(3.0 * rna, 7.0 * atac, 0.0), plain)
    clipped = alignment_weights(rna, atac)
    assert ((clipped >= 0) & (clipped <= 1)).all()
    assert (clipped == 0).sum() == (clipped == 1).sum() == 5
    rna[0] *= 1e9  # one outlier: without the cut, all others would count next to nothing
    assert alignment_weights(rna, atac, 0.0).median() < 0.4
    torch.testing.assert_close(alignment_weights(rna, atac)[1:].mean(), clipped[1:].mean(), rtol=0.05, atol=0)
    assert alignment_weights(torch.ones(4), torch.ones(4)).tolist() == [1.0] * 4
