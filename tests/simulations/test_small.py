"""The small profile: every claim of the tables at few replicates; `make simulate` asks them of many."""

import operator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audit.stats import menu
from audit.stats.families import answer
from audit.stats.intervals import mean_interval
from tests.simulations.audits import ALARMS, SCREENS, SERIES, Series, alarms, gate_findings, null_audit
from tests.simulations.menu import ELSEWHERE, INTERVALS, KINDS, TESTS
from tests.simulations.rates import (
    COVERAGE,
    LEVEL,
    Rate,
    confirmed,
    coverage,
    equivalence,
    power,
    rejections,
    seeded,
    share,
)
from tests.simulations.scenarios import ALTERNATIVES, COVERS, EQUIVALENT_AT, NULLS, Asked

REPLICATES = 40
CLAIMS = [(null, test) for null in NULLS for test in null.tests if null.asked is Asked.LEVEL]
SOMETIMES = {
    "fractional_logit",
    "larger p, strata",
    "larger p, fine bins",
    "larger p with parts",
}  # from 30 units, or 20 with a counterpart, a side
SHOWN = [(null, test) for null in NULLS for test in null.tests if null.asked is Asked.SHOWN]


def test_every_test_and_interval_of_the_menu_is_simulated_here_or_where_it_is_said() -> None:
    claimed = {test for _, test in CLAIMS}
    functions = {name for name in menu.MENU if " " not in name}
    assert {name for name in functions if not any(test.startswith(name) for test in claimed)} == set()
    assert set(menu.MENU) - functions == set(ELSEWHERE)
    assert all(Path(where).is_file() for where in ELSEWHERE.values() if where.endswith(".py"))
    asked = {interval for cover in COVERS if cover.asked is Asked.COVERS for interval in cover.truths}
    assert set(KINDS) == set(menu.INTERVALS) and {name for names in KINDS.values() for name in names} <= asked


def test_every_row_of_the_tables_is_asked_of_a_scenario() -> None:
    assert set(TESTS) == {test for _, test in (*CLAIMS, *SHOWN)}
    assert {interval for cover in COVERS for interval in cover.truths} == set(INTERVALS)


@pytest.mark.parametrize("null", dict.fromkeys(null for null, _ in CLAIMS), ids=lambda null: null.name)
def test_tests_hold_their_level(null) -> None:
    for test in null.tests:

        def run(n: int, again: str, test: str = test) -> Rate:
            return rejections(null.name, null.draw, test, n, again=again)

        rate = confirmed(run, lambda rate: rate.reaches_down_to(LEVEL), REPLICATES)[-1]
        assert rate.reaches_down_to(LEVEL), f"{test}: {rate}"
        assert rate.offered or test in SOMETIMES, f"{test} gave no p in {rate.absent} of {rate.n + rate.absent}"


@pytest.mark.parametrize("null", dict.fromkeys(null for null, _ in SHOWN), ids=lambda null: null.name)
def test_tests_alarm_more_often_where_they_do_not_claim_to_hold(null) -> None:
    found = {test: rejections(null.name, null.draw, test, REPLICATES) for test in null.tests}
    assert {test: str(rate) for test, rate in found.items() if rate.value <= LEVEL} == {}


@pytest.mark.parametrize(
    "cover", [cover for cover in COVERS if cover.asked is Asked.COVERS], ids=lambda cover: cover.name
)
def test_intervals_cover(cover) -> None:
    for name, truth in cover.truths.items():

        def run(n: int, again: str, name: str = name, truth: float = truth) -> Rate:
            return coverage(cover.name, cover.draw, name, truth, n, again=again)

        rate = confirmed(run, lambda rate: rate.reaches_up_to(COVERAGE), REPLICATES)[-1]
        assert rate.offered and rate.reaches_up_to(COVERAGE), f"{name}: {rate}"


def test_means_that_cover_too_rarely_are_called_unreliable_and_those_of_many_values_are_not() -> None:
    rng = np.random.default_rng(1)
    for n, above, called in ((30, 0.05, True), (30, 0.5, False), (400, 0.5, False)):
        draws = [rng.beta(0.6, 4, n) * (np.arange(n) < max(2, above * n)) for _ in range(100)]
        said = [mean_interval(values, cluster=np.arange(n)).reason.startswith("unreliable") for values in draws]
        assert np.mean(said) >= 0.9 if called else np.mean(said) <= 0.25


@pytest.mark.parametrize("alternative", ALTERNATIVES, ids=lambda alternative: alternative.name)
def test_what_an_audit_asks_finds_nearly_as_much_as_the_best_in_the_same_bins(alternative) -> None:
    found = power(replace(alternative, others=()), REPLICATES)
    assert found[alternative.default] >= max(found.values()) - 0.15


@pytest.mark.parametrize(("margin", "sizes"), EQUIVALENT_AT.items())
def test_equivalence_is_reached_with_the_stated_n(margin: float, sizes: tuple[int, ...]) -> None:
    assert equivalence(sizes[-1], margin, REPLICATES).reaches_up_to(0.8)


@pytest.mark.parametrize(("name", "series"), SERIES.items())
def test_null_audits_and_series_hold_the_family_wise_error(name: str, series: Series) -> None:
    assert share(f"small {name}", series.alarms, 8 if series == Series() else 3).reaches_down_to(LEVEL)


def test_the_gates_of_an_audit_are_answered_as_in_a_whole_one() -> None:
    evidence = null_audit(seeded("a whole audit"))
    findings = answer(evidence)
    asked = {finding.question for finding in findings if finding.test.p is not None}
    assert asked == {*evidence.config.gates, "reliance", "direction", "disparity", "errors", "link"}
    alone = [finding for question in evidence.config.gates for finding in gate_findings(evidence, question)]
    key = operator.attrgetter("id")
    assert sorted((f for f in findings if f.gate), key=key) == sorted(alone, key=key)


def test_audits_that_are_passed_over_do_not_alarm_and_biased_ones_are_not_passed_over() -> None:
    rng = seeded("passed over")
    audits = [null_audit(rng) for _ in range(2)]
    for question, may_alarm in SCREENS.items():
        for passed in (audit for audit in audits if not may_alarm(audit)):
            assert not any(finding.verdict in ALARMS for finding in gate_findings(passed, question))
    biased = null_audit(rng)
    biased.examples.predicted[biased.examples.attributes["one"] == "0"] = 0
    biased.swaps["gender"].delta[:] += np.where(biased.swaps["gender"].source == "male", 0.5, -0.5)
    for values in biased.words.relevance.values():
        values[np.isin(biased.words.type, biased.words.groups["gender", "male"])] += 1
    assert alarms(biased) == biased.config.gates


def test_a_rate_knows_its_interval_and_seeds_depend_on_names_alone() -> None:
    null = NULLS[0]
    once, again = (rejections(null.name, null.draw, "van_elteren", 20) for _ in range(2))
    assert once == again and once.bounds[0] <= once.value <= once.bounds[1]
    assert not np.array_equal(seeded("a").random(3), seeded("b").random(3))


def test_a_claim_that_fails_is_asked_of_all_samples_together() -> None:
    def run(n: int, again: str) -> Rate:
        return Rate(n // 20 if again else n // 2, n)

    assert confirmed(run, lambda rate: rate.value <= LEVEL, 100) == (Rate(50, 100), Rate(50 + 20, 500))
    assert confirmed(run, lambda rate: rate.value <= 0.5, 100) == (Rate(50, 100),)


def test_a_rate_is_that_of_the_replicates_with_an_answer() -> None:
    assert Rate(1, 20, 10).value == 0.05 and Rate(1, 20, 10).offered and not Rate(0, 4, 10).offered
    assert str(Rate(0, 0, 10)) == "none" and not Rate(0, 0, 10).offered and Rate(3, 10, 20).of_all == 0.1
