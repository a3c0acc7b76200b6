"""What is said of runs beside each other: what changed, which finding is the worst, how many looks there were."""

import pytest

from audit.records import RunSummary, Verdict
from audit.report.history import (
    SPARKS,
    against,
    course,
    exit_words,
    present,
    protocols,
    series,
    sparkline,
    steps,
    together,
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


CODE = {
    "another release": ({"release": "0.1.0"}, {"release": "0.2.0"}, "changed: code 0.2.0"),
    "another revision": ({"code_revision": "c" * 40}, {"code_revision": "d" * 40}, "changed: code 0.1.0 at dddddd"),
    "the same revision": ({"code_revision": "c" * 40}, {"code_revision": "c" * 40}, ""),
    "a revision that one run does not tell": ({}, {"code_revision": "d" * 40}, ""),
    "a release that one run does not tell": ({"release": ""}, {}, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", CODE)
def test_a_step_tells_where_lrp_audit_itself_changed(name: str) -> None:
    before, after, said = CODE[name]
    data = night(0).data
    (_, step) = steps(named(night(0, data=data, **before), night(1, data=data, **after)))
    assert (step.code, step.changes) == (bool(said), said)


def test_a_run_made_anew_for_no_change_that_is_told_says_what_it_may_be() -> None:
    data = night(0).data
    (_, same, other, known) = steps(named(
        night(0, data=data, identity="one"), night(1, data=data, identity="one"), night(2, data=data, identity="two"),
        night(3, identity="three"),
    ))  # fmt: skip
    assert (same.other, other.other, known.other) == (False, True, False)
    assert same.changes == ""
    assert other.changes == (
        "changed: something else (code that is not committed, a package, the device or a setting outside the protocol)"
    )
    assert known.changes == "changed: data"


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


def test_error_rates_of_several_protocols_add_up() -> None:
    third = second(2, protocol_sha256="c" * 64)
    assert together(protocols(steps(named(night(0), night(1))))) == ""
    assert together(protocols(steps(named(night(0), second(1), third)))) == (
        "Each of the 3 protocols has its own plan, so over all of them the chance of any false alarm is up to 3 times 0.05, and more where "
        "a rate is no longer held: changing a margin, seed, baseline or limit starts a new protocol."
    )
    uneven = protocols(steps(named(night(0), second(1, alpha=0.01))))
    assert "is up to the sum of their rates, 0.06, and more" in together(uneven)
    assert "is up to the sum of their rates, and more" in together(
        protocols(steps(named(night(0), second(1, alpha=None))))
    )


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


def test_findings_without_an_estimate_in_the_newest_run_come_last() -> None:
    untested = {"verdict": Verdict.NOT_TESTABLE}
    first = night(
        0, *(gap(0.09, id=each) for each in ("gone", "untested", "withheld", "invalid")), gap(0.001, id="small")
    )
    newest = night(
        1, gap(None, id="untested", **untested), gap(0.09, id="invalid", **untested), gap(None, id="withheld"), gap(0.001, id="small")
    )  # fmt: skip
    found = series(steps(named(first, newest)))
    assert [each.id for each in found] == ["withheld", "small", "invalid", "gone", "untested"]


def test_the_state_of_the_newest_run_is_told_and_not_an_older_estimate() -> None:
    untested = gap(None, verdict=Verdict.NOT_TESTABLE)
    same = steps(named(night(0, gap(0.04)), night(1, gap(0.03)), night(2, untested)))
    gone = steps(named(night(0, gap(0.04)), second(1)))
    shown, lost = series(same)[0], series(gone)[0]
    assert present(shown, same) == "not tested in the newest run; last estimate on 2026-01-02"
    assert shown.newest is untested
    assert present(lost, gone) == "not in the newest run; last estimate on 2026-01-01, of protocol aaaaaa"
    assert lost.newest is None
    here = steps(named(night(0, untested), night(1, gap(0.03))))
    assert present(series(here)[0], here) == "0.030 [0.010, 0.050], margin 0.050"
    invalid = steps(named(night(0, gap(0.03, verdict=Verdict.NOT_TESTABLE))))
    assert present(series(invalid)[0], invalid) == "0.030 [0.010, 0.050], margin 0.050"


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


def test_a_course_that_ends_before_the_newest_run_says_so() -> None:
    found = steps(named(night(0, gap(0.03)), night(1)))
    assert course(series(found)[0], found) == (
        "Present protocol aaaaaa, 1 run with an estimate, which the newest run is not: last 0.030 [0.010, 0.050], margin 0.050, n = 400, "
        "on 2026-01-01."
    )


def test_every_exit_code_of_a_finished_run_has_brief_words() -> None:
    assert all("unknown" not in exit_words(code) for code in EXITS.keys() - {1, 2})
    assert exit_words(9) == "9, unknown to this release"
