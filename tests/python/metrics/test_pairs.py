from __future__ import annotations

import numpy as np
import pytest

from isthmus import InputError
from isthmus.metrics import foscttm, foscttm_per_cell


def by_hand(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    shares = []
    for i in range(len(u)):
        true = ((u[i] - v[i]) ** 2).sum()
        shares.append(sum(((u[i] - v[j]) ** 2).sum() < true for j in range(len(v))) / len(v))
    return np.array(shares)


@pytest.mark.parametrize("block_size", [None, 1, 7, 1_000])
def test_against_counting(rng, block_size):
    u = rng.normal(size=(60, 5))
    v = u + 0.7 * rng.normal(size=u.shape)
    there, back = foscttm_per_cell(u, v, block_size=block_size)
    np.testing.assert_array_equal(there, by_hand(u, v))
    np.testing.assert_array_equal(back, by_hand(v, u))
    assert foscttm(u, v, block_size=block_size) == pytest.approx((there.mean() + back.mean()) / 2)


def test_ties_are_not_closer(rng):
    u = rng.integers(3, size=(200, 2)).astype(float)  # many copies and many equal distances
    v = rng.integers(3, size=(200, 2)).astype(float)
    np.testing.assert_array_equal(foscttm_per_cell(u, v)[0], by_hand(u, v))
    assert foscttm(np.ones((500, 3)), np.ones((500, 3))) == 0


def test_rounding_far_from_the_origin_does_not_count(rng):
    u = rng.normal(size=(150, 4))
    v = u + 0.5 * rng.normal(size=u.shape)
    assert foscttm(u + 1e6, v + 1e6) == pytest.approx(foscttm(u, v), abs=1e-12)
    assert foscttm((u + 1e3).astype(np.float32), (u + 1e3).astype(np.float32)) == 0


def test_known_cases(rng):
    u = rng.normal(size=(400, 6))
    assert foscttm(u, u) == 0
    assert foscttm(u, u[rng.permutation(400)]) == pytest.approx(0.5, abs=0.05)
    line = np.arange(10.0)[:, None]
    # Mirrored on a line, cell i looks for the cell at 9 - i: from 0 all nine others are closer; from 4, whose
    # match is at 5, only the one at 4 itself.
    shares = [0.9, 0.8, 0.7, 0.5, 0.1, 0.1, 0.5, 0.7, 0.8, 0.9]
    np.testing.assert_allclose(foscttm_per_cell(line, line[::-1])[0], shares)


def test_turning_both_and_reordering_change_nothing(rng, moved):
    u = rng.normal(size=(120, 4))
    v = u + 0.5 * rng.normal(size=u.shape)
    both, order = moved(np.vstack([u, v])), rng.permutation(120)
    assert foscttm(both[:120][order], both[120:][order]) == pytest.approx(foscttm(u, v), abs=1e-12)
    assert foscttm(v, u) == pytest.approx(foscttm(u, v))


def test_bad_input(rng):
    u = rng.normal(size=(20, 3))
    with pytest.raises(InputError, match=r"\(20, 3\) and \(19, 3\)"):
        foscttm(u, u[:-1])
    with pytest.raises(InputError, match=r"\(20, 3\) and \(20, 2\)"):
        foscttm(u, u[:, :2])
    with pytest.raises(InputError, match="second embedding"):
        foscttm(u, np.where(u > 1, np.nan, u))
    with pytest.raises(InputError, match="block_size"):
        foscttm(u, u, block_size=0)
