from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Normal, kl_divergence

from isthmus.data import Batch
from isthmus.models import SCDREAMER, SCDREAMERSup
from isthmus.models.scdreamer import Weights
from isthmus.nn import SparseRows
from isthmus.train import Clock

CELLS, FEATURES, BATCHES, TYPES = 20, 12, 3, 4
QUIET = {"dropout": 0.0, "batch_dropout": 0.0, "n_latent": 4, "n_hidden": 8, "n_hidden_adversary": 6}
END = Clock(99, 100)


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return make()


@pytest.fixture
def network():
    return seeded(lambda: SCDREAMER(FEATURES, [8, 8, 4], **QUIET))


@pytest.fixture
def sup():
    return seeded(lambda: SCDREAMERSup(FEATURES, [8, 8, 4], TYPES, **QUIET))


@pytest.fixture
def batch(rng):
    counts = rng.poisson(0.8, (CELLS, FEATURES))
    counts[:, 0] += 1
    row, column = np.nonzero(counts)
    indptr = torch.from_numpy(np.concatenate([[0], np.cumsum(np.bincount(row, minlength=CELLS))]))
    values = counts[row, column].astype(np.float32)
    rows = [SparseRows(indptr, torch.from_numpy(column), torch.from_numpy(v), FEATURES) for v in (values / 10, values)]
    label = torch.from_numpy(rng.integers(-1, TYPES, CELLS))
    codes = torch.from_numpy(rng.integers(0, BATCHES, CELLS))
    return Batch(dict(zip(("x", "counts"), rows, strict=True)), codes, torch.arange(CELLS), label=label)


def losses(model, batch, seed=9):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return model.train().losses(batch)


def test_the_autoencoders_loss_is_the_weighted_sum(network, batch):
    network.weights = Weights(
        kl=0.7, kl_warm_up=0.5, consistency=0.2, bhattacharyya=3.0, batch=5.0, batch_warm_up=0.2, labels=0.0
    )
    terms, phase = losses(network, batch), network.phases()[0]
    for step, kl_share, batch_share in ((0, 0.0, 0.0), (10, 0.2, 0.5), (60, 1.0, 1.0)):
        slow = (
            terms.reconstruction + 0.7 * kl_share * terms.kl + 0.2 * terms.consistency + 3.0 * terms.bhattacharyya
            - 5.0 * batch_share * terms.batch.clamp(max=1.0)
        )  # fmt: skip
        torch.testing.assert_close(phase.loss(terms, Clock(step, 100)), slow)


def test_the_divergence_is_torchs(network, batch):
    q = network.encode(batch.x, batch.covariate)
    slow = kl_divergence(Normal(q.mean, (q.log_variance / 2).exp()), Normal(0.0, 1.0)).sum(dim=1).mean()
    torch.testing.assert_close(losses(network, batch).kl, slow)


def test_every_player_wants_what_it_should(network, batch):
    terms = losses(network, batch)
    loss = {phase.name: phase.loss(terms, END) for phase in network.phases()}
    assert loss["discriminator"] == -terms.bhattacharyya
    assert loss["batch classifier"] == terms.batch


def test_the_encoder_is_not_pushed_beyond_chance(network, batch):
    """Where the classifier is worse than chance there is nothing left to hide."""
    terms = losses(network, batch)
    for value, push in ((0.5, -network.weights.batch), (1.5, 0.0)):
        terms.batch = torch.tensor(value, requires_grad=True)
        (slope,) = torch.autograd.grad(network.phases()[0].loss(terms, END), terms.batch, retain_graph=True)
        assert slope.item() == pytest.approx(push)


def test_the_encoder_is_told_the_batch_or_not(network, batch):
    torch.nn.init.normal_(network.encoder.offset.weight)
    other = (batch.covariate + 1) % BATCHES
    told = network.encode(batch.x, batch.covariate).mean
    assert not torch.allclose(told, network.encode(batch.x, other).mean)
    free = seeded(lambda: SCDREAMER(FEATURES, [8, 8, 4], **{**QUIET, "batch_dropout": 1.0}))
    free.load_state_dict(network.state_dict())
    moved = Batch(batch.values, other, batch.index)
    torch.testing.assert_close(losses(free, batch).kl, losses(free, moved).kl)  # the encoder's share of the loss


def test_decoded_shares_sum_to_one(network):
    shares = network.decode(torch.randn(5, 4), torch.tensor([0, 1, 2, 1, 0]))
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(5))


def test_a_learned_library_has_its_own_divergence(batch):
    learned = seeded(lambda: SCDREAMER(FEATURES, [8, 8, 4], (2.0, 0.3), **QUIET))
    hidden = learned.encoder(batch.x, batch.covariate)
    q = learned.log_library(hidden)
    slow = kl_divergence(Normal(q.mean, (q.log_variance / 2).exp()), Normal(2.0, math.sqrt(0.3)))
    _, kl = learned._library(hidden, batch.values["counts"])
    torch.testing.assert_close(kl, slow.sum(dim=1))


def test_an_observed_library_is_the_sum_of_the_counts(network, batch):
    library, kl = network._library(torch.zeros(CELLS, 8), batch.values["counts"])
    torch.testing.assert_close(library.exp().squeeze(1), batch.values["counts"].dense.sum(dim=1))
    assert (kl == 0).all()


def test_labels_count_where_they_are_known(sup, batch):
    with torch.random.fork_rng():
        torch.manual_seed(9)
        z = sup.train().latent(sup.encoder(batch.x, batch.covariate)).rsample()
    known = batch.label >= 0
    slow = F.cross_entropy(sup.cell_type(z)[known], batch.label[known])
    torch.testing.assert_close(losses(sup, batch).labels, slow)
    batch.label = torch.full_like(batch.label, -1)
    assert losses(sup, batch).labels == 0


@pytest.mark.parametrize("told", ["known", "predicted"])
def test_the_prior_is_told_labels_or_predictions(told, batch):
    sup = seeded(lambda: SCDREAMERSup(FEATURES, [8, 8, 4], TYPES, labels_in_prior=told, **QUIET))
    logits = torch.randn(CELLS, TYPES)
    c = sup._types(logits, batch.label)
    for i, label in enumerate(batch.label.tolist()):
        expected = logits[i].softmax(0) if told == "predicted" or label < 0 else torch.eye(TYPES)[label]
        torch.testing.assert_close(c[i], expected)


def test_the_prior_of_z_is_gaussian_given_y_and_the_type(sup, batch):
    """The two divergences of the hierarchical model, in plain words, with the same noise."""
    terms = losses(sup, batch)
    with torch.random.fork_rng():
        torch.manual_seed(9)
        hidden = sup.encoder(batch.x, batch.covariate)
        q = sup.latent(hidden)
        z = q.rsample()
        half = CELLS // 2
        sup.latent(sup.encoder(batch.x.rows(0, half).dropout(sup.mask), batch.covariate[:half])).rsample()
        c = sup._types(sup.cell_type(z), batch.label)
        y = sup.y(sup.upper(torch.cat([z, c], 1)))
        prior = sup.prior(sup.prior_hidden(torch.cat([y.rsample(), c], 1)))
    z_given = Normal(q.mean, (q.log_variance / 2).exp()), Normal(prior.mean, (prior.log_variance / 2).exp())
    y_given = Normal(y.mean, (y.log_variance / 2).exp()), Normal(0.0, 1.0)
    torch.testing.assert_close(terms.kl, kl_divergence(*z_given).sum(1).mean(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(terms.kl_y, kl_divergence(*y_given).sum(1).mean(), rtol=1e-4, atol=1e-4)


def test_probabilities_of_types_sum_to_one(sup):
    torch.testing.assert_close(sup.classify(torch.randn(7, 4)).sum(dim=1), torch.ones(7))
