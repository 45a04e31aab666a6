from __future__ import annotations

import math

import pytest

from isthmus.train import Clock, Options
from isthmus.train.schedules import constant, cyclical, ramp, warm_cosine


def test_a_cosine_falls_from_one_to_its_end():
    assert warm_cosine(0.0) == 1.0
    assert warm_cosine(1.0) == pytest.approx(0.0)
    assert warm_cosine(0.5) == pytest.approx(0.5)
    assert warm_cosine(1 / 3) == pytest.approx(0.5 * (1 + math.cos(math.pi / 3)))
    assert warm_cosine(1.0, last=0.2) == pytest.approx(0.2)
    rates = [warm_cosine(i / 100) for i in range(101)]
    assert rates == sorted(rates, reverse=True)


def test_a_warm_up_rises_first():
    assert 0 < warm_cosine(0.0, warm_up=0.1) < 0.01
    assert warm_cosine(0.05, warm_up=0.1) == pytest.approx(0.5)
    assert warm_cosine(0.1, warm_up=0.1) == pytest.approx(1.0)
    assert warm_cosine(1.0, warm_up=0.1) == pytest.approx(0.0)
    assert warm_cosine(1.0, warm_up=1.0) <= 1.0


def test_other_shapes():
    assert [constant(f) for f in (0.0, 0.5, 1.0)] == [1.0] * 3
    assert [ramp(f, 0.5) for f in (0.0, 0.25, 0.5, 1.0)] == [0.0, 0.5, 1.0, 1.0]
    assert ramp(0.0, 0.0) == 1.0
    assert [cyclical(f, 2) for f in (0.0, 0.125, 0.25, 0.375, 0.5, 0.625)] == [0.0, 0.5, 1.0, 1.0, 0.0, 0.5]


def test_the_clock_counts_shares():
    assert Clock(0, 10).fraction == 0.0
    assert Clock(5, 10).fraction == 0.5
    assert Clock(0, 0).fraction == 0.0


@pytest.mark.parametrize(("schedule", "rate"), [("constant", 0.1), ("cosine", 0.05)])
def test_options_give_the_rate_of_the_moment(schedule, rate):
    assert Options(max_steps=10, learning_rate=0.1, schedule=schedule).rate(0.5) == pytest.approx(rate)
