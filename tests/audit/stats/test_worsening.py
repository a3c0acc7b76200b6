"""The interval of |after| - |before| against a search over all pairs of values, and the gate that rests on it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.records import Estimate, Finding, Gate, Standing, Test, Verdict
from audit.stats.changes import Pairs, independent, none, paired
from audit.stats.intervals import mean_interval
from audit.stats.worsening import Held, alone, baseline_gate, worsenings
from tests.audit.report.sample import sample_record

FINDING = next(each for each in sample_record().findings if each.verdict is Verdict.DIFFERENT)


def finding(value: float | None, half: float, *, unit: str = "sd", name: str = "a", **more) -> Finding:
    ends = (None, None) if value is None else (value - half, value + half)
    estimate = Estimate(value=value, low=ends[0], high=ends[1], unit=unit, n=400, clusters=400, **more)
    return FINDING.model_copy(update={"id": name, "question": "outcome", "estimate": estimate})


def held(before: Finding, after: Finding) -> Held:
    return Held(before, after, independent(before.estimate, after.estimate))


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.01, 0.5), st.floats(0.01, 0.5))
def test_bounds_hold_every_worsening_that_the_bounds_of_difference_and_sum_allow(one, two, first, second) -> None:
    made = held(finding(one, first), finding(two, second))
    found, moved = made.worsening(0.95), made.change.estimate(0.95)
    assert found.value == pytest.approx(abs(two) - abs(one))
    a, b = np.meshgrid(np.linspace(two - second, two + second, 41), np.linspace(one - first, one + first, 41))
    allowed = (a - b >= moved.low) & (a - b <= moved.high)
    worse = (np.abs(a) - np.abs(b))[allowed]
    assert found.low <= worse.min() + 1e-9 and worse.max() <= found.high + 1e-9


def test_where_both_lie_on_one_side_the_worsening_is_the_change_in_that_direction() -> None:
    for sign in (1, -1):
        made = held(finding(sign * 0.6, 0.1), finding(sign * 0.9, 0.1))
        found, moved = made.worsening(0.95), made.change.estimate(0.95)
        ends = sorted((sign * moved.low, sign * moved.high))
        assert (found.low, found.high) == pytest.approx(ends) and found.value == pytest.approx(0.3)


def test_a_difference_that_only_changed_its_direction_is_no_worsening() -> None:
    made = held(finding(-0.5, 0.1), finding(0.5, 0.1))
    found = made.worsening(0.95)
    assert found.value == 0 and found.low < 0 < found.high < 0.3 < made.change.estimate(0.95).low


def test_a_ratio_is_as_far_from_one_as_it_is() -> None:
    found = held(finding(0.8, 0.05, unit="ratio"), finding(1.4, 0.05, unit="ratio")).worsening(0.95)
    assert found.value == pytest.approx(0.2) and 0.09 < found.low < 0.2 < found.high < 0.31


def test_standing_is_that_of_the_interval_against_the_margin() -> None:
    after = [finding(each, 0.02, name=f"f{each}") for each in (0.1, 0.3, 0.16)]
    found = worsenings([held(finding(0.1, 0.02), each) for each in after], 0.05, 0.05)
    assert [each.standing for each in found] == [Standing.HOLDS, Standing.BREACHED, Standing.INCONCLUSIVE]
    assert {each.test.m for each in found} == {3} and {each.estimate.level for each in found} == {1 - 0.05 / 3}
    assert found[0].test.p == 1.0 and found[1].test.p_adjusted < 0.05 < found[2].test.p_adjusted
    assert found[2].needed_n is None, "the estimate lies beyond the margin"
    wide = worsenings([held(finding(0.1, 0.05), finding(0.1, 0.05))], 0.05, 0.05)[0]
    assert wide.standing is Standing.INCONCLUSIVE and wide.needed_n > 400
    half = 0.05 * (400 / wide.needed_n) ** 0.5
    assert worsenings([held(finding(0.1, half), finding(0.1, half))], 0.05, 0.05)[0].standing is Standing.HOLDS
    gate = baseline_gate("outcome", found)
    assert (gate.state, gate.question) == ("breached", "outcome, against the baseline")
    assert baseline_gate("outcome", found[:1]).state == "holds"
    assert baseline_gate("outcome", (found[0], found[2])).state == "inconclusive"
    assert baseline_gate("outcome", ()) == Gate(question=gate.question, state="not tested", findings=())


def test_what_is_not_testable_does_not_count_and_keeps_its_reason() -> None:
    lost = finding(None, 0, reason="too few")
    rows = [
        held(finding(0.1, 0.01), finding(0.1, 0.01)),
        held(lost, finding(0.9, 0.01)),
        Held(lost, lost, none(lost.estimate, lost.estimate, "another composite")),
        alone(finding(0.9, 0.01), "only here", after=True),
        alone(finding(0.9, 0.01), "only there", after=False),
    ]
    found = worsenings(rows, 0.05, 0.05)
    assert [each.standing for each in found] == [Standing.HOLDS, *[Standing.NOT_TESTED] * 4]
    assert [each.reason for each in found[1:]] == ["before: too few", "another composite", "only here", "only there"]
    assert found[3].after.value == 0.9 and found[4].before.value == 0.9 and {each.test.m for each in found} == {1}
    assert baseline_gate("outcome", (found[0], found[2])).state == "holds", "neither run tells of it"
    assert baseline_gate("outcome", found[1:]).state == "not tested"


def test_a_gate_does_not_hold_where_one_run_alone_has_an_estimate_and_says_of_how_many() -> None:
    lost, here = finding(None, 0, reason="too few"), finding(0.9, 0.01)
    for lone in (
        held(lost, here),
        held(here, lost),
        alone(here, "only here", after=True),
        alone(here, "only there", after=False),
    ):
        found = worsenings([held(finding(0.1, 0.01), finding(0.1, 0.01)), lone], 0.05, 0.05)
        gate = baseline_gate("outcome", found)
        assert [each.standing for each in found] == [Standing.HOLDS, Standing.NOT_TESTED]
        assert (gate.state, gate.lone) == ("inconclusive", 1)
    breached = worsenings([held(finding(0.1, 0.01), here), lone, lone], 0.05, 0.05)
    assert (baseline_gate("outcome", breached).state, baseline_gate("outcome", breached).lone) == ("breached", 2)
    assert "lone" not in baseline_gate("outcome", found[:1]).model_dump(), "other records stay as they are"


def test_wrong_standings_are_rare_whatever_the_dependence_of_the_runs() -> None:
    """At the margin, a breach or a hold is wrong; each at most as often as alpha, for pairs and for intervals, with and without a sign."""
    rng, margin, wrong = np.random.default_rng(11), 0.3, {"pairs": [], "intervals": []}
    cluster, everybody = np.arange(60), np.full(60, True)
    for before in (0.0, 0.5, -0.5):
        for common in (0.0, 2.0):
            for _ in range(150):
                shared = common * rng.normal(size=60)
                one, two = (mean + shared + rng.normal(size=60) for mean in (before, abs(before) + margin))
                sides = [
                    FINDING.model_copy(update={"question": "outcome", "estimate": mean_interval(x, cluster=cluster)})
                    for x in (one, two)
                ]
                ways = {
                    "pairs": paired(Pairs(one, two, everybody, cluster), "sd"),
                    "intervals": independent(sides[0].estimate, sides[1].estimate),
                }
                for name, change in ways.items():
                    (found,) = worsenings([Held(*sides, change)], margin, 0.05)
                    wrong[name].append(found.standing is not Standing.INCONCLUSIVE)
    assert {name: np.mean(hits) <= 0.05 for name, hits in wrong.items()} == {"pairs": True, "intervals": True}, {
        name: np.mean(hits) for name, hits in wrong.items()
    }
    assert np.mean(wrong["pairs"]) > 0.005, "and not because nothing is ever said"


def test_a_test_names_its_family() -> None:
    (found,) = worsenings([held(finding(0.1, 0.02), finding(0.3, 0.02))], 0.05, 0.01)
    assert isinstance(found.test, Test)
    assert (found.test.family, found.test.correction, found.test.alpha) == (
        "outcome, against the baseline",
        "Holm",
        0.01,
    )
