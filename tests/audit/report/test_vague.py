"""Differences of rates whose counts are withheld keep no number that could be solved for them."""

from audit.records import Sensitivity, Verdict
from audit.report.privacy import published
from tests.audit.report.sample import estimate, finding
from tests.audit.report.test_privacy import record_with


def test_extremes_over_the_unknown_and_p_go_with_the_counts():
    """Three people of a third group: from totals, every count of the two others would tell theirs."""

    def rate(value):
        return estimate(value, 0.05, n=300, unit="error rate", kind="Wilson, effective n").model_dump()

    extreme = Sensitivity(
        changed="unknown groups such that the difference is largest",
        estimate=estimate(0.0969352958, 0.05),
        verdict=Verdict.INCONCLUSIVE,
    )
    shown = finding(
        "outcome", "sex", ("f", "m"), estimate(0.04, 0.06, n=600, unit="difference in error rate"), Verdict.INCONCLUSIVE, "too little",
        p=0.2134, adjusted=0.4321, m=2, family="outcome gaps", margin=0.05, estimand="error rate", detectable=0.0831, needed_n=2000,
        details={"measure": "error rate", "rate": rate(0.3), "reference rate": rate(0.26)},
    ).model_copy(update={"sensitivity": (extreme,)})  # fmt: skip
    record = record_with({"smallest_cell": 5})
    data = record.data.model_copy(
        update={"used": 603, "attributes": {"sex": {"f": 300, "m": 300, "x": 3}}, "unknown": {}}
    )
    told = published(record.model_copy(update={"findings": (shown,), "data": data, "gates": ()})).findings[0]
    assert told.estimate.n is None
    assert told.sensitivity[0].estimate.value is None and told.sensitivity[0].verdict is Verdict.INCONCLUSIVE
    assert (told.test.p, told.test.p_adjusted, told.detectable, told.needed_n) == (None, None, None, None)
    text = told.model_dump_json()
    assert not [number for number in ("0.0969", "0.2134", "0.4321", "0.0831") if number in text]
