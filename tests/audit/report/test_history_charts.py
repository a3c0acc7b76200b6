"""Charts of findings through many runs stay readable, and lose no breach."""

import re
from itertools import pairwise

from audit.records import Verdict
from audit.report.history import series, steps
from audit.report.history_charts import COLUMNS, MOST_COUNTS, MOST_POINTS, Drawn, chart, thinned
from tests.audit.nights import gap, named, night, second


def drawn(*runs) -> Drawn:
    found = steps(named(*runs))
    return chart("one", series(found)[0], found)


def test_a_short_history_is_drawn_whole_with_n_at_each_estimate() -> None:
    made = drawn(*(night(i, gap(0.01 * i, n=100 + i)) for i in range(7)))
    assert made.thinned == 0
    assert [point.n for _, point in made.shown] == [100, 101, 102, 103, 104, 105, 106]
    for n in range(100, 107):
        assert f">{n}<" in made.figure.svg


def test_markers_say_in_words_what_changed() -> None:
    made = drawn(night(0, gap(0.01)), second(1, gap(0.01), model_sha256="other", release="0.2.0"))
    for words in ("code changed ×1", "protocol changed ×1", "model changed ×1", "data changed ×1", "protocol bbbbbb"):
        assert words in made.figure.svg
    assert "estimates on its two sides are not comparable" in made.figure.caption
    assert "the protocol changed 1 time" in made.figure.alt


def test_nothing_is_marked_that_did_not_change() -> None:
    same = night(0).data
    made = drawn(night(0, gap(0.01), data=same), night(1, gap(0.01), data=same))
    assert "changed" not in made.figure.svg + made.figure.caption


def test_alternative_text_tells_the_newest_estimate_and_the_breaches() -> None:
    made = drawn(night(0, gap(0.09)), night(1, gap(0.02)))
    assert "newest run 0.020 [0.000, 0.040], margin 0.050, EQUIVALENT; BREACH in 1 run" in made.figure.alt


def test_alternative_text_says_where_the_newest_run_could_not_test() -> None:
    made = drawn(night(0, gap(0.09)), night(1, gap(None, verdict=Verdict.NOT_TESTABLE)))
    assert ": not tested in the newest run; last estimate on 2026-01-01; BREACH in 1 run" in made.figure.alt


def test_of_many_runs_breaches_stand_before_others_and_the_ends_are_kept() -> None:
    points = {i: gap(0.09 if i % 97 == 5 else 0.001) for i in range(1_000)}
    chosen = thinned(points)
    assert len(chosen) <= MOST_POINTS
    assert (chosen[0], chosen[-1]) == (0, 999)
    assert {i for i, point in points.items() if point.verdict is Verdict.BREACH} <= set(chosen)
    assert max(b - a for a, b in pairwise(chosen)) < 3 * 1_000 / MOST_POINTS


def test_a_thinned_chart_counts_what_it_leaves_out_and_marks_every_breach() -> None:
    made = drawn(*(night(i, gap(0.09 if i % 2 else 0.001)) for i in range(400)))
    assert made.thinned == 400 - len(made.shown) > 300
    assert "BREACH ×200" in made.figure.svg
    assert f"{made.thinned} estimates not drawn for room" in made.figure.caption
    assert len(re.findall("<use ", made.figure.svg)) > 200  # a mark a breach, as they do not cover each other


def test_a_chart_of_thousands_of_runs_is_small_and_still_has_its_breaches() -> None:
    made = drawn(*(night(i, gap(0.09)) for i in range(5_000)))
    assert "BREACH ×5,000" in made.figure.svg
    assert len(re.findall("<use ", made.figure.svg)) > COLUMNS
    assert len(made.figure.svg) < 300_000


def test_lines_do_not_cross_from_one_protocol_to_the_next() -> None:
    same = [night(i, gap(0.01 * i)) for i in range(4)]
    other = [*same[:2], *(second(i, gap(0.01 * i)) for i in (2, 3))]
    line = re.search(r'<path d="([^"]*)"[^>]*stroke="var\(--line\)" stroke-width="0.9"', drawn(*same).figure.svg)
    broken = re.search(r'<path d="([^"]*)"[^>]*stroke="var\(--line\)" stroke-width="0.9"', drawn(*other).figure.svg)
    assert line and broken
    assert (line[1].count("M"), broken[1].count("M")) == (1, 2)


def test_an_estimate_that_is_withheld_has_its_verdict_marked_and_is_counted() -> None:
    made = drawn(night(0, gap(0.01)), night(1, gap(None, verdict=Verdict.BREACH)))
    assert "BREACH ×1" in made.figure.svg
    assert "Without an estimate: 1 run." in made.figure.caption


def test_a_verdict_that_is_withheld_is_drawn_as_such() -> None:
    made = drawn(night(0, gap(0.01, verdict=Verdict.NOT_TESTABLE)), night(1, gap(0.01)))
    assert "× NOT TESTABLE" in made.figure.caption


def test_many_points_draw_their_n_as_a_line() -> None:
    made = drawn(*(night(i, gap(0.01, n=200 + i)) for i in range(MOST_COUNTS + 1)))
    assert f">{200 + MOST_COUNTS}<" in made.figure.svg and ">201<" not in made.figure.svg


def test_the_same_runs_give_the_same_chart() -> None:
    runs = [night(i, gap(0.01 * i)) for i in range(5)]
    assert drawn(*runs) == drawn(*runs)


def test_text_of_the_data_is_text_in_the_chart() -> None:
    hostile = {"unit": "<script>alert(1)</script>", "attribute": "$x^2$ \x1b[31m\u202e"}
    made = drawn(night(0, gap(0.01, **hostile)))
    assert "<script" not in made.figure.svg
    assert "\x1b" not in made.figure.svg + made.figure.alt + made.figure.caption
