"""Rule sensitivity: a composite that has no vote is asked alone, and one that shows no difference makes a finding fragile."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.records import Estimate, Finding, Sensitivity, Verdict
from audit.stats.cases import Evidence
from audit.stats.families import answer
from audit.stats.rules import with_rules
from tests.audit.stats.photographs import evidence, following, maps, masks, region_table

MEASURES = ("net", "share", "swapped")


def followed(*, third: bool = False) -> Evidence:
    """Relevance of both composites follows the mask; that of a `third` knows nothing of it."""
    rng = np.random.default_rng(0)
    label, inside = rng.integers(0, 2, 160), masks(rng, 160, 4.0)
    relevance, other = following(maps(rng, 160), inside, 0.3), maps(rng, 160, 0.0)
    regions, unaware = (
        region_table(np.random.default_rng(1), label, each, {"face": inside}) for each in (relevance, other)
    )
    if third:
        assert (regions.place == unaware.place).all()
        measures = {name: {**getattr(regions, name), "third": getattr(unaware, name)["first"]} for name in MEASURES}
        regions = replace(regions, **measures)
    return evidence(regions, label, label, rng.normal(size=160), group=np.where(rng.random(160) < 0.5, "x", "y"))


def reliance(given: Evidence) -> Finding:
    return next(each for each in with_rules(answer(given), given) if each.id == "reliance.regions.face")


def test_a_composite_that_shows_it_too_leaves_the_finding_as_it_is() -> None:
    given = replace(followed(), composites=("first",), witnesses=("second",))
    found = reliance(given)
    assert found.verdict is Verdict.BREACH
    assert [each.changed for each in found.sensitivity] == ["second alone"]
    assert found.sensitivity[0].verdict in (Verdict.BREACH, Verdict.DIFFERENT)
    assert not found.fragile


def test_a_composite_that_does_not_show_it_makes_it_fragile_and_leaves_its_verdict() -> None:
    found = reliance(replace(followed(third=True), witnesses=("third",)))
    assert found.verdict is Verdict.BREACH
    assert [each.verdict for each in found.sensitivity] == [Verdict.EQUIVALENT]
    assert found.fragile


def test_findings_that_show_no_difference_are_not_asked_again() -> None:
    given = replace(followed(third=True), composites=("third",), witnesses=("first",))
    assert reliance(given).sensitivity == ()


def test_questions_that_need_no_relevance_are_not_asked_again() -> None:
    given = replace(followed(), composites=("first",), witnesses=("second",))
    told = {each.question for each in with_rules(answer(given), given) if each.sensitivity}
    assert told and not told & {"outcome", "intervention", "unexplained"}


@pytest.mark.parametrize(
    ("own", "verdict", "value", "fragile"),
    [
        (Verdict.BREACH, Verdict.DIFFERENT, 0.01, False),
        (Verdict.BREACH, Verdict.EQUIVALENT, 0.01, True),
        (Verdict.DIFFERENT, Verdict.INCONCLUSIVE, 0.5, True),
        (Verdict.DIFFERENT, Verdict.BREACH, -0.5, True),
        (Verdict.DIFFERENT, Verdict.NOT_TESTABLE, None, False),
        (Verdict.INCONCLUSIVE, Verdict.DIFFERENT, 0.5, False),
        (Verdict.EQUIVALENT, Verdict.INCONCLUSIVE, 0.5, False),
    ],
)
def test_of_another_unit_only_what_is_shown_and_its_direction_count(
    own: Verdict, verdict: Verdict, value: Any, fragile: bool
) -> None:
    found = reliance(followed())
    other = Sensitivity(changed="c alone", estimate=Estimate(value=value), verdict=verdict, same_unit=False)
    assert found.model_copy(update={"verdict": own, "sensitivity": (other,)}).fragile is fragile
