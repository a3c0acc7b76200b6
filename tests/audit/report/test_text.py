"""Times, numbers and their words, as every format has them."""

import json
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest

from audit.report.computed import audit_age
from audit.report.formats import FORMATS
from audit.report.publication import publication
from audit.report.text import measured, moment, when
from tests.audit.report.complete import complete_record
from tests.audit.report.sample import estimate

FILES = {file: make for each in FORMATS.values() for file, make in each.files.items()}
NO_TIMES = (
    "",
    "yesterday",
    "2026-13-45T99:00:00",
    "0001-01-01T00:00:00+10:00",
    "9999-12-31T23:59:59-10:00",
    "\u0662026-05-01",
    "x" * 100_000,
)
ODD = {
    "0001-01-01T00:00:00": "0001-01-01T00:00:00", "0987-05-01T00:00:00+00:00": "0987-05-01T00:00:00",
    "9999-12-31T23:59:59+14:00": "9999-12-31T09:59:59", "2026-05-01": "2026-05-01T00:00:00",
    "2026-05-01T02:00:00+05:30": "2026-04-30T20:30:00",
}  # fmt: skip


def at(time):
    """A small record of that time: few findings, no examples."""
    record = complete_record()
    few = {
        "findings": record.findings[:2],
        "gates": (),
        "exhibits": (),
        "effects": (),
        "terms": (),
        "distributions": (),
    }
    return record.model_copy(update={**few, "started": time, "finished": time})


@pytest.mark.parametrize("time", NO_TIMES, ids=range(len(NO_TIMES)))
def test_what_is_no_time_is_none_and_shown_as_it_is(time):
    assert moment(time) is None and when(time) == time


@pytest.mark.parametrize(("time", "told"), ODD.items())
def test_a_time_is_told_in_utc_with_four_digits_of_its_year(time, told):
    assert when(time) == f"{told.replace('T', ' ')} UTC"


def test_a_time_without_an_offset_is_the_same_on_every_machine(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert moment("2026-05-01T10:15:00") == datetime(2026, 5, 1, 10, 15, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("time", [*NO_TIMES, *ODD], ids=range(len(NO_TIMES) + len(ODD)))
def test_every_format_is_made_at_any_time(file, time):
    content = FILES[file](publication(at(time)))
    assert len(content) > 400
    if file == "report.sarif":
        told = json.loads(content)["runs"][0]["invocations"][0]
        assert told.get("endTimeUtc") == (f"{ODD[time]}Z" if time in ODD else None)
    if file == "report.junit.xml":
        assert {each.get("timestamp") for each in ET.fromstring(content)} == {ODD.get(time)}
    if file == "ml-bom.cdx.json":
        assert json.loads(content)["metadata"].get("timestamp", "")[:19] == ODD.get(time, "")


@pytest.mark.parametrize("time", NO_TIMES, ids=range(len(NO_TIMES)))
def test_the_age_of_an_audit_without_a_time_is_not_known(time):
    assert audit_age(at(time)) == (None, "the record has no time of the audit")


def test_an_estimate_is_told_with_its_level_only_where_it_has_an_interval():
    known = estimate(0.2, 0.1, unit="share")
    bare = known.model_copy(update={"low": None, "high": None})
    assert measured(known, "n = 3") == "0.200 [0.100, 0.300] share (95\u00a0% interval, n = 3)"
    assert (measured(bare), measured(bare, "n = 3")) == ("0.200 share", "0.200 share (n = 3)")
