"""Settling a family: what is printed and what is decided must agree."""

from dataclasses import replace

import numpy as np
import pytest

from audit.config import Config, Data, Groups, Model, Target
from audit.records import Estimand, Finding, Verdict
from audit.stats.cases import Case, Variant, settle, untested
from audit.stats.intervals import mean_interval
from audit.stats.rates import wilson

CONFIG = Config(
    name="x",
    data=Data(path="x"),
    model=Model(path="x"),
    target=Target(favour="a"),
    groups=(Groups(attribute="g", lexicon="gender"),),
    gates=("intervention",),
)


def case(values: np.ndarray, p: float, margin: float = 0.1, *, rate: bool = False) -> Case:
    cluster = np.arange(len(values))
    return Case(
        id="x",
        question="intervention",
        attribute="g",
        groups=("a", "b"),
        estimand=Estimand(population="", unit="", measure="", contrast=""),
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


def test_a_gate_is_corrected_by_holm_and_a_discovery_by_its_rate_and_looks_share_alpha():
    cases = [case(np.linspace(-1, 1.4, 200), p) for p in (0.01, 0.02, 0.03, 0.04)]
    gates = settle(cases, CONFIG.model_copy(update={"gates": ("intervention",)}))
    found = settle(cases, CONFIG.model_copy(update={"gates": ()}))
    assert {f.test.correction for f in gates} == {"Holm"} and gates[0].test.p_adjusted == 0.04
    assert {f.test.correction for f in found} == {"Benjamini-Hochberg"}
    assert [f.test.p_adjusted for f in gates] == [0.04, 0.06, 0.06, 0.06]
    assert [f.test.p_adjusted for f in found] == pytest.approx([0.04] * 4)
    assert gates[0].estimate.level == 1 - 0.05 / 4 and found[0].estimate.level == 0.95
    yearly = CONFIG.model_copy(update={"statistics": CONFIG.statistics.model_copy(update={"looks": 26}), "gates": ()})
    assert settle(cases, yearly)[0].verdict is Verdict.INCONCLUSIVE
    assert settle(cases, yearly)[0].estimate.level == pytest.approx(1 - 0.05 / 26 / 4)


def test_an_omnibus_opens_its_pairs():
    found = settle([replace(case(np.linspace(-1, 1.4, 200), 0.001), omnibus=0.2)], CONFIG)[0]
    assert (found.test.p, found.test.p_adjusted, found.test.omnibus) == (0.001, 0.2, 0.2)
    assert found.verdict is Verdict.INCONCLUSIVE


def test_a_variant_is_opened_by_its_own_omnibus_and_by_that_of_its_case_if_it_has_none():
    values = np.linspace(-1, 1.4, 200)
    one = case(values, 0.001)
    variants = tuple(
        Variant(name, 0.001, one.estimate, omnibus) for name, omnibus in (("its own", 0.5), ("none", None))
    )
    found = settle([replace(one, omnibus=0.001, variants=variants)], CONFIG)[0]
    own, none = found.sensitivity
    assert found.verdict is none.verdict is Verdict.BREACH and own.verdict is Verdict.INCONCLUSIVE and found.fragile


def test_a_variant_that_cannot_be_tested_says_why_and_is_no_flip():
    one = case(np.linspace(-1, 1.4, 200), 0.001)
    found = settle([replace(one, variants=(untested("shrunk", "nothing is left", "px"),))], CONFIG)[0]
    (shrunk,) = found.sensitivity
    assert (shrunk.verdict, shrunk.estimate.reason, shrunk.estimate.unit) == (
        Verdict.NOT_TESTABLE,
        "nothing is left",
        "px",
    )
    assert found.flips == () and not found.fragile


def test_a_difference_that_turns_round_is_a_flip_whatever_its_verdict():
    up, down = case(np.linspace(-1, 1.6, 200), 0.001), case(np.linspace(-1.6, 1, 200), 0.001)
    found = settle(
        [replace(up, variants=(Variant("down", 0.001, down.estimate), Variant("up", 0.001, up.estimate)))], CONFIG
    )[0]
    assert [other.verdict for other in found.sensitivity] == [found.verdict] * 2 == [Verdict.BREACH] * 2
    assert [other.changed for other in found.flips] == ["down"] and found.fragile
