"""Settling a family: what is printed and what is decided must agree."""

import numpy as np
import pytest

from audit.config import Config, Data, Groups, Model, Target
from audit.records import Finding, Verdict
from audit.stats.cases import Case, settle
from audit.stats.intervals import mean_interval, wilson

CONFIG = Config(
    name="x",
    data=Data(path="x"),
    model=Model(path="x"),
    target=Target(favour="a"),
    groups=(Groups(attribute="g", lexicon="gender"),),
)


def case(values: np.ndarray, p: float, margin: float = 0.1, *, rate: bool = False) -> Case:
    cluster = np.arange(len(values))
    return Case(
        id="x",
        question="intervention",
        attribute="g",
        groups=("a", "b"),
        estimand="",
        test="",
        p=p,
        margin=margin,
        estimate=lambda level: (wilson if rate else mean_interval)(values, cluster=cluster, level=level),
    )


def settled(values: np.ndarray, p: float, margin: float = 0.1, *, m: int = 1, rate: bool = False) -> Finding:
    """The first of `m` cases, the others far from any effect."""
    others = [case(np.linspace(-1, 1, 50), 1.0) for _ in range(m - 1)]
    return settle([case(values, p, margin, rate=rate), *others], CONFIG)[0]


def test_a_significant_p_beside_an_interval_that_holds_zero_is_no_difference():
    found = settled(np.linspace(-1, 1.1, 40), 0.0001)
    assert found.estimate.low is not None and found.estimate.low < 0
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "the interval holds 0" in found.reason


@pytest.mark.parametrize(("m", "verdict"), [(1, Verdict.EQUIVALENT), (8, Verdict.INCONCLUSIVE)])
def test_equivalence_is_corrected_for_the_family(m: int, verdict: Verdict):
    flipped = np.zeros(80, dtype=bool)
    assert settled(flipped, 0.99, 0.05, m=m, rate=True).verdict is verdict


@pytest.mark.parametrize("flips", range(4))
def test_needed_n_of_an_inconclusive_finding_is_more_than_was_used(flips: int):
    flipped = np.arange(90) < flips
    found = settled(flipped, 0.9, 0.05, m=8, rate=True)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.needed_n is not None and found.needed_n > found.estimate.n


def test_an_estimate_beyond_the_margin_promises_no_n():
    found = settled(np.concatenate([np.full(20, -2.0), np.full(22, 2.4)]), 0.3)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.needed_n is None
