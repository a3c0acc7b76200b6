"""What is computed for a profile from dates, whatever the record holds for dates."""

import pytest

from audit.report.computed import audit_age
from tests.audit.report.test_conditions import record


@pytest.mark.parametrize("finished", ["9999-12-31T10:00:00+00:00", "9999-02-28", "0001-01-01", "", "x", "9" * 5000])
@pytest.mark.parametrize("first", ["9999-12-31", "0001-01-01", "2026-05-01"])
def test_no_date_of_a_record_stops_a_report(finished: str, first: str) -> None:
    dated = record(compliance={"declarations": {"distribution_date": first}}).model_copy(update={"finished": finished})
    told, reason = audit_age(dated)
    assert (told is None) == bool(reason)
    if finished.startswith("9999-02"):
        assert "one year old on no day of the calendar" in (told or "")
