"""The area between the flipping curves against sums written out, and its interval against scipy's own."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from audit.checks.flipping import Flipped, Score, areas, orders
from bench.intervals import mean_interval


def linear_score(weights: NDArray[np.float64]) -> Score:
    """Sum of the weights of the regions that are not flipped; `weights` `[examples, regions]`."""

    def score(flipped: Flipped) -> NDArray[np.float64]:
        return np.array([row[~gone].sum() for row, gone in zip(weights, flipped, strict=True)])

    return score


def test_area_of_a_linear_score_is_the_sum_over_the_steps() -> None:
    weights = np.array([[3.0, -1.0, 2.0, 0.5]])
    found = areas(linear_score(weights), orders(list(weights), seed=0), steps=4)
    last = (4.5 + 1.0) + (4.5 + 1.0 - 0.5) + (4.5 + 1.0 - 0.5 - 2.0)  # -1 goes first, then 0.5, then 2
    first = (4.5 - 3.0) + (4.5 - 3.0 - 2.0) + (4.5 - 3.0 - 2.0 - 0.5)
    assert found == pytest.approx([(last - first) / 4])


def test_no_order_beats_the_true_one_on_a_linear_score() -> None:
    weights = np.random.default_rng(0).normal(size=(1, 5))
    score = linear_score(weights)
    best = areas(score, orders(list(weights), seed=0), steps=5)[0]
    every = [areas(score, [np.array(order)], steps=5)[0] for order in permutations(range(5))]
    assert best == pytest.approx(max(every))
    assert np.mean(every) == pytest.approx(0, abs=1e-12), "random order has no area"


@given(st.integers(1, 12), st.integers(2, 8), st.integers(0, 99))
def test_reversed_order_has_the_opposite_area(regions: int, steps: int, seed: int) -> None:
    weights = np.random.default_rng(seed).normal(size=(3, regions))
    order = orders(list(weights), seed=seed)
    there = areas(linear_score(weights), order, steps)
    back = areas(linear_score(weights), [regions[::-1] for regions in order], steps)
    np.testing.assert_allclose(there, -back, atol=1e-12)


def test_ties_are_ordered_alike_for_every_map_and_differ_between_examples() -> None:
    ties = [np.zeros(30), np.zeros(30)]
    one, other = orders(ties, seed=1), orders([ties[0], np.ones(30)], seed=1)
    assert (one[0] == other[0]).all() and (one[1] == other[1]).all()
    assert (one[0] != one[1]).any()


def test_interval_is_the_one_of_scipy() -> None:
    values = np.random.default_rng(0).normal(2, 3, 11)
    found = mean_interval(values)
    wanted = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    assert (found.mean, found.n) == (pytest.approx(values.mean()), 11)


def test_one_example_has_no_interval() -> None:
    found = mean_interval(np.array([1.5]))
    assert found.mean == 1.5
    assert np.isnan(found.low) and np.isnan(found.high)
