"""The network of scI2CL: every term against loops, and cells that are a matter of their own."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
import torch.nn.functional as F

from isthmus.data import SparseLoader
from isthmus.data.joint import JointLoader
from isthmus.models import SCI2CL
from isthmus.models.sci2cl import Weights
from isthmus.train import Clock, Options, train

FEATURES, BATCHES, CELLS = {"rna": 10, "atac": 14}, {"rna": 2, "atac": 2}, 20
ALL = Weights(batch=0.5)


def close(a, b, **settings):
    torch.testing.assert_close(a, b, **settings)


def make(seed=2, **settings):
    given = {"n_latent": 8, "n_hidden": 8, "n_heads": 2, "n_anchors": 5, "dropout": 0.0, "batch_counts": [12, 8]}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = SCI2CL(FEATURES, BATCHES, **{**given, "weights": ALL, **settings})
        for block in network.attention.values():
            torch.nn.init.normal_(block.attention.out.weight)
    return network


def loader_of(rng, pairs, size=CELLS, label=None):
    loaders = {}
    for i, m in enumerate(FEATURES):
        n = int((pairs[:, i] >= 0).sum())
        x = rng.poisson(1.0, (n, FEATURES[m])).astype("f4")
        x[:, 0] += 1
        x = sp.csr_matrix(x)
        cells = {} if label is None else {"label": label}
        loaders[m] = SparseLoader(
            x, np.arange(n) % 2, batch_size=size, shuffle=size < CELLS, beside={"counts": np.ceil(x.data)}, cells=cells
        )
    return JointLoader(loaders, pairs)


def every(n=CELLS):
    return np.stack([np.arange(n)] * 2, axis=1)


@pytest.fixture
def partial():
    """The first three cells without ATAC, the last four without RNA."""
    rows = np.full((CELLS, 2), -1)
    rows[: CELLS - 4, 0] = np.arange(CELLS - 4)
    rows[3:, 1] = np.arange(CELLS - 3)
    return rows


@pytest.fixture
def batch(rng):
    return next(loader_of(rng, every()).epoch())


@pytest.fixture
def lacking(rng, partial):
    return next(loader_of(rng, partial).epoch())


def fused(network, batch):
    z = {m: network.encode(m, part.x) for m, part in batch.parts.items()}
    return z, network.fuse(network.attended(z, batch.present))


@pytest.mark.parametrize("likelihood", ["zinb", "nb"])
def test_counts_are_those_of_measured_cells(lacking, likelihood):
    network = make(likelihood=likelihood).eval()
    terms, (_, z) = network.losses(lacking), fused(network, lacking)
    for m, part in lacking.parts.items():
        counts, nats = part.values["counts"], []
        for i in np.flatnonzero(lacking.present[m].numpy()):
            h = network.decoders[m](z[[i]], part.covariate[[i]])
            one = counts.rows(i, i + 1)
            nats.append(network.counts[m].nll(one, h, one.sums.log()[:, None])[0])
        close(terms.reconstruction[m], torch.stack(nats).mean(), atol=1e-3, rtol=1e-4)


def test_views_are_held_against_the_code(batch):
    network = make(mask=0.0).eval()  # without masks every view is the cell
    terms = network.losses(batch)
    for m, part in batch.parts.items():
        z = network.encode(m, part.x)[: CELLS // 2]
        views = network.views[m](z[:, None].expand(-1, network.n_views, -1))
        close(terms.mse[m], (views - z).square().mean())


def test_the_contrast_is_of_cells_with_both(lacking, partial):
    network = make().eval()
    z = {m: network.encode(m, part.x) for m, part in lacking.parts.items()}
    both = np.flatnonzero((partial >= 0).all(axis=1))
    u, v = (F.normalize(network.attention[m](z[m][both]), dim=1) for m in FEATURES)
    close(network.losses(lacking).moc, network.contrast(u @ v.T))


def test_matching_of_one_possible_negative_is_the_loop(rng):
    """With two cells each one's only false partner is the other."""
    batch = next(loader_of(rng, every(2)).epoch())
    network = make(n_negatives=3).eval()
    z = {m: network.encode(m, part.x) for m, part in batch.parts.items()}
    u, v = (network.attention[m](z[m]) for m in FEATURES)

    def cost(i, j):
        logit = network.matching(network.fusion(u[[i]], v[[j]]))[0, 0]
        return F.binary_cross_entropy_with_logits(logit, torch.tensor(float(i == j)))

    true, false = 0.5 * (cost(0, 0) + cost(1, 1)), 0.5 * (cost(0, 1) + cost(1, 0))
    close(network.losses(batch).mom, 0.5 * (true + false))


def test_labels_decide_who_may_be_a_false_partner(rng):
    label = np.array([0, 0, 1, -1] * 5)
    network = make()
    batch = next(loader_of(rng, every(), label=label).epoch())
    allowed = network._allowed(batch, torch.ones(CELLS, dtype=torch.bool))
    for i in range(CELLS):
        for j in range(CELLS):
            same = label[i] == label[j] and label[i] >= 0
            assert bool(allowed[i, j]) == (i != j and not same)
    plain = next(loader_of(rng, every()).epoch())
    assert network._allowed(plain, torch.ones(CELLS, dtype=torch.bool)).sum() == CELLS * (CELLS - 1)


def test_one_type_only_leaves_nothing_to_match(rng):
    batch = next(loader_of(rng, every(), label=np.zeros(CELLS, dtype=np.int64)).epoch())
    assert torch.isfinite(make().losses(batch).mom)


def test_the_total_is_the_weighted_sum(batch):
    network = make(weights=Weights(2.0, 3.0, 5.0, 7.0, 0.5)).eval()
    terms = network.losses(batch)
    expected = 2.0 * sum(terms.reconstruction.values()) + 3.0 * sum(terms.mse.values()) + 5.0 * terms.moc
    expected = expected + 7.0 * terms.mom - 0.5 * terms.batch.clamp(max=1.0)
    close(network.phases()[0].loss(terms, Clock(0, 1)), expected)
    assert set(terms.terms()) == {
        "reconstruction_rna", "reconstruction_atac", "mse_rna", "mse_atac", "moc", "mom", "batch", "across",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["mse", "moc", "mom"])
def test_a_term_without_weight_is_not_computed(batch, name, monkeypatch):
    network = make(weights=Weights(**{name: 0.0}))
    where = {"mse": "_mse", "moc": "contrast", "mom": "_mom"}[name]

    def never(*args):
        raise AssertionError("computed")

    if name == "moc":
        monkeypatch.setattr(network.contrast, "forward", never)
    else:
        monkeypatch.setattr(network, where, never)
    terms = network.losses(batch).terms()
    assert all(float(v) == 0.0 for k, v in terms.items() if k.startswith(name))


def test_no_pair_at_all_is_no_error(rng):
    rows = np.concatenate([np.stack([np.arange(5), [-1] * 5], 1), np.stack([[-1] * 5, np.arange(5)], 1)])
    terms = make().losses(next(loader_of(rng, rows).epoch())).terms()
    assert all(torch.isfinite(value) for value in terms.values())
    assert float(terms["moc"]) == float(terms["mom"]) == float(terms["across"]) == 0.0


def test_a_cell_is_a_matter_of_its_own(lacking, generator):
    network = make().eval()
    z = {m: network.encode(m, part.x) for m, part in lacking.parts.items()}
    whole = network.embed(z, lacking.present)
    order = torch.randperm(CELLS, generator=generator)
    close(
        network.embed({m: c[order] for m, c in z.items()}, {m: p[order] for m, p in lacking.present.items()}),
        whole[order],
    )
    for i in range(CELLS):
        alone = network.embed({m: c[[i]] for m, c in z.items()}, {m: p[[i]] for m, p in lacking.present.items()})
        close(alone, whole[[i]], atol=1e-5, rtol=1e-5)


def test_what_was_not_measured_is_not_looked_at(lacking):
    network = make().eval()
    z = {m: network.encode(m, part.x) for m, part in lacking.parts.items()}
    noise = {m: torch.where(lacking.present[m][:, None], c, 77.0) for m, c in z.items()}
    close(network.embed(noise, lacking.present), network.embed(z, lacking.present))


def test_whitening_changes_nothing_that_is_decoded(batch):
    network = make().eval()
    z = {m: network.encode(m, part.x) for m, part in batch.parts.items()}
    code = batch.parts["rna"].covariate
    before = network.decode("rna", network.embed(z, batch.present), code)
    with torch.no_grad():
        network.whitening.settle(network.embed(z, batch.present))
        after = network.decode("rna", network.embed(z, batch.present), code)
    close(before.sum(dim=1), torch.ones(CELLS))
    close(after, before.detach(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("counts", [None, [12, 8]])
def test_each_phase_moves_its_own_parameters_only(rng, counts, monkeypatch):
    loader, covered = loader_of(rng, every(), size=8), set()
    for name in [phase.name for phase in make(batch_counts=counts).phases()]:
        fresh = make(batch_counts=counts)
        phase = next(other for other in fresh.phases() if other.name == name)
        own = {id(parameter) for parameter in phase.parameters()}
        covered |= {n for n, parameter in fresh.named_parameters() if id(parameter) in own}
        before = {n: parameter.detach().clone() for n, parameter in fresh.named_parameters()}
        monkeypatch.setattr(fresh, "phases", lambda phase=phase: [phase])
        train(fresh, loader, None, Options(max_steps=3, compile=False, accelerator="cpu"), progress="silent")
        for n, parameter in fresh.named_parameters():
            moved = not torch.equal(parameter, before[n])
            no_slope = n.endswith("attention.key.bias")  # the softmax does not see it
            assert moved == (id(parameter) in own) or no_slope, f"{name}: {n}"
    assert covered == {n for n, _ in make(batch_counts=counts).named_parameters()}
