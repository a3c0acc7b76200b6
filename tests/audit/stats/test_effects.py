"""Checks by intervention and the grades that follow: simulated effects of known direction, and every row of the table of grades."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from audit.config import Margins
from audit.records import Check, Estimand, Estimate, Finding, Grade, Sensitivity, Test, Verdict
from audit.stats.cases import Evidence
from audit.stats.effects import agreements, contrast_checks, effects, mean_checks
from audit.stats.families import answer
from audit.stats.grades import graded
from audit.tables import EffectTable, SwapTable
from tests.audit.stats.test_regions import N, reliance

FILLS = ("mean", "blur")


def with_effects(
    given: Evidence, effect: np.ndarray, *, rows: np.ndarray | None = None, control: float = 0.3
) -> Evidence:
    """Hiding region k of example i moves the logit by `effect[i, k]` and `control`, hiding as much elsewhere by `control`."""
    n, chosen = len(given.examples.label), np.arange(len(effect)) if rows is None else rows
    rng = np.random.default_rng(3)
    delta = {fill: effect[chosen] + control + rng.normal(0, 0.01, effect[chosen].shape) for fill in FILLS}
    flat, none = (
        {fill: np.full_like(each, control) for fill, each in delta.items()},
        {fill: np.zeros_like(each) for fill, each in delta.items()},
    )
    names = tuple((name,) for name in given.regions.names[:-1]) if given.regions else ()
    flips = {fill: (np.abs(each) > 1).astype(float) for fill, each in delta.items()}
    return replace(
        given,
        effects=EffectTable(
            names,
            chosen,
            np.ones((len(chosen), len(names))),
            delta,
            flat,
            flips,
            none,
            dict.fromkeys(FILLS, np.zeros(n, dtype=int)),
        ),
    )


def test_effects_are_in_sd_of_the_logit_beyond_their_control_and_missing_where_nothing_was_hidden() -> None:
    given = reliance(0.4)
    effect = np.full((len(given.examples.label), 2), 0.5)
    found = effects(with_effects(given, effect, rows=np.arange(10)), ("marker",))
    for values in found.values():
        assert np.isnan(values[10:]).all()
        np.testing.assert_allclose(values[:10], 0.5 / given.scale, atol=0.05 / given.scale)
    negative = with_effects(given, -effect)
    for sign, expected in (("|R|", abs(-0.5 + 0.3) - 0.3), ("R+", 0 - 0.3), ("R-", 0.2 - 0), ("net", -0.5)):
        np.testing.assert_allclose(
            effects(negative, ("marker",), sign)["mean"], expected / given.scale, atol=0.05 / given.scale
        )
    assert effects(given, ("marker",)) == {} and effects(with_effects(given, effect), ("nowhere",)) == {}


def test_an_effect_of_several_words_can_be_told_for_each() -> None:
    given = with_effects(reliance(0.4), np.full((N, 2), 0.6))
    assert given.effects is not None
    three = replace(given, effects=replace(given.effects, pieces=np.full((N, 2), 3.0)))
    np.testing.assert_allclose(effects(three, ("marker",), each=True)["blur"], effects(given, ("marker",))["blur"] / 3)


def test_too_few_hidden_examples_give_no_check_and_the_grade_says_so() -> None:
    given = with_effects(reliance(0.4), np.full((N, 2), 0.9), rows=np.arange(12))
    for check in mean_checks(given, ("marker",), effects(given, ("marker",))):
        assert (
            check.estimate.value is None and check.estimate.reason == "hidden in 12 independent examples; 20 are needed"
        )
    found = {each.id: graded(each, Margins()) for each in answer(given)}["reliance.regions.marker"]
    assert found.grade is Grade.SUGGESTIVE and "20 are needed" in found.grounds


def test_a_mean_check_has_the_effect_and_the_flips_of_its_rows() -> None:
    given = reliance(0.4)
    rng = np.random.default_rng(0)
    effect = rng.normal(1.0, 0.5, (len(given.examples.label), 2))
    held = given.examples.label == 1
    evidence = with_effects(given, effect)
    for check in mean_checks(evidence, ("marker",), effects(evidence, ("marker",)), held):
        assert check.by in FILLS and check.flips is not None
        assert check.estimate.value == pytest.approx(effect[held, 0].mean() / given.scale, abs=0.02)
        assert check.estimate.low is not None and check.estimate.low > 0 and check.estimate.n == held.sum()
        assert check.flips.value == pytest.approx((np.abs(effect[held, 0] + 0.3) > 1).mean(), abs=0.03)


@pytest.mark.parametrize(("direction", "grade"), [(1.0, Grade.CONFIRMED), (-1.0, Grade.REFUTED)])
def test_reliance_on_a_region_is_confirmed_or_refuted_by_what_hiding_it_does(direction: float, grade: Grade) -> None:
    given = reliance(0.4)
    rng = np.random.default_rng(1)
    evidence = with_effects(given, direction * rng.normal(0.8, 0.4, (len(given.examples.label), 2)))
    found = {each.id: graded(each, Margins()) for each in answer(evidence)}["reliance.regions.marker"]
    assert found.verdict in (Verdict.BREACH, Verdict.DIFFERENT) and [check.by for check in found.checks] == list(FILLS)
    assert found.grade is grade and "mean" in found.grounds and "blur" in found.grounds
    unchecked = {each.id: graded(each, Margins()) for each in answer(given)}["reliance.regions.marker"]
    assert unchecked.checks == () and unchecked.grade is Grade.SUGGESTIVE


def test_words_are_compared_by_what_hiding_and_swapping_them_does() -> None:
    given = reliance(0.0)
    n = len(given.examples.label)
    rng = np.random.default_rng(2)
    effect = np.column_stack(
        [np.where(np.arange(n) < n // 2, 0.9, np.nan), np.where(np.arange(n) < n // 2, np.nan, 0.2)]
    )
    delta = {fill: effect + rng.normal(0, 0.05, effect.shape) for fill in FILLS}
    zeros = {fill: np.where(np.isnan(effect), np.nan, 0.0) for fill in FILLS}
    names = (("gender", "female"), ("gender", "male"))
    table = EffectTable(names, np.arange(n), np.ones(effect.shape), delta, zeros, zeros, zeros, {})
    swaps = SwapTable(
        np.arange(40), np.repeat(["male", "female"], 20), np.repeat(["female", "male"], 20),
        np.repeat([0.6, -0.6], 20) + rng.normal(0, 0.05, 40), np.zeros(40, dtype=int),
    )  # fmt: skip
    evidence = replace(given, effects=table, swaps={"gender": swaps})
    found = {check.by: check.estimate.value for check in contrast_checks(evidence, "gender", "female", ["male"])}
    assert found["mean"] == pytest.approx(0.7 / given.scale, abs=0.02) and list(found) == [*FILLS, "words swapped"]
    assert found["words swapped"] == pytest.approx(0.6 / given.scale, abs=0.02)
    several = contrast_checks(evidence, "gender", "female", ["male", "other"])
    assert [check.by for check in several] == list(FILLS), "a swap has one other group"


def test_agreement_is_spearmans_correlation_and_the_share_of_equal_signs() -> None:
    given = reliance(0.4)
    rng = np.random.default_rng(5)
    net = given.groups[given.composites[0]].net[:, :2]
    effect = np.nan_to_num(net) * 5 + rng.normal(0, 0.5, net.shape)
    evidence = with_effects(given, effect)
    found = {(each.composite, each.by): each for each in agreements(evidence)}
    assert set(found) == {(composite, fill) for composite in given.composites for fill in FILLS}
    one = found[given.composites[0], "mean"]
    held = np.isfinite(net)
    shown = np.column_stack([effects(evidence, (name,))["mean"] for name in ("marker", "other")])
    assert one.spearman.value == pytest.approx(stats.spearmanr(net[held], shown[held])[0])
    clear = held & (np.abs(shown) >= 0.1)
    assert one.sign.value == pytest.approx((np.sign(net) == np.sign(shown))[clear].mean()) and one.sign.n == clear.sum()
    assert agreements(given) == ()


def estimate(low: float, high: float) -> Estimate:
    return Estimate(value=(low + high) / 2, low=low, high=high, unit="sd of the contrast logit", n=50)


def finding(*checks: tuple[float, float], verdict: Verdict = Verdict.DIFFERENT, value: float = 0.3, unit: str = "share",
            question: str = "reliance", fragile: bool = False) -> Finding:  # fmt: skip
    own = Estimate(value=value, low=value - 0.1, high=value + 0.1, unit=unit, n=50)
    return Finding(
        id="f", question=question, attribute="a", groups=("x",), estimand=Estimand(population="", unit="", measure="", contrast=""),
        estimate=own, test=Test(name="t"), verdict=verdict, reason="",
        sensitivity=(Sensitivity(changed="x", estimate=own, verdict=Verdict.INCONCLUSIVE),) if fragile else (),
        checks=tuple(Check(by=f"fill {i}", estimate=estimate(*each)) for i, each in enumerate(checks)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "grade", "words"),
    [
        (finding((0.1, 0.3), (0.2, 0.5)), Grade.CONFIRMED, "same direction"),
        (finding((0.1, 0.3), (0.2, 0.5), fragile=True), Grade.SUPPORTED, "fragile"),
        (finding((0.01, 0.07), (0.02, 0.9)), Grade.SUPPORTED, "smaller than its margin"),
        (finding((0.01, 0.07), (0.02, 0.9), (0.1, 0.3)), Grade.CONFIRMED, "same direction"),
        (finding((0.1, 0.3), (-0.1, 0.5)), Grade.SUPPORTED, "fill 0"),
        (finding((-0.1, 0.3), (-0.1, 0.5)), Grade.SUPPORTED, "none shown alone"),
        (finding((0.1, 0.3)), Grade.SUPPORTED, "alone"),
        (finding((0.1, 0.3), (-0.4, 0.3)), Grade.SUGGESTIVE, "do not agree"),
        (finding((0.1, 0.3), (0.1, 0.3), (-0.4, -0.1)), Grade.SUGGESTIVE, "contradict"),
        (finding((-0.4, -0.1)), Grade.SUGGESTIVE, "contradict"),
        (finding((-0.4, -0.1), (-0.3, -0.1)), Grade.REFUTED, "opposite"),
        (finding((-0.4, -0.1), (-0.3, -0.1), value=-0.3), Grade.CONFIRMED, "same direction"),
        (finding((0.1, 0.4), (0.1, 0.3), value=0.6, unit="ratio"), Grade.CONFIRMED, "same direction"),
        (finding((-0.4, -0.1), (-0.3, -0.1), value=0.6, unit="ratio"), Grade.REFUTED, "opposite"),
        (finding(), Grade.SUGGESTIVE, "no intervention"),
        (finding(question="outcome"), Grade.CONFIRMED, "predictions"),
    ],
)
def test_the_grade_follows_the_table(given: Finding, grade: Grade, words: str) -> None:
    found = graded(given, Margins())
    assert found.grade is grade and words in found.grounds


@pytest.mark.parametrize("verdict", [Verdict.EQUIVALENT, Verdict.INCONCLUSIVE, Verdict.NOT_TESTABLE])
def test_what_shows_no_difference_has_no_grade(verdict: Verdict) -> None:
    assert graded(finding((0.1, 0.3), (0.2, 0.5), verdict=verdict), Margins()).grade is None


def gap(given: Evidence, hidden: dict[str, np.ndarray]) -> dict[str, Finding]:
    effects = EffectTable((), np.zeros(0, dtype=int), np.zeros((0, 0)), {}, {}, {}, {}, hidden)
    return {each.id: each for each in answer(replace(given, effects=effects)) if each.question == "unexplained"}


def test_a_gap_that_stays_where_everything_declared_is_hidden_is_a_finding_of_its_own() -> None:
    given = reliance(0.0)
    n = len(given.examples.label)
    rng = np.random.default_rng(7)
    who = np.where(rng.random(n) < 0.5, "a", "b")
    predicted = np.where(rng.random(n) < np.where(who == "a", 0.85, 0.25), 0, 1)
    examples = replace(given.examples, attributes={"who": who}, predicted=predicted)
    config = given.config.model_copy(update={"gates": ("outcome",)})
    asked = replace(given, examples=examples, config=config)
    fair = np.where(rng.random(n) < 0.5, 0, 1)
    stays = gap(asked, {"mean": predicted, "blur": predicted})["unexplained.selection_rate.who.a-b"]
    assert stays.verdict is Verdict.DIFFERENT and stays.estimate.value is not None and abs(stays.estimate.value) > 0.4
    assert [check.by for check in stays.checks] == ["mean", "blur"] and graded(
        stays, Margins()
    ).grade is Grade.CONFIRMED
    goes = gap(asked, {"mean": fair, "blur": fair})["unexplained.selection_rate.who.a-b"]
    assert goes.verdict is Verdict.INCONCLUSIVE and goes.reason.startswith("the gap is not shown to be there")
    torn = gap(asked, {"mean": predicted, "blur": fair})["unexplained.selection_rate.who.a-b"]
    assert torn.verdict is Verdict.INCONCLUSIVE, "every fill must show it"
    turned = gap(asked, {"mean": predicted, "blur": 1 - predicted})["unexplained.selection_rate.who.a-b"]
    assert turned.test.p == 1.0
    even = replace(asked, examples=replace(examples, predicted=fair))
    assert gap(even, {"mean": predicted, "blur": predicted}) == {}, "a gap that is not shown needs no explanation"
    assert "unexplained" not in {each.question for each in answer(asked)}
