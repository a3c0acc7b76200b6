"""The crosswalk fills in every field of a profile, or says that it is missing, and claims nothing that the run does not have."""

from typing import Any

import numpy as np
import pytest

from audit.records import AuditRecord, Category, Estimate, ImpactTable
from audit.report.crosswalk import Row, State, filled, profiles, unknown
from audit.report.declarations import supplied
from audit.report.privacy import published
from audit.report.profile import NAMES, Field, shipped
from audit.report.publication import publication
from audit.stats.counts import EXPECTED
from audit.stats.performance import equal_rates
from tests.audit.report.sample import HOSTILE, html, sample_record
from tests.audit.report.test_conditions import few_selected


def audited(
    *, impact: tuple[ImpactTable, ...] = (), declarations: dict[str, str] | None = None, **settings: Any
) -> AuditRecord:
    """The sample with a block `compliance`, as the pipeline records it."""
    block = {"profile": list(NAMES), "axes": {}, "output": "selection", "declarations": declarations or {}, **settings}
    record = sample_record()
    return record.model_copy(update={"config": {**record.config, "compliance": block}, "impact": impact})


def category(name: str, selected: int, *, ratio: float | None = None, excluded: str = "") -> Category:
    return Category(
        name=name, n=100, selected=selected, share=0.5, rate=Estimate(value=selected / 100, n=100), excluded=excluded,
        ratio=Estimate(value=ratio, low=ratio, high=ratio, n=100), reference=ratio == 1.0, four_fifths=None,
    )  # fmt: skip


def impact_table(attribute: str, axis: str, **others: Any) -> ImpactTable:
    given: dict[str, Any] = {
        "output": "selection", "n": 200, "unknown": 0, "checks": {"sum": True},
        "categories": (category("a", 40, ratio=1.0), category("b", 20, ratio=0.5)),
    }  # fmt: skip
    return ImpactTable(attribute=attribute, axis=axis, **given | others)


def row_of(record: AuditRecord, profile: str, field: str) -> Row:
    (crosswalk,) = [each for each in profiles(record) if each.name == profile]
    (found,) = [row for row in crosswalk.rows if row.field == field]
    return found


def test_a_record_without_the_block_has_no_crosswalk() -> None:
    record = sample_record()
    assert profiles(record) == ()


def test_rows_are_the_fields_of_the_file_in_order_and_the_summary_counts_all_of_them() -> None:
    found = profiles(audited())
    assert [each.name for each in found] == list(NAMES)
    for crosswalk in found:
        fields = shipped(crosswalk.name).fields
        assert [(row.field, row.source) for row in crosswalk.rows] == [(field.field, field.source) for field in fields]
        assert sum(crosswalk.counts.values()) == len(fields)
        assert f"of {len(fields)} fields are filled" in crosswalk.summary
        numbers = [int(part.split()[0]) for part in crosswalk.summary.split(", ")]
        assert sum(numbers) == len(fields)


def test_a_missing_declaration_is_shown_as_missing_and_a_given_one_as_declared() -> None:
    without, given = audited(), audited(declarations={"auditor": "A. Person"})
    assert row_of(without, "nyc_ll144", "auditor").state is State.MISSING == "NOT SUPPLIED"
    found = row_of(given, "nyc_ll144", "auditor")
    assert (found.state, found.text, found.letter) == (State.DECLARED, "A. Person", "A")


@pytest.mark.parametrize("blank", ["", "  ", "\n\t", "\u00a0"])
def test_blanks_are_no_declaration_and_no_setting_in_any_format(blank: str) -> None:
    record = audited(declarations={"auditor": blank}, impact=(excluding(),), exclusion_reason=blank)
    row = row_of(record, "nyc_ll144", "auditor")
    assert (row.state, row.text) == (State.MISSING, "no declaration auditor") and supplied(record, "auditor") is None
    assert row_of(record, "nyc_ll144", "why they are left out").state is State.MISSING
    page = html(
        audited(declarations={"responsible": blank, "responsible_role": blank, "tolerance_owner": blank})
    ).decode()
    assert "<td>not supplied</td><td>not supplied</td>" in page and "Who agreed the margins: not supplied." in page


@pytest.mark.parametrize("hostile", HOSTILE)
def test_declared_text_is_data_without_control_characters(hostile: str) -> None:
    record = audited(declarations={"auditor": hostile})
    texts = [row_of(record, "nyc_ll144", "auditor").text, supplied(record, "auditor") or ""]
    assert not [text for text in texts if set(text) & set("\x00\x1b\x07\u202e\u202c")]
    assert "&lt;" not in "".join(texts)  # the template escapes, once


def test_impact_tables_fill_their_axis_and_no_other() -> None:
    record = audited(impact=(impact_table("gender", "sex"), impact_table("gender x race", "race_ethnicity x sex")))
    sex, crossed = (
        row_of(record, "nyc_ll144", "table by sex"),
        row_of(record, "nyc_ll144", "table by sex, race and ethnicity crossed"),
    )
    assert (sex.state, sex.text, sex.letter) == (State.SECTION, "section E, sex: gender", "E")
    assert crossed.state is State.SECTION
    race = row_of(record, "nyc_ll144", "table by race and ethnicity")
    assert race.state is State.MISSING and "no attribute is declared as this axis" in race.text
    every = row_of(record, "ugesp", "tables by sex, by race and ethnicity, and by both")
    assert (
        every.state is State.MISSING
        and "sex: gender" in every.text
        and "race and ethnicity: no attribute" in every.text
    )


def test_a_table_that_could_not_be_made_tells_its_reason() -> None:
    empty = impact_table("gender", "sex", categories=(), reason="one category only", checks={})
    found = row_of(audited(impact=(empty,), axes={"sex": "gender"}), "nyc_ll144", "table by sex")
    assert found.state is State.MISSING and "one category only" in found.text
    older = row_of(audited(axes={"sex": "gender"}), "nyc_ll144", "table by sex")
    assert older.state is State.MISSING and "the record has no table of this axis" in older.text


def test_a_section_is_claimed_only_for_what_the_run_has() -> None:
    field = "impact ratio of each category"
    assert row_of(audited(), "nyc_ll144", field).state is State.MISSING
    assert row_of(audited(impact=(impact_table("gender", "sex"),)), "nyc_ll144", field).state is State.SECTION
    asked = "test with random weights"
    assert row_of(audited(), "nist_ai_rmf", asked).state is State.MISSING
    empty = audited().model_copy(update={"findings": ()})
    assert row_of(empty, "eu_ai_act", "examination for possible biases in outcomes").state is State.MISSING


@pytest.mark.parametrize(
    ("kind", "state"), [("historical", State.NOT_ASKED), ("test", State.MISSING), (None, State.MISSING)]
)
def test_why_test_data_is_asked_unless_data_are_known_to_be_historical(kind: str | None, state: State) -> None:
    record = audited(declarations={"data_kind": kind} if kind else None)
    assert (
        row_of(record, "nyc_ll144", "why historical data did not suffice, and how test data were made").state is state
    )


def test_the_median_is_asked_of_scores_alone() -> None:
    field = "median score of the full sample"
    assert row_of(audited(), "nyc_ll144", field).state is State.NOT_ASKED
    scores = (impact_table("gender", "sex", output="score", threshold=0.25),)
    assert row_of(audited(impact=scores, output="score"), "nyc_ll144", field).text == "0.25"


@pytest.mark.parametrize(
    ("first", "state", "words"),
    [
        (None, State.MISSING, "one year old on 2027-05-01"),
        ("next summer", State.MISSING, "none that reads YYYY-MM-DD"),
        ("2026-05-31", State.RECORD, "30 days after this audit, within one year"),
        ("2027-05-01", State.RECORD, "365 days after this audit, within one year"),
        ("2027-05-02", State.RECORD, "MORE than one year"),
        ("2026-04-01", State.RECORD, "30 days before this audit, so an earlier audit must cover it"),
    ],
)
def test_age_of_the_audit_is_told_from_the_day_of_first_use(first: str | None, state: State, words: str) -> None:
    found = row_of(
        audited(declarations={"distribution_date": first} if first else None),
        "nyc_ll144",
        "audit no more than one year before use",
    )
    assert found.state is state and words in found.text


def test_an_audit_of_a_leap_day_is_one_year_old_on_the_day_before() -> None:
    record = audited().model_copy(update={"finished": "2028-02-29T10:00:00+00:00"})
    assert "on 2029-02-28" in row_of(record, "nyc_ll144", "audit no more than one year before use").text


def test_tables_that_do_not_add_up_are_named() -> None:
    tables = (impact_table("gender", "sex", checks={"sum": True, "one reference": False}),)
    assert (
        row_of(audited(impact=tables), "nyc_ll144", checks_field()).text
        == "1 of 2 checks hold; NOT: gender: one reference"
    )


def checks_field() -> str:
    return next(field.field for field in shipped("nyc_ll144").fields if field.computed == "table checks")


def excluding() -> ImpactTable:
    one, two = category("a", 40, ratio=1.0), category("c", 1, excluded="1 % of all")
    return impact_table("race", "race_ethnicity", categories=(one, two))


def test_excluded_categories_are_named_and_ask_for_their_reason() -> None:
    tables = (excluding(),)
    reason, record = "why they are left out", audited(impact=tables)
    assert row_of(record, "nyc_ll144", "categories left out of the ratios").text == "race c: 1 % of all"
    assert row_of(record, "nyc_ll144", reason).state is State.MISSING
    assert row_of(audited(impact=tables, exclusion_reason="few"), "nyc_ll144", reason).state is State.RECORD
    assert row_of(audited(impact=(impact_table("sex", "sex"),)), "nyc_ll144", reason).state is State.NOT_ASKED


def test_what_is_withheld_says_so_and_counts_neither_as_filled_nor_as_missing() -> None:
    record = audited()
    data = record.data.model_copy(
        update={"unknown": {"gender": 2}, "attributes": {"gender": {"female": 2, "male": 2979}}}
    )
    block = {**record.config, "report": {"smallest_cell": 5}}
    shown = published(record.model_copy(update={"data": data, "config": block}))
    assert row_of(shown, "nyc_ll144", "number of people whose category is unknown").state is State.WITHHELD
    assert row_of(shown, "nyc_ll144", "why categories are unknown").state is State.MISSING
    crosswalk = next(each for each in profiles(shown) if each.name == "nyc_ll144")
    assert ", 1 withheld" in crosswalk.summary
    accuracy = record.model.accuracy.model_copy(
        update={"value": None, "low": None, "high": None, "reason": "not shown: few"}
    )
    rare = record.model_copy(update={"model": record.model.model_copy(update={"accuracy": accuracy})})
    assert row_of(rare, "nist_ai_rmf", "overall performance").state is State.WITHHELD


def test_what_the_public_is_not_told_is_withheld_and_not_missing() -> None:
    machine = sample_record().provenance.model_copy(update={"hardware": {"processor": "x"}})
    record = audited().model_copy(update={"provenance": machine})
    assert row_of(publication(record).record, "eu_ai_act", "hardware").text == "processor x"
    assert row_of(publication(record, public=True).record, "eu_ai_act", "hardware").state is State.WITHHELD


def test_an_empty_value_is_an_answer_only_where_the_file_says_what_it_means() -> None:
    record = audited()
    bare = record.model_copy(update={"data": record.data.model_copy(update={"excluded": {}})})
    assert row_of(bare, "eu_ai_act", "rows that could not be used").text == "none"
    assert row_of(record, "eu_ai_act", "hardware").state is State.MISSING
    assert answer(record, "provenance.hardware", empty="unknown hardware").state is State.RECORD


def test_settings_that_are_not_set_are_left_out_and_numbers_are_short() -> None:
    record = audited()
    with_none = record.model_copy(update={"config": {**record.config, "margins": {"flips": 0.05, "reliance": None}}})
    assert answer(with_none, "config.margins").text == "flips 0.050"
    assert answer(record, "ledger.closure_max").text == "4.2e-07"
    assert answer(record, "model.accuracy").text == "0.801 [0.785, 0.817] (95 % interval, n = 2,981)"


def answer(record: AuditRecord, path: str, *, empty: str | None = None) -> Row:
    field = Field(field="f", source="s", record=path, empty=empty)
    return filled(record, "own", shipped("ugesp").model_copy(update={"fields": (field,)})).rows[0]


LL144: tuple[str, ...] = (
    "table by sex", "number of people in each category", "number selected, or scoring above the median, in each category",
    "selection or scoring rate of each category", "impact ratio of each category", "intervals of the ratios",
    "smallest ratio that chance alone would give", "ratios if the unknown were of one category or another",
)  # fmt: skip


@pytest.mark.parametrize("field", LL144)
def test_numbers_that_are_withheld_are_not_in_the_report(field: str) -> None:
    """Of 300 each, 2 are selected in two categories, so that nothing but names and the ratio of the reference is published."""
    whole = few_selected()
    block = {**whole.config, "compliance": {"profile": ["nyc_ll144"], "axes": {"sex": "sex"}}}
    record = whole.model_copy(update={"config": block, "data": whole.data.model_copy(update={"unknown": {"sex": 0}})})
    found = row_of(published(record), "nyc_ll144", field)
    assert (found.state, "too small to show" in found.text) == (State.WITHHELD, True)
    assert row_of(record, "nyc_ll144", field).state is State.SECTION
    reference = row_of(published(record), "nyc_ll144", "which category is the reference, that of the highest rate")
    assert reference.state is State.SECTION


def test_what_is_withheld_of_one_attribute_is_named_beside_the_section_that_shows_another() -> None:
    (hidden,) = published(few_selected()).impact
    record = audited(impact=(hidden, impact_table("race", "race_ethnicity")))
    found = row_of(record, "ugesp", "numbers of each group")
    assert (found.state, found.letter) == (State.SECTION, "E") and found.text.endswith("; withheld: sex")
    every = row_of(record, "ugesp", "tables by sex, by race and ethnicity, and by both")
    assert every.state is State.MISSING and "sex: sex, too small to show" in every.text


def test_a_table_that_shows_ratios_alone_says_that_its_counts_are_withheld() -> None:
    (hidden,) = published(few_selected()).impact
    ratio = Estimate(value=0.6, n=None)
    first, second, third = hidden.categories
    categories = (first, second.model_copy(update={"ratio": ratio}), third)
    record = audited(impact=(hidden.model_copy(update={"categories": categories}),))
    found = row_of(record, "nyc_ll144", "table by sex")
    assert (found.state, found.text) == (State.SECTION, "section E, sex: sex, its counts withheld")
    assert row_of(record, "nyc_ll144", "impact ratio of each category").state is State.SECTION
    assert row_of(record, "nyc_ll144", "number of people in each category").state is State.WITHHELD


@pytest.mark.parametrize(
    ("asked", "left"), [(["gdpr", "ugesp", "gdpr"], ["gdpr"]), ("ugesp", []), (None, []), ([{}], ["{}"])]
)
def test_a_profile_that_this_release_does_not_have_stops_no_report(asked: Any, left: list[str]) -> None:
    record = audited(profile=asked)
    assert unknown(record) == left and len(profiles(record)) == (asked == ["gdpr", "ugesp", "gdpr"])
    page = html(record).decode()
    assert ("which this release of lrp-audit does not have" in page) == bool(left)


def test_a_report_is_made_of_an_audit_in_the_last_year_of_the_calendar() -> None:
    record = audited(declarations={"distribution_date": "9999-12-31"}).model_copy(
        update={"finished": "9999-12-30T10:00:00+00:00"}
    )
    assert b"1 days after this audit, within one year" in html(record)


def test_the_test_of_ratios_is_told_as_it_is_made() -> None:
    (note,) = [field.note for field in shipped("ugesp").fields if field.field == "statistical significance"]
    rng = np.random.default_rng(0)

    def made(n: int, *, pairs: int = 1) -> str:
        event, group = rng.random(n) < 0.5, np.arange(n) % 2 == 0
        return equal_rates(event, group, cluster=np.arange(n) // pairs)[2]

    assert f"every expected count is {EXPECTED} or more" in str(note)
    assert (
        made(200) == "score test" and made(16) == "Boschloo's exact test" and "Boschloo's for small tables" in str(note)
    )
    assert made(200, pairs=2) == made(16, pairs=2) == "score test at the effective sample size"
    assert "in clusters always a score test at the effective sample size" in str(note)


def test_rows_on_relevance_and_on_outcomes_point_to_the_section_of_their_findings() -> None:
    sections = {
        "relevance": "F",
        "disparities": "F",
        "outcome gaps": "E",
        "error rates": "E",
        "crossed groups": "E",
        "tests": "D",
    }
    asked = [field for name in NAMES for field in shipped(name).fields if field.needs in sections]
    assert {field.needs for field in asked} == set(sections)
    assert not [field.field for field in asked if field.section != sections[str(field.needs)]]
    shown = [field for field in asked if field.section == "D"]
    assert {field.field for field in shown} == {"bias, risks and limitations", "results"}


def test_the_log_of_the_test_is_what_section_k_keeps_and_no_id_of_a_run() -> None:
    found = row_of(audited(), "eu_ai_act", "log of the test")
    assert (found.state, found.letter) == (State.SECTION, "K") and "what the terminal said is not kept" in found.note
