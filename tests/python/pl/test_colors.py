from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from isthmus import InputError
from isthmus.pl import colors_of
from isthmus.pl._colors import as_categorical, palette


@pytest.mark.parametrize("n", [1, 8, 10, 11, 20, 28, 60, 150])
def test_as_many_distinct_colours_as_asked(n):
    assert len({to_rgb(color) for color in palette(n)}) == n


def test_given_beat_recorded_beat_the_palette():
    assert colors_of(["a", "b"]) == dict(zip(["a", "b"], palette(2), strict=True))
    recorded = colors_of(["a", "b"], ["red", "blue", "left over"])
    assert recorded == {"a": "#ff0000", "b": "#0000ff"}
    assert colors_of(["a", "b"], ["red"]) == colors_of(["a", "b"])  # too few: not these categories
    given = colors_of(["a", "b"], ["red", "blue"], {"b": "#00ff00", "z": "no colour"})
    assert given == {"a": "#ff0000", "b": "#00ff00"}


def test_colours_as_numbers_become_codes():
    recorded = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert colors_of(["a", "b"], recorded) == {"a": "#ff0000", "b": "#0000ff"}
    assert colors_of(["a", "b"], recorded, {"a": (0.2, 0.4, 0.6), "b": (0, 0, 1, 0.2)}) == {
        "a": "#336699",
        "b": "#0000ff33",  # what is see-through stays so
    }
    with pytest.raises(InputError, match="colours that matplotlib knows"):
        colors_of(["a"], given={"a": (51, 102, 153)})


def test_categories_in_natural_order_or_their_own():
    assert list(as_categorical(pd.Series([10, 9, None])).categories) == [9, 10]
    assert list(as_categorical(pd.Series(["b", 1, "a"], dtype=object)).categories) == [1, "a", "b"]
    own = pd.Series(pd.Categorical(["x"], categories=["y", "x"]))
    assert list(as_categorical(own).categories) == ["y", "x"]


def test_importing_the_pictures_loads_no_matplotlib():
    code = "import sys, isthmus.pl; sys.exit(any(name in sys.modules for name in ('matplotlib', 'scanpy', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
