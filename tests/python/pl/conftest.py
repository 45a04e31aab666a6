from __future__ import annotations

from collections.abc import Callable, Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData


@pytest.fixture(autouse=True)
def quiet_figures(monkeypatch) -> Iterator[None]:
    """Draw without a screen, fail if anything wants to be shown, and close what was drawn."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    def refuse(*args, **kwargs):
        raise AssertionError("plt.show was called")

    monkeypatch.setattr(plt, "show", refuse)
    yield
    plt.close("all")


@pytest.fixture
def cells(rng) -> AnnData:
    """Sixty cells of three types, one of them without a type, in a flat and in a deeper space."""
    label = np.array(["B", "NK", "T"])[np.arange(60) % 3].astype(object)
    label[0] = None
    obs = pd.DataFrame(
        {
            "type": pd.Categorical(label, categories=["T", "B", "NK", "never seen"]),
            "depth": rng.poisson(100, size=60).astype(float),
            "plain": label,
            "good": np.arange(60) % 2 == 0,
        },
        index=[f"cell{i}" for i in range(60)],
    )
    adata = AnnData(rng.poisson(1.0, size=(60, 4)).astype(np.float32), obs=obs)
    adata.var_names = ["CD3D", "MS4A1", "NKG7", "LYZ"]
    adata.obsm["X_flat"] = rng.normal(size=(60, 2))
    adata.obsm["X_scalex"] = rng.normal(size=(60, 5)).astype(np.float32) + 4 * (np.arange(60) % 3)[:, None]
    return adata


@pytest.fixture
def drawn() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Positions and colours of the points of one cloud (the topmost by default), in drawing order."""

    def read(ax, cloud: int = -1) -> tuple[np.ndarray, np.ndarray]:
        points = ax.collections[cloud]
        ax.figure.canvas.draw()
        return np.asarray(points.get_offsets()), points.get_facecolors()

    return read
