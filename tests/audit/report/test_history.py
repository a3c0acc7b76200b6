"""What is said of runs beside each other: what changed, which finding is the worst, how many looks there were."""

import pytest

from audit.records import RunSummary, Verdict
from audit.report.history import (
    SPARKS,
    against,
    course,
    exit_words,
    protocols,
    series,
    sparkline,
    steps,
    told,
    worst,
)
from audit.report.wording import EXITS
from tests.audit.nights import FIRST, SECOND, gap, named, night, second


def test_a_step_tells_what_changed_since_the_run_before() -> None:
    runs = named(
        night(0), night(1, model_sha256="other"), second(2, model_sha256="other"), second(3, model_sha256="other")
    )
    found = steps(runs)
    assert [(each.protocol, each.model, each.data) for each in found] == [
        (False, False, False), (False, True, True), (True, False, True), (False, False, True),
    ]  # fmt: skip
    assert found[2].changes == "changed: protocol bbbbbb: margins.outcome; data"
    assert (found[0].changes, found[1].changes) == ("", "changed: model; data")


def test_settings_are_told_only_of_the_protocol_right_before() -> None:
    third = second(1, protocol_sha256="c" * 64)
    assert steps(named(second(0), third))[1].changes == "changed: protocol cccccc; data"


def test_looks_are_counted_over_every_run_of_a_protocol() -> None:
    runs = [night(0, looks=2), second(1), night(2, looks=2), night(3, looks=2)]
    found = {each.sha256: each for each in protocols(steps(named(*runs)))}
    assert list(found) == [SECOND, FIRST]
    assert (found[FIRST].runs, found[FIRST].looks, found[FIRST].held) == (3, 2, False)
    assert "3 runs, 2 looks planned" in found[FIRST].sentence
    assert "the error rate of 0.05 is no longer held" in found[FIRST].sentence
    assert found[SECOND].held and "no longer" not in found[SECOND].sentence


def test_as_many_runs_as_looks_are_held() -> None:
    (found,) = protocols(steps(named(night(0, looks=2), night(1, looks=2))))
    assert found.held


def test_the_worst_finding_is_that_of_the_worst_verdict_that_reaches_farthest() -> None:
    one, two = gap(0.08, id="one"), gap(-0.09, id="two")
    unsettled = gap(0.045, id="three")
    inside = gap(0.025, id="four", verdict=Verdict.DIFFERENT)
    assert worst(night(0, inside, unsettled, one, two)) is two
    assert worst(night(0, inside, unsettled)) is unsettled
    assert worst(night(0, gap(0.001), inside)) is inside
    assert worst(night(0, gap(0.045, verdict=Verdict.DIFFERENT), unsettled)).verdict is Verdict.DIFFERENT
    assert worst(night(0, gap(None, verdict=Verdict.NOT_TESTABLE))) is None


def test_a_breach_whose_estimate_is_withheld_is_still_the_worst_and_says_so() -> None:
    hidden = gap(None, id="hidden", verdict=Verdict.BREACH)
    found = worst(night(0, gap(0.045), hidden))
    assert found is hidden
    assert told(found) == "▲ BREACH outcome, gender: female − male, error rate estimate not shown, margin 0.050"


def test_series_that_breach_come_first_then_those_nearest_to_their_margin() -> None:
    def run(i: int, now: float) -> RunSummary:
        return night(
            i, gap(0.001, id="small"), gap(0.03, id="near"), gap(0.09 - now, id="once"), gap(0.01 + now, id="now")
        )

    found = series(steps(named(run(0, 0.0), run(1, 0.08))))
    assert [each.id for each in found] == ["now", "once", "near", "small"]
    assert [each.breaches for each in found] == [1, 1, 0, 0]


def test_a_run_without_the_finding_leaves_a_gap_in_its_series() -> None:
    (found,) = series(steps(named(night(0, gap(0.01)), night(1), night(2, gap(0.02)))))
    assert [each and each.value for each in found.points] == [0.01, None, 0.02]
    assert found.last.value == 0.02


def test_a_sparkline_marks_breaches_gaps_and_protocols_by_shape() -> None:
    untested = gap(0.01, verdict=Verdict.NOT_TESTABLE)
    runs = [
        night(0, gap(0.001)),
        night(1, gap(-0.02)),
        night(2, untested),
        night(3),
        second(4, gap(0.055)),
        second(5, gap(0.09)),
    ]
    found = steps(named(*runs))
    assert sparkline(series(found)[0], found) == "▁▃··|█▲"


def test_a_long_sparkline_shows_the_newest_runs() -> None:
    found = steps(named(*(night(i, gap(0.09 if i == 3 else 0.001)) for i in range(SPARKS + 4))))
    assert sparkline(series(found)[0], found) == "▁" * SPARKS


def test_a_finding_without_a_margin_is_drawn_in_parts_of_the_largest() -> None:
    found = steps(named(night(0, gap(0.04, margin=None)), night(1, gap(0.08, margin=None, verdict=Verdict.DIFFERENT))))
    assert sparkline(series(found)[0], found) == "▄█"


@pytest.mark.parametrize("margin", [-1.0, 0.0, 1e-308])
def test_odd_margins_break_nothing(margin: float) -> None:
    found = steps(named(night(0, gap(0.04, margin=margin, verdict=Verdict.DIFFERENT))))
    (only,) = series(found)
    assert len(sparkline(only, found)) == 1
    assert against(only.last).startswith("0.040 [0.020, 0.060], margin")


def test_a_course_is_told_of_the_present_protocol_alone() -> None:
    found = steps(named(night(0, gap(0.3)), second(1, gap(0.01)), second(2, gap(-0.02)), second(3, gap(0.015, n=None))))
    said = course(series(found)[0], found)
    assert said == (
        "Present protocol bbbbbb, 3 runs with an estimate: first 0.010 [−0.010, 0.030], margin 0.050, on 2026-01-02; newest "
        "0.015 [−0.005, 0.035], margin 0.050, n = not shown, on 2026-01-04; lowest −0.020, highest 0.015."
    )


def test_a_present_protocol_without_estimates_says_so() -> None:
    found = steps(named(night(0, gap(0.3)), second(1)))
    assert course(series(found)[0], found) == "No run of the present protocol bbbbbb has an estimate."


def test_every_exit_code_of_a_finished_run_has_brief_words() -> None:
    assert all("unknown" not in exit_words(code) for code in EXITS.keys() - {1, 2})
    assert exit_words(9) == "9, unknown to this release"
