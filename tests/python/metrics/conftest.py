from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest


@pytest.fixture
def clumps(rng) -> Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Cells of some types around far-apart centres; batches shifted by ``shift`` or mixed (0)."""

    def make(n: int = 240, types: int = 3, batches: int = 2, shift: float = 0.0, latent: int = 4):
        label, batch = rng.integers(types, size=n), rng.integers(batches, size=n)
        centers = 12.0 * np.eye(types, latent)
        direction = np.zeros(latent)
        direction[-1] = shift
        return rng.normal(size=(n, latent)) + centers[label] + batch[:, None] * direction, label, batch

    return make


@pytest.fixture
def moved(rng) -> Callable[[np.ndarray], np.ndarray]:
    """The same cells turned and shifted: no score may notice."""

    def move(z: np.ndarray) -> np.ndarray:
        turn, _ = np.linalg.qr(rng.normal(size=(z.shape[1], z.shape[1])))
        return z @ turn + rng.normal(size=z.shape[1])

    return move
