"""Every condition of a profile holds of a record that has what it names, does not of one that lacks it, and tells what is withheld."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from audit.records import Agreement, AuditRecord, Category, Estimate, ImpactTable, Lexicon, ValidityCheck, Verdict
from audit.records.impact import ExpectedMinimum, Stratified
from audit.report.conditions import CONDITIONS
from audit.report.privacy import published
from audit.tables import TIMES
from tests.audit.report.sample import discovery, estimate, finding, not_testable, sample_record
from tests.audit.report.test_impact_disclosure import record_of
from tests.audit.stats.selected import counted

Make = Callable[..., AuditRecord]


def record(**parts: Any) -> AuditRecord:
    """A record that has nothing of what conditions name, but for `parts`; data, config and compliance are changed, not replaced."""
    bare = sample_record()
    data = {"unknown": {}, "attributes": {}} | parts.pop("data", {})
    config = {**bare.config, "compliance": parts.pop("compliance", {})}
    nothing = {"findings": (), "gates": (), "discovery": None, "lexicons": (), "regions": ()}
    return bare.model_copy(update={**nothing, "config": config, "data": bare.data.model_copy(update=data), **parts})


def found(question: str, *, attribute: str = "sex", verdict: Verdict = Verdict.DIFFERENT, **others: Any) -> AuditRecord:
    shown = finding(
        question, attribute, ("a", "b"), estimate(0.1, 0.05), verdict, "r", p=0.01, adjusted=0.02, m=1, family="f", margin=0.05,
        estimand="e", **others,
    )  # fmt: skip
    return record(findings=(shown,))


def untested(question: str, *, attribute: str = "sex") -> AuditRecord:
    return record(findings=(not_testable(question, attribute, ("a", "b"), "too few"),))


def table(*, attribute: str = "sex", first: Mapping[str, Any] | None = None, **second: Any) -> AuditRecord:
    """One impact table of names: the reference with its ratio of 1, and a category with `second` alone."""
    none = Estimate(value=None, n=None, reason="none")
    bare: dict[str, Any] = {"n": None, "selected": None, "share": None, "rate": none, "ratio": none}
    of_table = {name: second.pop(name) for name in ("expected", "stratified", "categories") if name in second}
    own = Estimate(value=1.0, low=1.0, high=1.0)
    categories = (
        Category(name="a", **bare | {"reference": True, "ratio": own} | dict(first or {})),
        Category(name="b", **bare | second),
    )
    given: dict[str, Any] = {"n": None, "unknown": None, "checks": {}, "categories": categories}
    return record(impact=(ImpactTable(attribute=attribute, axis="sex", output="selection", **given | of_table),))


def valid(asks: str, value: float | None = 0.3) -> AuditRecord:
    found = estimate(value, 0.1) if value is not None else Estimate(value=None, reason="too few")
    return record(validity=(ValidityCheck(asks=asks, by="mask", estimate=found, holds=None),))


def strata(odds: Estimate) -> AuditRecord:
    return table(stratified=(Stratified(category="b", by="site", strata=2, odds=odds, p=None, p_equal=None),))


NUMBER, NONE = estimate(0.5, 0.1), Estimate(value=None, reason="none")
LEAST = ExpectedMinimum(observed=0.7, median=0.8, low=0.6, high=0.9, below_four_fifths=0.4, p=0.2, draws=2000)
LEXICON = Lexicon(attribute="gender", source="s", sha256="0" * 64, provenance="p")
AGREEMENT = Agreement(composite="c", by="mask", spearman=NUMBER, sign=NUMBER)
NO_TABLE = record()
CASES: Mapping[str, tuple[AuditRecord, AuditRecord]] = {  # of which it holds, and of which it does not
    "data may be test data": (record(), record(compliance={"declarations": {"data_kind": "historical"}})),
    "ratios of scores": (record(compliance={"output": "score"}), record(compliance={"output": "selection"})),
    "groups are unknown": (record(data={"unknown": {"sex": None}}), record(data={"unknown": {"sex": 0}})),
    "a category is excluded": (table(excluded="1 %; few"), table()),
    "counts": (table(n=9), table(selected=3)),
    "selected": (table(selected=0), table(n=9)),
    "rates": (table(rate=NUMBER), table(n=9)),
    "reference": (table(), table(first={"reference": False})),
    "ratios": (table(ratio=NUMBER), table(n=9)),
    "intervals of ratios": (table(ratio=NUMBER), table(ratio=Estimate(value=0.5))),
    "four fifths": (table(four_fifths=False), table(ratio=NUMBER)),
    "tests of ratios": (table(p=0.2), table(ratio=NUMBER)),
    "deviations": (table(deviations=0.0), table(p=0.2)),
    "shortfall": (table(shortfall=0.0), table(p=0.2)),
    "one selection more": (table(crosses=False), table(p=0.2)),
    "odds": (table(odds=NUMBER), table(odds=NONE)),
    "readings": (table(reading="both"), table(ratio=NUMBER)),
    "bounds": (table(lowest=0.1, highest=0.2), table(first={"lowest": 1.0, "highest": 1.0})),
    "expected minimum": (table(expected=LEAST), table(ratio=NUMBER)),
    "strata": (strata(NUMBER), strata(NONE)),
    "outcome gaps": (found("outcome"), untested("outcome")),
    "error rates": (
        found("outcome", details={"measure": "error rate"}), found("outcome", details={"measure": "selection rate"}),
    ),
    "false positives and negatives": (
        found("outcome", details={"measure": "false negative rate"}), found("outcome", details={"measure": "error rate"}),
    ),
    "relevance": (found("reliance"), found("errors")),
    "disparities": (found("disparity"), found("reliance")),
    "crossed groups": (found("outcome", attribute=f"sex{TIMES}age"), found("outcome", attribute="size x weight")),
    "tests": (found("intervention"), untested("intervention")),
    "gates": (record(gates=sample_record().gates), record()),
    "sensitivity": (record(findings=(sample_record().findings[0].model_copy(update={"sensitivity": ("any",)}),)), found("outcome")),
    "candidates": (record(discovery=discovery()), record()),
    "interventions": (record(agreement=(AGREEMENT,)), record(findings=sample_record().findings)),
    "validity": (valid("noise", None), record()),
    "faithfulness": (valid("mean map"), valid("mean map", None)),
    "randomisation": (valid("likeness of the copy"), valid("random order")),
    "noise": (valid("noise"), valid("noise", None)),
    "composites": (valid("composites"), record(findings=sample_record().findings)),
    "annotations": (record(lexicons=(LEXICON,)), record(data={"attributes": {"sex": {"a": 9}}})),
    "annotations or columns": (record(data={"attributes": {"sex": {"a": 9}}}), record()),
    "detectable effects": (
        found("contrast", verdict=Verdict.INCONCLUSIVE, detectable=0.1), found("contrast", detectable=0.1),
    ),
}  # fmt: skip


def test_every_condition_has_a_case() -> None:
    assert set(CASES) == set(CONDITIONS)


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_holds_of_what_has_it_and_not_of_what_lacks_it(name: str) -> None:
    with_it, without = CASES[name]
    assert CONDITIONS[name].holds(with_it) and CONDITIONS[name].withheld(with_it) == []
    assert not CONDITIONS[name].holds(without) and CONDITIONS[name].withheld(without) == []


def test_findings_checked_by_intervention_and_second_opinions_do_not_stand_in_the_section_on_validity() -> None:
    opinion = next(each for each in sample_record().findings if each.second_opinion)
    assert not CONDITIONS["composites"].holds(record(findings=(opinion,)))
    checked = opinion.model_copy(update={"checks": ("any",)})
    assert not CONDITIONS["interventions"].holds(record(findings=(checked,)))


def test_attributes_are_crossed_by_the_sign_of_the_audit_and_asked_of_outcomes() -> None:
    crossed = f"sex{TIMES}race"
    assert CONDITIONS["crossed groups"].holds(table(attribute=crossed, n=9))
    assert not CONDITIONS["crossed groups"].holds(table(attribute="size x weight", n=9))
    assert not CONDITIONS["crossed groups"].holds(found("disparity", attribute=crossed))
    assert CONDITIONS["crossed groups"].withheld(table(attribute=crossed)) == [crossed]


def few_selected(**settings: Any) -> AuditRecord:
    """Of 300 each, 2 are selected in two categories: all numbers of the published table but the reference's ratio are withheld."""
    selected, column = counted(a=(300, 150), b=(300, 2), c=(300, 2))
    return record_of(selected, {"sex": column}, axes={"sex": "sex"}, **settings)


OF_COMPARED = (
    "counts", "selected", "rates", "ratios", "intervals of ratios", "four fifths", "tests of ratios", "deviations", "shortfall",
    "one selection more", "odds", "readings", "bounds", "expected minimum",
)  # fmt: skip


@pytest.mark.parametrize("name", OF_COMPARED)
def test_numbers_of_a_published_table_that_are_all_none_are_withheld(name: str) -> None:
    whole, shown = few_selected(), published(few_selected())
    assert CONDITIONS[name].holds(whole) and CONDITIONS[name].withheld(whole) == []
    assert not CONDITIONS[name].holds(shown) and CONDITIONS[name].withheld(shown) == ["sex"]


def test_names_and_the_reference_of_a_withheld_table_are_shown() -> None:
    (only,) = published(few_selected()).impact
    assert {each.ratio.value for each in only.categories} == {1.0, None} and only.n is None
    assert CONDITIONS["reference"].holds(published(few_selected()))


def test_strata_are_withheld_only_where_the_config_asks_for_them() -> None:
    shown = published(few_selected())
    assert CONDITIONS["strata"].withheld(shown) == []
    asked = shown.model_copy(update={"config": {**shown.config, "compliance": {"strata": "site"}}})
    assert CONDITIONS["strata"].withheld(asked) == ["sex"]
    assert CONDITIONS["strata"].withheld(table()) == []


def test_a_table_with_one_category_withholds_no_comparison() -> None:
    selected, column = counted(a=(300, 2))
    shown = published(record_of(selected, {"sex": column}))
    assert CONDITIONS["counts"].withheld(shown) == ["sex"]
    assert not CONDITIONS["ratios"].withheld(shown) and not CONDITIONS["tests of ratios"].withheld(shown)


def test_a_number_is_withheld_of_those_attributes_that_show_none() -> None:
    one, two = published(few_selected()).impact[0], table(attribute="race", n=9).impact[0]
    both = record(impact=(one, two))
    assert CONDITIONS["counts"].holds(both) and CONDITIONS["counts"].withheld(both) == ["sex"]


def test_findings_and_tests_of_the_explanation_without_a_number_are_withheld() -> None:
    nothing = Estimate(value=None, n=None, reason="not shown: fewer than 5 examples")
    gap = found("outcome").findings[0].model_copy(update={"estimate": nothing})
    assert not CONDITIONS["outcome gaps"].holds(record(findings=(gap,)))
    assert CONDITIONS["outcome gaps"].withheld(record(findings=(gap,))) == ["sex"]
    check = ValidityCheck(asks="noise", by="mask", estimate=nothing, holds=None)
    assert CONDITIONS["noise"].withheld(record(validity=(check,))) == ["mask"]
