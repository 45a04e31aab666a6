from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from isthmus.nn.graph import Edges, EdgeSampler, GraphEncoder
from isthmus.nn.propagation import SignedPropagation

NODES = 9


@pytest.fixture
def edges(generator):
    """Twelve random pairs, both directions, then a loop on every node."""
    pair = torch.randint(0, NODES, (2, 12), generator=generator)
    pair = pair[:, pair[0] != pair[1]]
    sign = torch.where(torch.rand(pair.shape[1], generator=generator) < 0.5, -1.0, 1.0)
    weight = torch.rand(pair.shape[1], generator=generator) * 0.9 + 0.1
    loop = torch.arange(NODES)
    return Edges(
        torch.cat([pair[0], pair[1], loop]),
        torch.cat([pair[1], pair[0], loop]),
        torch.cat([sign, sign, torch.ones(NODES)]),
        torch.cat([weight, weight, torch.ones(NODES)]),
    )


def slow_propagation(edges, h):
    """Edge by edge."""
    into = np.zeros(NODES)
    for target, weight in zip(edges.target.tolist(), edges.weight.tolist(), strict=True):
        into[target] += weight
    out = [torch.zeros(h.shape[1]) for _ in range(NODES)]
    for s, t, sign, weight in zip(*(part.tolist() for part in edges), strict=True):
        out[t] = out[t] + sign * weight / np.sqrt(into[t]) * h[s]
    return torch.stack(out)


def test_propagation_and_its_gradient_equal_those_edge_by_edge(edges, generator):
    h = torch.randn(NODES, 4, generator=generator, requires_grad=True)
    same = h.detach().clone().requires_grad_()
    fast, slow = SignedPropagation(*edges, NODES)(h), slow_propagation(edges, same)
    torch.testing.assert_close(fast, slow)
    pull = torch.randn(NODES, 4, generator=generator)
    (fast * pull).sum().backward()
    (slow * pull).sum().backward()
    torch.testing.assert_close(h.grad, same.grad)


def test_a_parallel_edge_counts_twice(edges):
    doubled = Edges(*(torch.cat([part, part[:1]]) for part in edges))
    h = torch.eye(NODES)
    torch.testing.assert_close(SignedPropagation(*doubled, NODES)(h), slow_propagation(doubled, h))


def test_the_order_of_edges_does_not_matter(edges, generator):
    order = torch.randperm(len(edges.source), generator=generator)
    h = torch.randn(NODES, 3, generator=generator)
    shuffled = Edges(*(part[order] for part in edges))
    torch.testing.assert_close(SignedPropagation(*shuffled, NODES)(h), SignedPropagation(*edges, NODES)(h))


def test_nodes_start_alike(edges):
    q = GraphEncoder(edges, NODES, 5)()
    torch.testing.assert_close(q.mean, q.mean[:1].expand(NODES, 5))


def test_edges_are_drawn_by_weight_and_negatives_by_degree(edges):
    sampler = EdgeSampler(edges, NODES, steps_per_pass=1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = [sampler.draw() for _ in range(3000)]
    share = torch.bincount(torch.cat([edge for edge, _, _ in drawn]), minlength=len(edges.weight)).double()
    torch.testing.assert_close(share / share.sum(), edges.weight.double() / edges.weight.sum(), atol=0.005, rtol=0)
    degree = torch.zeros(NODES)
    for s, t, weight in zip(edges.source.tolist(), edges.target.tolist(), edges.weight.tolist(), strict=True):
        if s != t:
            degree[s] += weight
            degree[t] += weight
    target = torch.bincount(torch.cat([t.flatten() for _, t, _ in drawn]), minlength=NODES).double()
    torch.testing.assert_close(target / target.sum(), degree.double() / degree.sum(), atol=0.005, rtol=0)


def test_known_edges_are_no_negatives(edges):
    known = set(zip(edges.source.tolist(), edges.target.tolist(), edges.sign.tolist(), strict=True))
    sampler = EdgeSampler(edges, NODES, steps_per_pass=1)
    edge, target, counts = sampler.draw()
    for e, targets, used in zip(edge.tolist(), target.tolist(), counts.tolist(), strict=True):
        for t, is_used in zip(targets, used, strict=True):
            assert is_used == ((int(edges.source[e]), t, float(edges.sign[e])) not in known)
    assert not counts.all()  # or the graph was too thin for this test to see anything


def test_loss_of_edges_is_that_of_a_classifier(edges, generator):
    sampler = EdgeSampler(edges, NODES, steps_per_pass=1)
    v = torch.randn(NODES, 4, generator=generator)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        edge, target, counts = sampler.draw()
        torch.manual_seed(3)
        loss = sampler.nll(v)
    sign, source = edges.sign[edge], edges.source[edge]
    logit = sign * (v[source] * v[edges.target[edge]]).sum(dim=1)
    positive = F.binary_cross_entropy_with_logits(logit, torch.ones_like(logit))
    logits = [
        sign[i] * v[source[i]] @ v[t]
        for i in range(len(edge))
        for t, used in zip(target[i], counts[i], strict=True)
        if used
    ]
    negative = F.binary_cross_entropy_with_logits(torch.stack(logits), torch.zeros(len(logits)))
    torch.testing.assert_close(loss, 0.5 * (positive + negative))


def test_a_graph_of_loops_only_draws_any_negatives():
    loop = torch.arange(4)
    sampler = EdgeSampler(Edges(loop, loop, torch.ones(4), torch.ones(4)), 4, steps_per_pass=1)
    _, target, _ = sampler.draw()
    assert set(target.flatten().tolist()) <= {0, 1, 2, 3}
    assert torch.isfinite(sampler.nll(torch.randn(4, 2)))
