"""Weights that balance modalities, against their definition."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from isthmus.tl import _balance


def slow_weights(latents, clusters):
    """The weights of a cell one by one, from the definition; K-way product over pairs of modalities."""
    names, means = list(latents), {}
    for k, z in latents.items():
        sums = [z[clusters[k] == c].mean(axis=0) for c in range(clusters[k].max() + 1)]
        means[k] = [m / np.linalg.norm(m) for m in sums]
    best = []
    for i, j in permutations(range(len(names)), 2):
        found = [max(float(mine @ other) for other in means[names[j]]) for mine in means[names[i]]]
        best.append(np.mean([found[c] for c in clusters[names[i]]]))
    trust = min(max((np.mean(best) - 0.5) / 0.25, 0.0), 1.0)
    joint = {}
    for combination in product(*(range(len(means[k])) for k in names)):
        value = 1.0
        for i in range(len(names)):
            for j in range(i):
                cosine = float(means[names[i]][combination[i]] @ means[names[j]][combination[j]])
                value *= cosine**4 if cosine >= 0.5 else 0.0
        joint[combination] = value
    out = {}
    for i, k in enumerate(names):
        total = [sum(v for c, v in joint.items() if c[i] == a) / (clusters[k] == a).sum() for a in range(len(means[k]))]
        weight = np.array([total[c] for c in clusters[k]])
        ratio = weight / weight.mean() if weight.sum() > 0 else np.ones(len(weight))
        out[k] = 1 + trust * (ratio - 1)
    return out


def clouds(rng, n_cells, which, spread=0.15):
    """Cells around some of four directions that stand at different angles to each other."""
    centers = np.array([[1.0, 0, 0, 0], [0.6, 0.8, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1.0]])
    return (centers[rng.choice(which, n_cells)] + spread * rng.normal(size=(n_cells, 4))).astype(np.float32)


@pytest.mark.parametrize("more", [{}, {"meth": (90, [0, 2])}])
def test_balancing_weights_are_those_of_the_definition(rng, more):
    given = {"rna": (150, [0, 1, 2]), "atac": (110, [0, 1, 3]), **more}
    latents = {k: clouds(rng, *facts) for k, facts in given.items()}
    clusters = {k: _balance.leiden_codes(z, 0) for k, z in latents.items()}
    weights, slow = _balance.balancing_weights(latents, 0), slow_weights(latents, clusters)
    for k in given:
        np.testing.assert_allclose(weights[k], slow[k], rtol=1e-4)
        assert weights[k].mean() == pytest.approx(1.0, abs=1e-5)
        assert weights[k].dtype == np.float32


def test_cells_that_no_other_modality_has_do_not_count_where_the_rest_matches(rng):
    latents = {"rna": clouds(rng, 200, [0, 1, 2]), "atac": clouds(rng, 200, [0, 1, 2, 3], spread=0.1)}
    weight = _balance.balancing_weights(latents)["atac"]
    only = latents["atac"][:, 3] > 0.5
    assert weight[only].max() < 0.3 < weight[~only].min()


def test_a_poor_match_is_not_trusted(rng):
    turned = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    one, other = clouds(rng, 200, [0, 1, 2]), clouds(rng, 150, [1, 2, 3])
    spreads = [
        w.std() for w in _balance.balancing_weights({"rna": one, "atac": (other @ turned).astype(np.float32)}).values()
    ]
    plain = [w.std() for w in _balance.balancing_weights({"rna": one, "atac": other}).values()]
    assert max(spreads) < min(plain)


def test_where_nothing_matches_all_cells_count_alike(rng):
    latents = {"rna": clouds(rng, 80, [0]), "atac": clouds(rng, 60, [3])}
    for weight in _balance.balancing_weights(latents).values():
        assert (weight == 1).all()
