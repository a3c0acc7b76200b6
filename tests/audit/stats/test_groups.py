"""Which groups are compared, what is summed over, and the questions on more than two groups: omnibus, thirds, parts."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.proportion import proportion_confint

from audit.records import Estimate, Verdict
from audit.stats.cases import Evidence
from audit.stats.families import answer
from audit.stats.features import SIGNS, features, measure
from audit.stats.groupings import group_by, groupings
from audit.stats.relevance_gaps import disparity_cases
from audit.stats.tests import omnibus
from tests.audit.stats.photographs import evidence, following, maps, masks, region_table


def column(**sizes: int) -> np.ndarray:
    return np.repeat(list(sizes), list(sizes.values()))


def test_two_groups_are_a_pair_more_are_each_against_the_rest_and_a_stray_value_is_set_aside_and_named() -> None:
    assert group_by("who", column(a=30, b=40), smallest=20).pairs == (("a", "b"),)
    stray = group_by("who", column(a=30, b=40, x=1), smallest=20)
    assert stray.pairs == (("a", "b"),) and stray.small == {"x": 1}
    assert stray.set_aside == ["fewer than 20 examples: x 1"] and stray.known.sum() == 70
    assert group_by("who", column(a=30, b=40, c=20), smallest=20).pairs == (("a", "rest"), ("b", "rest"), ("c", "rest"))
    assert group_by("who", column(a=30, unknown=40), smallest=20).set_aside == ["fewer than two groups occur"]


def test_a_reference_is_what_the_others_are_compared_to_if_it_is_large_enough() -> None:
    three = column(a=30, b=40, c=20)
    assert group_by("who", three, smallest=20, reference="b").pairs == (("a", "b"), ("c", "b"))
    assert group_by("who", three, smallest=21, reference="c").pairs == (("a", "b"),)


def photographs(n: int = 400, seed: int = 0, permutations: int = 199, **attributes: np.ndarray) -> Evidence:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    predicted = np.where(rng.random(n) < 0.75, label, 1 - label)
    table = region_table(rng, label, maps(rng, n), {"marker": masks(rng, n, 3)})
    return evidence(table, label, predicted, rng.normal(size=n), permutations=permutations, **attributes)


def test_combinations_of_attributes_are_groups_and_small_ones_are_listed() -> None:
    rng = np.random.default_rng(1)
    who = rng.choice(np.array(["woman", "man"]), 400)
    age = np.where(np.arange(400) < 15, "old", rng.choice(np.array(["young", "unknown"]), 400))
    given = photographs(who=who, age=age)
    statistics = given.config.statistics.model_copy(update={"intersections": (("who", "age"),)})
    given = replace(given, config=given.config.model_copy(update={"statistics": statistics}))
    crossed = {grouping.attribute: grouping for grouping in groupings(given)}["who × age"]
    assert set(crossed.names) == {"woman × young", "man × young"} and crossed.pairs == (
        ("man × young", "woman × young"),
    )
    assert set(crossed.small) == {"woman × old", "man × old"} and sum(crossed.small.values()) == 15
    assert crossed.known.sum() == (age == "young").sum()
    found = {finding.id: finding for finding in answer(given)}
    row = found["outcome.who × age.not_testable"]
    assert row.verdict is Verdict.NOT_TESTABLE and "man × old" in row.reason and "woman × old" in row.reason


@pytest.mark.parametrize("sign", list(SIGNS))
def test_sign_policies_are_arithmetic_on_share_and_net(sign: str) -> None:
    rng = np.random.default_rng(2)
    relevance = scipy_stats.norm.rvs(size=(50, 20), random_state=rng)
    total = np.abs(relevance).sum(axis=1)
    inside = relevance[:, :7]
    expected = {
        "|R|": np.abs(inside), "R+": np.maximum(inside, 0), "R-": np.maximum(-inside, 0), "net": inside,
    }[sign].sum(axis=1) / total  # fmt: skip
    found = SIGNS[sign](np.abs(inside).sum(axis=1) / total, inside.sum(axis=1) / total)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert measure(sign) != measure("|R|") or sign == "|R|"


def test_a_feature_is_every_region_that_occurs() -> None:
    given = photographs()
    assert [feature.words for feature in features(given)] == ["region marker", "region outside"]


def test_omnibus_of_independent_rows_is_near_kruskal_and_wallis() -> None:
    rng = np.random.default_rng(3)
    groups = rng.choice(np.array(["a", "b", "c", "d"]), 2000)
    values = rng.normal(size=2000) + 0.15 * (groups == "a")
    kruskal = scipy_stats.kruskal(*(values[groups == name] for name in "abcd")).pvalue
    assert omnibus(values, groups, cluster=np.arange(2000)) == pytest.approx(kruskal, rel=0.15)
    assert omnibus(values, np.full(2000, "a"), cluster=np.arange(2000)) is None
    assert omnibus(np.zeros(2000), groups, cluster=np.arange(2000)) is None


@pytest.mark.parametrize("kind", ["unequal", "zeros", "clustered", "classes"])
def test_omnibus_holds_its_level(kind: str) -> None:
    rng, p = np.random.default_rng(4), []
    sizes = np.repeat(np.arange(4), [30, 60, 90, 180])
    for _ in range(600):
        groups, cluster, strata = sizes, np.arange(360), np.zeros(360, dtype=int)
        values = rng.normal(size=360) * (1 + 3 * (groups == 0))
        if kind == "zeros":
            values = rng.beta(0.6, 4, 360) * (rng.random(360) < 0.5)
        if kind == "clustered":
            cluster = np.repeat(np.arange(90), 4)
            groups, values = rng.integers(0, 4, 90)[cluster], rng.normal(size=90)[cluster] + rng.normal(size=360)
        if kind == "classes":
            strata = (rng.random(360) < 0.2 + 0.2 * groups).astype(int)
            values = rng.normal(size=360) + 2 * strata
        p.append(omnibus(values, groups, cluster=cluster, strata=strata))
    low, high = proportion_confint(sum(x is not None and x <= 0.05 for x in p), 600, method="wilson")
    assert low <= 0.05 and high >= 0.03


def test_pairs_of_more_than_two_groups_are_opened_by_their_omnibus() -> None:
    rng = np.random.default_rng(5)
    given = photographs(600, who=rng.choice(np.array(["a", "b", "c"]), 600))
    pairs = [finding for finding in answer(given) if finding.id.startswith("outcome.error_rate")]
    assert len(pairs) == 3 and len({finding.test.omnibus for finding in pairs}) == 1
    for finding in pairs:
        assert finding.test.omnibus is not None and finding.test.p_adjusted is not None
        assert finding.test.p_adjusted >= finding.test.omnibus


def test_errors_that_grow_with_relevance_are_linked_to_it_within_a_group() -> None:
    rng = np.random.default_rng(6)
    given = photographs(600, who=rng.choice(np.array(["a", "b"]), 600))
    assert given.regions is not None
    share = given.regions.share["first"][:, 0]
    wrong = rng.random(600) < 0.05 + 0.5 * (share > np.median(share))
    label = given.examples.label
    examples = replace(given.examples, predicted=np.where(wrong, 1 - label, label))
    found = {finding.id: finding for finding in answer(replace(given, examples=examples))}
    linked = found["link.marker.who.a"]
    assert linked.verdict is Verdict.DIFFERENT and linked.estimate.value is not None and linked.estimate.value > 0.3
    least, middle, most = (
        Estimate.model_validate(value).value for key, value in linked.details.items() if key.startswith("error rate")
    )
    assert least is not None and middle is not None and most is not None and least < middle < most
    assert "confidence is not matched" in linked.reason and linked.test.correction == "Benjamini-Hochberg"


def test_a_share_that_is_often_0_is_also_compared_by_how_often_and_how_far_it_exceeds_0() -> None:
    rng = np.random.default_rng(7)
    who = rng.choice(np.array(["a", "b"]), 600)
    given = photographs(600, permutations=399, who=who)
    assert given.regions is not None
    often = rng.random(600) < np.where(who == "a", 0.8, 0.4)
    share = {name: np.where(often[:, None], values, 0.0) for name, values in given.regions.share.items()}
    found = {finding.id: finding for finding in answer(replace(given, regions=replace(given.regions, share=share)))}
    whole, presence, positive = (found[f"disparity.marker.who.a-b{part}"] for part in ("", ".presence", ".positive"))
    assert presence.verdict is Verdict.BREACH and positive.verdict is not Verdict.BREACH
    assert presence.estimate.value == pytest.approx(0.4, abs=0.1) and whole.test.m == presence.test.m
    assert presence.margin == whole.margin and "how often" in presence.estimand.measure


def test_a_region_that_pushes_each_class_its_own_way_is_named_by_direction_where_reliance_cancels() -> None:
    rng = np.random.default_rng(8)
    label = np.repeat([0, 1], 150)
    marker = masks(rng, 300, 3)
    pushed = following(maps(rng, 300, 0.0), marker, 0.2)
    relevance = np.where(label[:, None] == 1, pushed, -pushed)
    given = evidence(region_table(rng, label, relevance, {"marker": marker}), label, label, rng.normal(size=300))
    found = {finding.id: finding for finding in answer(given)}
    up, down = found["direction.regions.marker.b"], found["direction.regions.marker.a"]
    assert (
        up.verdict is down.verdict is Verdict.DIFFERENT
        and found["reliance.regions.marker"].verdict is not Verdict.BREACH
    )
    assert up.estimate.value == pytest.approx(0.2, abs=0.04) and down.estimate.value == pytest.approx(-0.2, abs=0.04)
    assert "true class b" in up.estimand.condition and up.estimate.n == 150 and up.margin is None


def test_direction_among_few_photographs_of_a_class_is_not_tested() -> None:
    rng = np.random.default_rng(9)
    label = np.repeat([0, 1], [110, 10])
    table = region_table(rng, label, maps(rng, 120), {"marker": masks(rng, 120, 3)})
    found = {finding.id: finding for finding in answer(evidence(table, label, label, rng.normal(size=120)))}
    assert "direction.regions.marker.a" in found and "direction.regions.marker.b" not in found
    assert "b: marker 10" in found["direction.regions.not_testable"].reason


def test_unknown_groups_are_supposed_at_their_extremes_and_a_verdict_that_flips_is_fragile() -> None:
    rng = np.random.default_rng(10)
    who = np.where(np.arange(400) < 60, "unknown", rng.choice(np.array(["a", "b"]), 400))
    given = photographs(400, who=who)
    found = {finding.id: finding for finding in answer(given)}["outcome.error_rate.who.a-b"]
    wrong, known = given.examples.predicted != given.examples.label, who != "unknown"
    largest, smallest = found.sensitivity
    a, b = (who == "a") | (~known & wrong), (who == "b") | (~known & ~wrong)
    assert largest.estimate.value == pytest.approx(wrong[a].mean() - wrong[b].mean())
    a, b = (who == "a") | (~known & ~wrong), (who == "b") | (~known & wrong)
    assert smallest.estimate.value == pytest.approx(wrong[a].mean() - wrong[b].mean())
    assert largest.verdict is Verdict.BREACH and found.verdict is not Verdict.BREACH and found.fragile
    for _ in range(50):  # no other way to fill in lies beyond
        filled = np.where(known, who, rng.choice(np.array(["a", "b"]), 400))
        difference = wrong[filled == "a"].mean() - wrong[filled == "b"].mean()
        assert smallest.estimate.value <= difference <= largest.estimate.value  # type: ignore[operator]
    whole = photographs(400, who=np.where(who == "unknown", "a", who))
    assert all(not finding.sensitivity for finding in answer(whole))


def test_unknown_groups_of_a_disparity_are_supposed_on_either_side() -> None:
    rng = np.random.default_rng(11)
    who = np.where(np.arange(400) < 100, "unknown", rng.choice(np.array(["a", "b"]), 400))
    found = {finding.id: finding for finding in answer(photographs(400, who=who))}["disparity.marker.who.a-b"]
    high, low = (other.estimate.value for other in found.sensitivity)
    assert high is not None and low is not None and found.estimate.value is not None
    assert low < found.estimate.value < high and found.fragile


def lit(rng: np.random.Generator, effect: float) -> Evidence:
    """Group a is photographed in more light, which draws relevance to the marker; `effect` is what a's photographs add."""
    who = rng.choice(np.array(["a", "b"]), 400)
    light = rng.normal(size=400) + 1.5 * (who == "a")
    given = photographs(400, who=who)
    drawn = 1 / (1 + np.exp(-(light + effect * (who == "a") + rng.normal(size=400)) / 2 + 2))
    share = {name: np.stack([drawn, 1 - drawn], axis=1) for name in ("first", "second")}
    assert given.regions is not None
    examples = replace(given.examples, covariates={"light": light})
    return replace(given, examples=examples, regions=replace(given.regions, share=share))


def test_a_disparity_that_a_covariate_explains_is_none_once_it_is_declared_and_a_real_one_stays() -> None:
    rng, p = np.random.default_rng(12), {"declared": [], "not declared": [], "real": []}
    for _ in range(30):
        given = lit(rng, 0.0)
        plain = replace(given, examples=replace(given.examples, covariates={}))
        for name, one in (("declared", given), ("not declared", plain), ("real", lit(rng, 1.5))):
            case = next(case for case in disparity_cases(one, None) if case.id == "disparity.marker.who.a-b")
            p[name].append(case.p is not None and case.p <= 0.05)
    assert np.mean(p["declared"]) <= 0.15 and np.mean(p["not declared"]) > 0.9 and np.mean(p["real"]) > 0.8
    case = next(iter(disparity_cases(given, None)))
    assert "fractional logit" in case.test
    assert Estimate.model_validate(case.details["fractional logit with the declared covariates"]).n == 400
