"""report.csv is read back by a CSV parser; numbers are compared with the record."""

import csv
import io
import math

import pytest

from audit.report.estimates_csv import COLUMNS, estimates_csv
from tests.audit.report.complete import complete_record, shown, untold
from tests.audit.report.hostile import LATER, TURNS, UNPRINTED, UNWRITABLE, hostile_record, unharmed

SECTIONS = {
    "model accuracy": 1, "finding": 16, "rate": 8, "second opinion": 2, "sensitivity": 1, "check": 1, "check flips": 1, "term effect": 36,
    "region": 6, "concentration": 2, "share": 4, "impact rate": 3, "impact ratio": 3, "impact odds ratio": 2, "validity": 2, "agreement": 2,
    "candidate": 4, "baseline": 18,
}  # fmt: skip


def read(content):
    return list(csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""), strict=True))


def rows(record=None):
    return read(estimates_csv(shown(record or complete_record())))


def test_every_estimate_of_the_record_is_one_row_under_the_agreed_columns():
    content = estimates_csv(shown(complete_record()))
    assert content.decode().split("\r\n")[0].split(",") == list(COLUMNS) and b"\n" not in content.replace(b"\r\n", b"")
    counted = [each["section"] for each in read(content)]
    effects = len(complete_record().effects)
    assert {name: counted.count(name) for name in dict.fromkeys(counted)} == SECTIONS | {"term effect": effects}
    assert {each["run_id"] for each in read(content)} == {complete_record().run_id}


def test_numbers_of_findings_are_those_of_the_record_to_the_last_bit():
    found = {each["id"]: each for each in rows() if each["section"] == "finding"}
    for finding in complete_record().findings:
        row = found[finding.id]
        for column, value in (
            ("value", finding.estimate.value), ("low", finding.estimate.low), ("n", finding.estimate.n),
            ("clusters", finding.estimate.clusters), ("p", finding.test.p), ("p_adjusted", finding.test.p_adjusted),
            ("margin", finding.margin),
        ):  # fmt: skip
            assert (float(row[column]) if row[column] else None) == value
        assert (row["verdict"], row["groups"]) == (finding.verdict.value, " | ".join(finding.groups))
        assert finding.reason in row["reason"]


def test_a_withheld_number_is_an_empty_cell_and_its_dropped_rows_are_not_told_to_be_none():
    told = [row for row in rows(untold(complete_record())) if row["section"] != "rate"]
    assert len(told) == len(rows()) - SECTIONS["rate"]
    for row in told:
        assert [row[name] for name in ("value", "low", "high", "level", "n", "dropped")] == [""] * 6
        assert "not shown" in row["reason"]


def test_impact_ratios_say_of_whom_and_why_they_are_left_out():
    found = [each for each in rows() if each["section"] == "impact ratio"]
    assert [each["groups"] for each in found] == ["male", "female", "other"]
    assert [each["reason"] for each in found] == ["the reference", "", "a smaller share than 2 %"]
    assert found[1]["p_adjusted"] == "0.02" and found[1]["measure"] == "selection rate over that of the reference"


def test_words_of_the_data_are_no_rows_where_the_config_hides_text():
    record = complete_record()
    hidden = record.model_copy(update={"config": {**record.config, "report": {"smallest_cell": 1, "show_text": False}}})
    assert not [each for each in rows(hidden) if each["section"] == "candidate"]


@pytest.mark.parametrize("turn", [*TURNS, LATER])
def test_no_cell_is_a_formula_and_hostile_text_breaks_no_row(turn):
    content = estimates_csv(shown(hostile_record(turn, UNWRITABLE)))
    found = read(content)
    assert len(found) == len(rows(unharmed(turn))) and all(
        None not in each and None not in each.values() for each in found
    )
    for cell in (cell for row in found for cell in row.values()):
        assert len(cell) < 32_767 and "\n" not in cell and not UNPRINTED.search(cell)
        assert not cell.startswith(("=", "+", "@", "\t", "\r", "＝")) and (
            not cell.startswith("-") or math.isfinite(float(cell))
        )
    for line in content.decode().split("\r\n"):
        assert not [
            part for part in line.split(";") if part.startswith(("=", "+", "-", "@"))
        ]  # where ; separates cells


def test_negative_numbers_stay_numbers():
    values = [each["value"] for each in rows() if each["value"].startswith("-")]
    assert values and all(float(value) < 0 for value in values)
