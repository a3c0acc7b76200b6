"""`history.html` says what it leaves out, keeps within its size, and shows text from data as text."""

import re
from pathlib import Path
from typing import Any

import pytest

from audit.history import History, history
from audit.records import RunSummary, Verdict
from audit.report.document import history_html
from audit.report.history import steps
from audit.report.history_page import ALL_CHARTS, LEAST_CHARTS, MOST_CHARTS, NEWEST, sections
from tests.audit.nights import gap, named, night, second
from tests.audit.report.words import slips


def of(*runs: RunSummary, name: str = "nightly", **changes: Any) -> History:
    base = {"name": name, "folder": Path(name), "every": tuple(steps(named(*runs))), "shown": len(runs), "broken": {}}
    return History(**(base | changes))


def page(*histories: History) -> str:
    return history_html(histories).decode()


def some_nights() -> History:
    runs = [night(i, gap(0.01 * i), gap(-0.03, id="two", attribute="age")) for i in range(6)]
    return of(*runs, *(second(i, gap(0.02 * (i - 5))) for i in range(6, 9)))


def test_a_page_has_charts_numbers_and_runs() -> None:
    text = page(some_nights())
    assert text.count("<figure") == 2
    assert "0.060 [0.040, 0.080]" in text
    assert text.count('<th scope="row" class="mono small est">') == 9 + 9 + 6
    assert "changed: protocol bbbbbb: margins.outcome; data</strong>: not comparable with the runs before" in text


def test_more_runs_than_looks_are_told_plainly() -> None:
    held, lost = page(of(night(0, gap(0.01), looks=1))), page(of(*(night(i, gap(0.01), looks=1) for i in range(2))))
    assert "No longer held: more runs than looks" in lost and "No longer held" not in held


def test_several_protocols_say_that_their_error_rates_add_up() -> None:
    said = "Each of the 2 protocols has its own plan"
    assert said in page(of(night(0, gap(0.01)), second(1, gap(0.01))))
    assert said in page(of(night(0, gap(0.01)), second(1, gap(0.01)), shown=1))
    assert "has its own plan" not in page(of(night(0, gap(0.01))))


def test_a_chart_without_an_estimate_in_the_newest_run_comes_last_and_has_the_state_of_that_run() -> None:
    untested = gap(None, id="two", attribute="age", verdict=Verdict.NOT_TESTABLE)
    older = night(0, gap(0.001), gap(0.04, id="two", attribute="age"), gap(0.04, id="three", attribute="club"))
    heads = re.findall(r"<h4>(.*?)</h4>\s*(<p.*?</p>)?", page(of(older, second(1, gap(0.001), untested))))
    text = [re.sub(r"<.*?>", "", " ".join(each)).strip() for each in heads]
    assert [each.split(",")[1].strip().split(":")[0] for each in text] == ["gender", "club", "age"]
    assert "EQUIVALENT" in text[0]
    assert text[1].endswith("not in the newest run; last estimate on 2026-01-01, of protocol aaaaaa")
    assert text[2].endswith(
        "NOT TESTABLE not tested in the newest run; last estimate on 2026-01-01, of protocol aaaaaa"
    )
    assert "INCONCLUSIVE" not in " ".join(text)


def test_looks_are_those_of_runs_that_are_not_shown_too() -> None:
    text = page(of(*(night(i, gap(0.01), looks=3) for i in range(5)), shown=2))
    assert "3 earlier runs left out (--last)" in text
    assert "No longer held" in text and '<td class="num">5</td>' in text


def test_series_that_are_not_drawn_are_counted_and_their_breaches_too() -> None:
    many = [gap(0.09, id=f"finding {i}", attribute=f"attribute {i}") for i in range(MOST_CHARTS + 5)]
    text = page(of(night(0, *many)))
    assert text.count("<figure") == MOST_CHARTS
    assert "5 more are not drawn, <strong>5 of them a BREACH in the newest run</strong>" in text


def test_a_breach_whose_estimate_is_withheld_is_listed() -> None:
    text = page(of(night(0, gap(0.01), gap(None, id="flips", category="flips", verdict=Verdict.BREACH))))
    assert text.count("<figure") == 1
    assert re.search(
        r"no run shows an estimate.*BREACH.*gender: female − male, flips; BREACH in 1 run", text, re.DOTALL
    )


def test_many_names_share_the_charts() -> None:
    found = [gap(0.01, id=str(i)) for i in range(20)]
    made = sections([of(night(0, *found), name=f"name {i}") for i in range(8)])
    assert {each.most for each in made} == {ALL_CHARTS // 8}
    assert sections([of(night(0), name=str(i)) for i in range(100)])[0].most == LEAST_CHARTS


def test_the_table_lists_the_newest_runs_and_older_breaches_and_counts_the_rest() -> None:
    made = of(*(night(i, gap(0.09 if i == 3 else 0.01)) for i in range(NEWEST + 10)))
    (section,) = sections([made])
    assert len(section.rows) == NEWEST + 1
    assert section.rows[0][0].run.run_id == night(3).run_id
    assert "9 more are not listed" in page(made)


def test_broken_runs_are_counted_on_the_page() -> None:
    text = page(of(night(0, gap(0.01)), broken={"20260102T000000Z-aaaaaa": "has no manifest.json"}))
    assert "1 folder without a run that can be read left out: 20260102T000000Z-aaaaaa" in text


def test_text_from_data_is_text(tmp_path: Path) -> None:
    bad = "</style><script>alert(1)</script>{{7*7}}\x1b[31m\u202e"
    hostile = gap(0.01, id=bad, attribute=bad, group=bad, comparison=bad, category=bad, unit=bad, question=bad)
    run = night(0, hostile, name=bad, run_id="x", started=bad, gates={bad: bad}, protocol_sha256=bad, release=bad)
    text = page(of(run, second(1, hostile), name=bad, broken={bad: bad}))
    assert "<script" not in text and "\x1b" not in text and "\u202e" not in text
    assert "{{7*7}}" in text
    assert "default-src &#39;none&#39;" in text


def test_the_page_judges_nothing() -> None:
    text = re.sub(r"<svg.*?</svg>|<style>.*?</style>|<[^>]*>", " ", page(some_nights()), flags=re.DOTALL)
    assert not list(slips(text))
    assert not re.search(r"\b(improv|better|worse|regress|fair)", text, re.IGNORECASE)


def test_the_same_runs_give_the_same_page() -> None:
    assert page(some_nights()) == page(some_nights())


@pytest.mark.parametrize("last", [None, 1])
def test_the_sample_of_this_repository_is_shown_from_its_record(last: int | None) -> None:
    found = history(Path(__file__).parents[3] / "reports", last)
    sample = next(each for each in found if "sample" in [step.folder for step in each.every])
    text = page(sample)
    assert "−0.103 [−0.153, −0.063]" in text
    assert "Swaps, gender: female − male, flips; BREACH in 0 runs" in text
