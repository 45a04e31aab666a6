"""The network of GLUE: every term against loops, every weight where it belongs."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch.distributions import Normal, kl_divergence

from isthmus.data import SparseLoader
from isthmus.data.joint import JointLoader
from isthmus.models import GLUE
from isthmus.models.glue import Weights
from isthmus.nn.graph import Edges
from isthmus.nn.inner_product import DECODERS
from isthmus.train import Clock, Options, train

CELLS, LATENT, TYPES = 24, 4, 3
FEATURES = {"rna": 10, "atac": 14, "meth": 10}
INPUTS = {"rna": 5, "atac": 6, "meth": 4}
BATCHES = {"rna": 2, "atac": 1, "meth": 2}
LIKELIHOODS = {"rna": "nb", "atac": "bernoulli", "meth": "normal"}
QUICK = {"compile": False, "accelerator": "cpu"}


def close(a, b, **settings):
    torch.testing.assert_close(a, b, **settings)


def edges_of(names):
    """A closed graph: each gene with two peaks, and with its own methylation, which goes the other way."""
    starts = np.cumsum([0, *(FEATURES[k] for k in names)])
    start = dict(zip(names, starts, strict=False))
    forward = [
        (g, start["atac"] + (g + i) % FEATURES["atac"], 1.0, 0.5) for g in range(FEATURES["rna"]) for i in (0, 3)
    ]
    if "meth" in names:
        forward += [(g, start["meth"] + g, -1.0, 1.0) for g in range(FEATURES["rna"])]
    loops = [(i, i, 1.0, 1.0) for i in range(starts[-1])]
    rows = forward + [(b, a, sign, weight) for a, b, sign, weight in forward] + loops
    source, target, sign, weight = (np.array(column) for column in zip(*rows, strict=True))
    return Edges(torch.tensor(source), torch.tensor(target), torch.tensor(sign).float(), torch.tensor(weight).float())


def make(names=("rna", "atac"), seed=2, **settings):
    """A network of these modalities; the node table is not zero, so that features differ."""
    tables = [{k: table[k] for k in names} for table in (FEATURES, INPUTS, BATCHES, LIKELIHOODS)]
    settings = {"n_latent": LATENT, "n_hidden": 8, "n_layers": 1, "dropout": 0.0, **settings}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = GLUE(edges_of(names), *tables, **settings)
        torch.nn.init.normal_(network.graph.table)
        for parameter in network.decoders.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return network


def loader_of(names, rng, pairs=None, size=CELLS, cells=CELLS, likelihoods=LIKELIHOODS):
    """Cells of each modality with labels and weights, in order where all are served at once."""
    loaders = {}
    for k in names:
        x = rng.poisson(1.0, (cells, FEATURES[k])).astype(np.float32)
        x[:, 0] += 1
        x = {"bernoulli": x > 0, "normal": x - 1.3}.get(likelihoods[k], x)
        facts = {
            "representation": rng.normal(size=(cells, INPUTS[k])).astype(np.float32),
            "label": np.arange(cells) % (TYPES + 1) - 1,
            "weight": rng.uniform(0.0, 2.0, cells).astype(np.float32),
        }
        batch = rng.integers(0, BATCHES[k], cells)
        loaders[k] = SparseLoader(
            sp.csr_matrix(x.astype(np.float32)), batch, batch_size=size, shuffle=size < cells, cells=facts
        )
    return JointLoader(loaders, pairs)


@pytest.fixture
def batch(rng):
    return next(loader_of(("rna", "atac"), rng).epoch())


def losses(network, batch, seed=9):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return network.losses(batch)


def drawn(network, batch, seed=9):
    """The very draws that the losses of this seed are of: u by modality and v by modality."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        v = network.graph().rsample()
        q = {k: network.encode(k, part.representation) for k, part in batch.parts.items()}
        u = {k: posterior.rsample() for k, posterior in q.items()}
    return u, dict(zip(network.modalities, v.split(network.n_features), strict=True)), q


def test_cells_count_per_feature(batch):
    network = make().eval()
    terms, (u, v, q) = losses(network, batch), drawn(network, batch)
    for k, part in batch.parts.items():
        nats = [
            network.decoders[k].nll(part.x.rows(i, i + 1), u[k][[i]], v[k], part.covariate[[i]])[0] / FEATURES[k]
            for i in range(CELLS)
        ]
        close(terms.reconstruction[k], torch.stack(nats).mean())
        divergence = kl_divergence(Normal(q[k].mean, (q[k].log_variance / 2).exp()), Normal(0.0, 1.0))
        close(terms.kl[k], divergence.sum(dim=1).mean() / FEATURES[k])


def test_the_graphs_divergence_is_over_nodes_twice(batch):
    network = make().eval()
    q = network.graph()
    divergence = kl_divergence(Normal(q.mean, (q.log_variance / 2).exp()), Normal(0.0, 1.0))
    close(losses(network, batch).graph_kl, divergence.sum(dim=1).mean() / len(q.mean))


def test_the_discriminator_sees_means_weighted_by_cell(batch):
    network = make(weights=Weights(noise=0.0)).eval()
    slow = []
    for i, (k, part) in enumerate(batch.parts.items()):
        logits = network.discriminator.layers(network.encode(k, part.representation).mean)
        slow += [part.weight[j] * F.cross_entropy(logits[j], torch.tensor(i)) for j in range(CELLS)]
    close(losses(network, batch).discriminator, torch.stack(slow).sum() / len(slow))


def test_without_weights_all_cells_count_alike(batch):
    network = make(weights=Weights(noise=0.0)).eval()
    for part in batch.parts.values():
        part.weight = torch.ones(CELLS)
    ones = losses(network, batch).discriminator
    for part in batch.parts.values():
        part.weight = None
    close(losses(network, batch).discriminator, ones)


def test_shared_batches_are_told_to_the_discriminator(rng):
    names = ("rna", "meth")
    batch = next(loader_of(names, rng).epoch())
    tables = [{k: table[k] for k in names} for table in (FEATURES, INPUTS, BATCHES, LIKELIHOODS)]
    loops = torch.arange(20)
    edges = Edges(loops, loops, torch.ones(20), torch.ones(20))
    for shared in (False, True):
        network = GLUE(edges, *tables, n_latent=LATENT, n_hidden=8, shared_batches=shared).eval()
        before = losses(network, batch).discriminator
        covariates = {k: part.covariate for k, part in batch.parts.items()}
        for part in batch.parts.values():
            part.covariate = 1 - part.covariate
        assert torch.equal(losses(network, batch).discriminator, before) != shared
        for k, part in batch.parts.items():
            part.covariate = covariates[k]


def test_noise_has_the_spread_of_the_cells(batch, monkeypatch):
    network = make(weights=Weights(noise=1.5)).eval()
    seen = []
    monkeypatch.setattr(network.discriminator, "forward", lambda u, *_: seen.append(u) or u.sum(dim=1))
    means = torch.cat([network.encode(k, part.representation).mean for k, part in batch.parts.items()])
    for seed in range(100):
        losses(network, batch, seed)
    noise = torch.stack(seen) - means
    close(noise.std(dim=(0, 1)), 1.5 * means.std(dim=0), rtol=0.1, atol=0.0)
    assert noise.mean().abs() < 0.05 * means.std()


@pytest.mark.parametrize(
    ("burn_in", "left"),
    [(None, (1.0, 1.0, 1.0, 1.0)), (0.4, (1.0, 0.5, 0.0, 0.0)), (1.0, (1.0, 0.8, 0.6, 0.1)), (0.0, (0.0,) * 4)],
)
def test_noise_falls_to_nothing_over_the_burn_in_and_stays_without(burn_in, left):
    network = make(weights=Weights(noise=2.0, burn_in=burn_in))
    for step, share in zip((0, 20, 40, 90), left, strict=True):
        network.at(Clock(step, 100))
        assert float(network.noise) == pytest.approx(2.0 * share)


@pytest.mark.parametrize("missing", [0.0, 0.4, 1.0])
def test_labels_count_where_they_are_known(batch, rng, missing):
    network = make(n_labels=TYPES).eval()
    slow = []
    for k, part in batch.parts.items():
        part.label = torch.from_numpy(np.where(rng.random(CELLS) < missing, -1, np.arange(CELLS) % TYPES))
        logits = network.cell_type(network.encode(k, part.representation).mean)
        slow += [F.cross_entropy(logits[i], part.label[i]) for i in range(CELLS) if part.label[i] >= 0]
    close(losses(network, batch).labels, torch.stack(slow).mean() if slow else torch.tensor(0.0))
    probability = network.classify(network.encode("rna", batch.parts["rna"].representation).mean)
    close(probability.sum(dim=1), torch.ones(CELLS))


def test_paired_terms_are_those_of_loops_over_cells(rng):
    """Fillers take no part: of each row only what is there is looked at."""
    names = ("rna", "atac", "meth")
    kinds = np.array([[1, 1, 1], [1, 1, 0], [0, 1, 1], [1, 0, 0], [0, 0, 1]], dtype=bool)[np.arange(CELLS) % 5]
    batch = next(loader_of(names, rng, np.where(kinds, np.arange(CELLS)[:, None], -1)).epoch())
    assert all(np.array_equal(batch.present[k].numpy(), kinds[:, i]) for i, k in enumerate(names))
    weights = {"rna": 1.0, "atac": 3.0, "meth": 2.0}
    network = make(names, weights=Weights(data=weights)).eval()
    terms, (u, v, _) = losses(network, batch), drawn(network, batch)
    share = {k: weights[k] / 2.0 for k in names}

    def nats(k, i, z):
        part = batch.parts[k]
        return network.decoders[k].nll(part.x.rows(i, i + 1), z[None], v[k], part.covariate[[i]])[0] / FEATURES[k]

    joint, unlike, real = ({k: [] for k in names} for _ in range(3))
    for i in range(CELLS):
        here = [k for k, there in zip(names, kinds[i], strict=True) if there]
        mean = torch.stack([u[k][i] for k in here]).mean(dim=0)
        for k in here:
            joint[k].append(nats(k, i, mean))
            unlike[k].append(1 - F.cosine_similarity(u[k][i], mean, dim=0))
        for a, b in permutations(here, 2):
            real.setdefault((a, b), []).append(nats(b, i, u[a][i]))
    close(terms.joint_cross, sum(share[k] * torch.stack(joint[k]).mean() for k in names))
    close(terms.cosine, sum(torch.stack(unlike[k]).mean() for k in names))
    close(terms.real_cross, sum(share[b] * torch.stack(real[a, b]).mean() for a, b in permutations(names, 2)))


def test_what_fills_up_changes_no_paired_term(rng):
    pairs = np.stack([np.arange(CELLS), np.where(np.arange(CELLS) < 10, np.arange(CELLS), -1)], axis=1)
    batch = next(loader_of(("rna", "atac"), rng, pairs).epoch())
    network = make().eval()
    before = losses(network, batch)
    filler = batch.parts["atac"].representation[10:]
    batch.parts["atac"].representation[10:] = filler + 100.0
    after = losses(network, batch)
    for name in ("joint_cross", "real_cross", "cosine"):
        assert torch.equal(getattr(after, name), getattr(before, name))
        assert getattr(before, name) > 0
    assert after.kl["atac"] > before.kl["atac"]  # as cells of their modality they count


def test_without_pairs_there_are_no_paired_terms(batch):
    terms = losses(make().eval(), batch)
    assert [float(value) for value in (terms.joint_cross, terms.real_cross, terms.cosine, terms.labels)] == [0.0] * 4


def test_each_players_loss_is_the_weighted_sum(batch):
    weights = Weights({"rna": 3.0}, 0.5, 0.3, 0.7, 0.11, 0.13, 0.17, 0.19)
    network = make(n_labels=TYPES, weights=weights).eval()
    batch.present = {k: torch.ones(CELLS, dtype=torch.bool) for k in batch.parts}
    t = losses(network, batch)
    slow = (
        1.5 * (t.reconstruction["rna"] + 0.5 * t.kl["rna"]) + 0.5 * (t.reconstruction["atac"] + 0.5 * t.kl["atac"])
        + 0.3 * 2 * (t.graph + 0.5 * t.graph_kl) - 0.7 * t.discriminator
        + 0.11 * t.labels + 0.13 * t.joint_cross + 0.17 * t.real_cross + 0.19 * t.cosine
    )  # fmt: skip
    loss = {phase.name: phase.loss(t, Clock(0, 9)) for phase in network.phases()}
    close(loss["autoencoders"], slow)
    assert loss["discriminator"] == t.discriminator
    assert {"reconstruction_rna", "reconstruction_atac", "kl_rna", "graph", "discriminator"} <= set(t.terms())


def run_phase(network, name, loader, monkeypatch):
    """Three steps of one phase alone; the names of what moved, of parameters and of buffers."""
    before = {key: value.clone() for key, value in network.state_dict().items()}
    phase = next(phase for phase in network.phases() if phase.name == name)
    monkeypatch.setattr(network, "phases", lambda: [phase])
    train(network, loader, None, Options(max_steps=3, **QUICK), progress="silent")
    return {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}


PLAYERS = {"autoencoders": ("graph.", "decoders.", "encoders.", "cell_type."), "discriminator": ("discriminator.",)}


@pytest.mark.parametrize("name", PLAYERS)
def test_each_player_moves_its_own_parameters_only(name, rng, monkeypatch):
    network = make(n_labels=TYPES)
    parameters = {key for key, _ in network.named_parameters()}
    moved = run_phase(network, name, loader_of(("rna", "atac"), rng, size=8), monkeypatch) & parameters
    assert moved == {key for key in parameters if key.startswith(PLAYERS[name])}
    assert {phase.name for phase in make(n_labels=TYPES).phases()} == set(PLAYERS)


def test_a_frozen_model_moves_graph_and_decoders_only(rng, monkeypatch):
    """Not even the running statistics of its encoders."""
    network = make(n_labels=TYPES, frozen=True, dropout=0.5)
    assert [phase.name for phase in network.phases()] == ["graph"]
    parameters = {key for key, _ in network.named_parameters()}
    moved = run_phase(network, "graph", loader_of(("rna", "atac"), rng, size=8), monkeypatch)
    assert moved == {key for key in parameters if key.startswith(("graph.", "decoders."))}
    statistics = [key for key in network.state_dict() if key.startswith("encoders.") and "running" in key]
    assert statistics
    free = make(n_labels=TYPES)
    assert set(statistics) <= run_phase(
        free, "autoencoders", loader_of(("rna", "atac"), np.random.default_rng(0), size=8), monkeypatch
    )


def test_the_frozen_loss_ignores_the_discriminator(batch):
    network = make(frozen=True)
    terms = losses(network, batch)
    loss = network.phases()[0].loss(terms, Clock(0, 9))
    terms.discriminator = terms.discriminator + 100.0
    assert network.phases()[0].loss(terms, Clock(0, 9)) == loss


@pytest.mark.parametrize("name", DECODERS)
def test_every_likelihood_is_learned_with_rows_for_each_batch(name, rng):
    likelihoods = {"rna": name, "atac": "nb"}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = GLUE(
            edges_of(("rna", "atac")), *({k: table[k] for k in likelihoods} for table in (FEATURES, INPUTS, BATCHES)),
            likelihoods, n_latent=LATENT, n_hidden=8,
        )  # fmt: skip
    loader = loader_of(("rna", "atac"), rng, size=16, cells=64, likelihoods={**LIKELIHOODS, **likelihoods})
    options = Options(max_steps=60, learning_rate=5e-3, schedule="constant", **QUICK)
    history = train(network, loader, None, options, progress="silent")
    losses = history["train_reconstruction_rna"]
    assert np.isfinite(history.drop(columns="learning_rate").to_numpy(dtype=float)).all()
    assert losses.iloc[-1] < losses.iloc[0]
    for key, parameter in network.decoders["rna"].named_parameters():
        assert parameter.shape == (2, FEATURES["rna"])
        assert not torch.equal(parameter[0], parameter[1]), key


def test_a_batch_decodes_with_its_own_rows():
    network = make().eval()
    u, v = torch.randn(3, LATENT), network.embed_features()["rna"]
    one, library = torch.zeros(3, dtype=torch.long), torch.full((3, 1), 50.0)
    before = [network.decode("rna", u, v, one + b, library) for b in (0, 1)]
    with torch.no_grad():
        network.decoders["rna"].offset[1] += torch.randn(FEATURES["rna"])
    assert torch.equal(network.decode("rna", u, v, one, library), before[0])
    assert not torch.allclose(network.decode("rna", u, v, one + 1, library), before[1])


def test_a_negative_edge_turns_the_embedding_over():
    """Where a gene is pulled one way, its methylation goes the other."""
    network = make(("rna", "atac", "meth"))
    optimiser = torch.optim.Adam(network.graph.parameters(), lr=0.02)
    torch.manual_seed(0)
    for _ in range(300):
        optimiser.zero_grad()
        network.edges.nll(network.graph().mean).backward()
        optimiser.step()
    with torch.no_grad():
        v = network.embed_features()
    cosine = F.cosine_similarity(v["rna"], v["meth"], dim=1)
    assert (cosine < -0.3).all()
    assert F.cosine_similarity(v["rna"], v["atac"][:10], dim=1).mean() > 0.3
