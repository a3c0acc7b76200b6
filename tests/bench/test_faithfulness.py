"""The comparison of `auto` with the best row, and its figures on the fine-tuned film review model."""

import numpy as np
import pytest

import lrp
from audit.errors import AuditError
from bench.faithfulness import ROWS, measure, verdict
from bench.flippable import review_case
from bench.intervals import mean_interval


def test_every_composite_has_a_row() -> None:
    assert {row.composite for row in ROWS} >= set(lrp.COMPOSITES)


def test_verdict_tells_best_from_within_the_interval_and_from_worse() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 50)
    best = np.full(50, 1.0)
    rows = {"auto": {"blur": best}, "random": {"blur": noise}}
    assert verdict(rows, "blur") == "auto is the best"
    close = {"auto": {"blur": best}, "other": {"blur": best + noise - noise.mean() + 0.001}}
    assert verdict(close, "blur").startswith("auto is within the interval of the best, other: -0.001 [")
    far = {"auto": {"blur": noise}, "other": {"blur": best}}
    assert verdict(far, "blur").startswith("auto is worse than other by ")
    assert verdict({"other": {"blur": best}}, "blur") == "auto is not measured"


def test_auto_orders_words_better_than_gradient_x_input_on_real_reviews() -> None:
    try:
        case = review_case(16)
    except AuditError as error:
        pytest.skip(f"the film review packages are not installed: {error}")
    rows = tuple(row for row in ROWS if row.composite in ("auto", "gradient_x_input"))
    found = measure(case, rows, steps=3)
    for fill in case.fills:
        assert mean_interval(found["auto"][fill] - found["gradient_x_input"][fill]).low > 0.3
        assert mean_interval(found["auto"][fill] - found["random order"][fill]).low > 0.3
        assert abs(found["random order"][fill].mean()) < 0.3
