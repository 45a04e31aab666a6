"""Memory of the process."""

from __future__ import annotations

import platform

import numpy as np
import pytest

from isthmus._memory import give_back


def resident():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc keeps freed memory and can be told to return it"
)
def test_freed_memory_goes_back_to_the_system():
    blocks = [np.ones(8000) for _ in range(3000)]  # 64 kB each: too small for memory of their own
    last = blocks.pop()  # lies above all of them, so that they cannot simply be cut off
    del blocks
    before = resident()
    give_back()
    assert before - resident() > 100e6
    assert last.sum() == 8000  # and is used until here
