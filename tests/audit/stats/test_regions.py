"""What is asked of image regions: reliance, disparity and errors, with simulated error rates (fixed seeds)."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from audit.questions import QUESTIONS
from audit.records import Estimate, Finding, Verdict
from audit.stats.cases import Case, Evidence
from audit.stats.families import COLLECTORS, answer, share_means, term_effects
from audit.stats.performance import outcome_gaps
from audit.stats.regions import MOST_OVERLAP, region_reliance_cases
from audit.stats.relevance_gaps import _Said, _Tested, disparity_cases, error_cases
from audit.stats.tests import rank_effect
from audit.stats.twins import referenced
from audit.tables import lead
from tests.audit.stats.photographs import MIDDLE, evidence, following, maps, masks, region_table, scaled

N = 120


def asked(given: Evidence) -> dict[str, Finding]:
    found = answer(given)
    assert len({finding.id for finding in found}) == len(found)
    return {finding.id: finding for finding in found}


def reliance(weight: float, twins: int = 0, twin_weight: float = 0.0, seed: int = 0, **changes: Any) -> Evidence:
    """Two regions, only the relevance of `marker` follows its masks; in the twins by `twin_weight` of a random model."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, N)
    marker, other = masks(rng, N, 3), masks(rng, N, 3)
    copies = [following(maps(rng, N), marker, twin_weight * rng.random()) for _ in range(twins)]
    table = region_table(
        rng, label, following(maps(rng, N), marker, weight), {"marker": marker, "other": other}, copies
    )
    return evidence(replace(table, **changes), label, label, rng.normal(size=N), permutations=999)


def test_the_region_that_relevance_follows_is_found_and_the_other_is_not() -> None:
    found = asked(reliance(0.2, twins=20))
    marker, other = found["reliance.regions.marker"], found["reliance.regions.other"]
    assert marker.verdict is Verdict.BREACH and marker.estimate.value is not None
    assert marker.estimate.value == pytest.approx(0.2, abs=0.02)
    assert marker.margin == 0.1 and "beyond what untrained copies of the network show" in marker.reason
    assert other.verdict is Verdict.EQUIVALENT and "one-sided tests reject a difference of 0.1" in other.reason
    assert marker.test.family == "reliance" and marker.test.m == 2
    assert marker.estimate.unit == "share of |R| that follows the mask"
    assert [opinion.composite for opinion in marker.second_opinion] == ["second"]
    assert marker.second_opinion[0].p is not None and marker.second_opinion[0].p < 0.05
    assert isinstance(marker.details["share"], dict) and 0.2 < marker.details["share"]["value"] < 0.9
    assert "reliance.regions.outside" not in found


@pytest.mark.parametrize("jitter", [0.6, 1.0, 3.0])
def test_the_estimate_is_what_follows_the_mask_however_much_masks_overlap(jitter: float) -> None:
    rng = np.random.default_rng(5)
    label, marker = rng.integers(0, 2, 400), masks(rng, 400, jitter, 9)
    table = region_table(rng, label, following(maps(rng, 400), marker, 0.2), {"marker": marker})
    estimate = asked(evidence(table, label, label, rng.normal(size=400)))["reliance.regions.marker"].estimate
    assert estimate.value == pytest.approx(0.2, abs=0.03) and table.overlap[0] < MOST_OVERLAP
    assert estimate.low is not None and estimate.high is not None and estimate.high - estimate.low < 0.2


def test_relevance_that_follows_masks_in_untrained_twins_too_is_found_and_said_to_be_no_more_than_theirs() -> None:
    found = asked(reliance(0.1, twins=24, twin_weight=0.25))["reliance.regions.marker"]
    assert found.verdict is Verdict.DIFFERENT and found.test.p is not None and found.test.p < 0.01
    assert re.search(r"no more than untrained copies of the network show \(.0.0\d to \+0.\d\d, t", found.reason)
    assert isinstance(found.details["twins"], list) and len(found.details["twins"]) == 24
    assert isinstance(found.details["p of the reference"], float) and found.details["p of the reference"] > 0.05


def test_a_finding_needs_every_composite_and_one_direction() -> None:
    given = reliance(0.2)
    assert given.regions is not None
    swapped = dict(given.regions.swapped)
    noise = np.where(
        np.isfinite(swapped["second"]), np.random.default_rng(0).normal(size=swapped["second"].shape), np.nan
    )
    for other in (-swapped["second"], noise):
        table = replace(given.regions, swapped={**swapped, "second": other.astype(np.float32)})
        found = asked(replace(given, regions=table))["reliance.regions.marker"]
        assert found.verdict is Verdict.INCONCLUSIVE and found.test.p is not None and found.test.p > 0.05


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"aligned": np.array([True, False, False])}, "same in every photograph.*set statistics.jitter"),
        ({"overlap": np.array([0.99, 0.2, 0.2])}, r"overlap by 0.99 \(at most 0.95\): set statistics.jitter"),
        ({"overlap": np.array([0.99, 0.2, 0.2]), "jitter": 2}, "overlap by 0.99.*raise it above 2"),
        (
            {"net": dict.fromkeys(("first", "second"), np.full((N, 3), [np.nan, 0.1, 0.1]))},
            "0 photographs hold it and have a map; 20 are needed",
        ),
    ],
)
def test_a_region_that_cannot_be_swapped_is_not_testable_and_says_what_to_do(
    changes: dict[str, Any], reason: str
) -> None:
    given = reliance(0.2, **changes)
    cases = {case.id: case for case in region_reliance_cases(given, None)}
    row = cases["reliance.regions.not_testable"]
    assert re.search(reason, row.estimate(0.95).reason)
    assert row.groups == ("marker",) and "reliance.regions.marker" not in cases


def test_a_region_alone_in_its_class_has_nothing_to_swap_with() -> None:
    rng, label = np.random.default_rng(4), np.arange(40) // 2
    table = region_table(rng, label, maps(rng, 40), {"marker": masks(rng, 40, 3)})
    alone = replace(table, block=np.full((40, 2), -1), place=np.full((40, 2), -1))
    found = asked(evidence(alone, label, label, rng.normal(size=40)))
    assert "0 of the 40 photographs share their class with another" in found["reliance.regions.not_testable"].reason


def test_an_aligned_region_under_jitter_is_tested() -> None:
    assert "reliance.regions.marker" in asked(reliance(0.2, aligned=np.ones(3, dtype=bool), jitter=3))


def test_twins_without_maps_are_said_to_compare_to_nothing() -> None:
    given = reliance(0.2, twins=20)
    assert given.regions is not None
    empty = replace(given.regions, twin_swap=np.full_like(given.regions.twin_swap, np.nan))
    found = asked(replace(given, regions=empty))["reliance.regions.marker"]
    assert found.verdict is Verdict.BREACH and "have no map that it could be compared to" in found.reason


def test_images_without_a_map_are_dropped_and_those_without_the_region_are_not() -> None:
    rng = np.random.default_rng(2)
    label, marker, relevance = rng.integers(0, 2, N), masks(rng, N, 3), maps(rng, N)
    marker[:30], relevance[30:35] = False, np.nan
    table = region_table(rng, label, relevance, {"marker": marker})
    found = asked(evidence(table, label, label, rng.normal(size=N)))["reliance.regions.marker"]
    assert (found.estimate.n, found.estimate.dropped) == (N - 35, 5)


def toleranced(grown: Any = None, shrunk: Any = None, ring: bool = False, weight: float = 0.4) -> Evidence:
    """Squares of 7 pixels a side, 9 grown and 5 shrunk; the relevance that follows them lies in them, or in a ring about them."""
    seed, sizes = 7, {"": 7, "masks grown by 1 pixel": 9, "masks shrunk by 1 pixel": 5}
    squares = {name: masks(np.random.default_rng(seed), N, 3, size) for name, size in sizes.items()}
    larger = squares["masks grown by 1 pixel"]
    held = larger & ~squares[""] if ring else squares[""]
    rng = np.random.default_rng(seed + 1)
    label, relevance = rng.integers(0, 2, N), following(maps(rng, N), held, weight)
    copies = [maps(rng, N) for _ in range(20)]
    squares |= {
        name: changed for name, changed in zip(list(sizes)[1:], (grown, shrunk), strict=True) if changed is not None
    }
    tables = {
        name: region_table(np.random.default_rng(seed), label, relevance, {"marker": inside}, copies)
        for name, inside in squares.items()
    }
    given = evidence(tables.pop(""), label, label, rng.normal(size=N), permutations=999)
    return replace(given, varied=tables)


def test_reliance_that_does_not_hang_on_the_edge_of_the_masks_is_not_fragile() -> None:
    found = asked(toleranced())
    for id_ in ("reliance.regions.marker", "direction.regions.marker.a", "direction.regions.marker.b"):
        finding = found[id_]
        assert [other.changed for other in finding.sensitivity] == ["masks grown by 1 pixel", "masks shrunk by 1 pixel"]
        assert all(other.verdict is finding.verdict for other in finding.sensitivity) and not finding.fragile
    marker = found["reliance.regions.marker"]
    grown, shrunk = (other.estimate.value for other in marker.sensitivity)
    assert marker.verdict is Verdict.BREACH and marker.estimate.value == pytest.approx(0.4, abs=0.04)
    assert grown == pytest.approx(0.4, abs=0.1) and shrunk is not None and 0.1 < shrunk < 0.2


@pytest.mark.parametrize(("weight", "verdict"), [(0.2, Verdict.DIFFERENT), (0.4, Verdict.BREACH)])
def test_reliance_in_a_ring_about_the_masks_is_fragile(weight: float, verdict: Verdict) -> None:
    """Grown masks hold it; of the declared ones, others reach into it and the own one does not."""
    found = asked(toleranced(ring=True, weight=weight))["reliance.regions.marker"]
    grown, shrunk = found.sensitivity
    assert found.verdict is verdict and grown.verdict is Verdict.BREACH and found.fragile
    assert found.estimate.value is not None and grown.estimate.value is not None
    assert (
        found.estimate.value < 0 < grown.estimate.value and grown in found.flips and shrunk.estimate.value is not None
    )


def test_a_variant_is_what_the_question_says_of_the_other_masks() -> None:
    given = toleranced()
    for id_ in ("reliance.regions.marker", "direction.regions.marker.a"):
        collect = COLLECTORS[id_.split(".")[0]][1]
        for variant in part_of(given, collect, id_).variants:
            alone = part_of(replace(given, regions=given.varied[variant.changed], varied={}), collect, id_)
            assert (variant.p, variant.estimate(0.9)) == (alone.p, alone.estimate(0.9)) and alone.variants == ()


def test_photographs_that_lose_their_region_are_counted_and_too_few_are_no_other_verdict() -> None:
    shrunk = masks(np.random.default_rng(7), N, 3, 5)
    shrunk[::4] = False
    found = asked(toleranced(shrunk=shrunk))["reliance.regions.marker"]
    estimate = found.sensitivity[1].estimate
    assert (estimate.n, estimate.dropped) == (N - 30, 30) and not found.fragile
    shrunk[:-19] = False
    found = asked(toleranced(shrunk=shrunk))["reliance.regions.marker"]
    few = found.sensitivity[1]
    assert few.verdict is Verdict.NOT_TESTABLE and re.search(
        r"\d+ photographs hold it .*; 20 are needed", few.estimate.reason
    )
    assert found.verdict is Verdict.BREACH and not found.fragile


def test_a_class_that_loses_its_region_leaves_its_direction_untested_under_those_masks() -> None:
    shrunk = masks(np.random.default_rng(7), N, 3, 5)
    label = toleranced().examples.label
    shrunk[np.flatnonzero(label == 1)[10:]] = False
    one, other = (asked(toleranced(shrunk=shrunk))[f"direction.regions.marker.{name}"] for name in "ab")
    assert one.sensitivity[1].verdict is one.verdict is Verdict.DIFFERENT
    reason = other.sensitivity[1].estimate.reason
    assert f"10 of the {(label == 1).sum()} photographs can be swapped; 20 are needed" in reason and not other.fragile


def test_composites_must_agree_on_other_masks_too() -> None:
    given = toleranced()
    name, table = next(iter(given.varied.items()))
    opposed = {**table.swapped, "second": -table.swapped["second"]}
    varied = {**given.varied, name: replace(table, swapped=opposed)}
    grown, shrunk = asked(replace(given, varied=varied))["reliance.regions.marker"].sensitivity
    assert grown.verdict is Verdict.INCONCLUSIVE and shrunk.verdict is Verdict.BREACH


def test_texts_are_asked_nothing_of_regions_and_images_nothing_of_words() -> None:
    given = reliance(0.0)
    questions = {finding.question for finding in asked(given).values()}
    assert questions == {"reliance", "direction", "errors"}
    assert term_effects(given, ("a", "b")) == ()
    assert set(share_means(given)) == {"marker", "other", "outside"}
    without = replace(given, regions=None)
    assert asked(without) == {} and set(COLLECTORS) | {"unexplained"} == set(QUESTIONS)


def people(
    rng: np.random.Generator, n: int, effect: float = 0.0, content: float = 0.0, twins: int = 0, confident: float = 1.0
) -> Evidence:
    """Two groups; the share of a fixed region grows with confidence, in which the groups differ by `confident`.

    `effect`: what the trained model adds for group a; `content`: what group a's photographs add in any model.
    """
    label, group = rng.integers(0, 2, n), rng.integers(0, 2, n)
    part = np.zeros((24, 24), dtype=bool)
    part[5:11, 6:18] = True
    inside = np.broadcast_to(part.ravel(), (n, 576))

    def model(added: float, margin: np.ndarray) -> np.ndarray:
        drawn = np.exp(0.5 * np.abs(margin) + added * group + 0.5 * rng.normal(size=n))
        return scaled(np.where(inside, drawn[:, None], 3.0) * MIDDLE.ravel())

    margins = [(confident * group + rng.gamma(2, size=n)) * rng.choice([-1, 1], n) for _ in range(twins + 1)]
    copies = [model(content + 0.1 * rng.normal(), margin) for margin in margins[1:]]
    table = region_table(
        rng, label, model(effect + content, margins[0]), {"part": inside}, copies, np.array(margins[1:])
    )
    predicted = np.where(rng.random(n) < 0.85, label, 1 - label)
    return evidence(table, label, predicted, margins[0], who=np.where(group == 1, "a", "b"))


def part_of(given: Evidence, collect: Callable[..., Any], id_: str) -> Case:
    return {case.id: case for case in collect(given, None)}[id_]


@pytest.mark.parametrize(("n", "confident", "times"), [(250, 1.0, 100), (1000, 2.0, 40)])
def test_confidence_that_differs_between_groups_is_no_disparity(n: int, confident: float, times: int) -> None:
    rng, p, unmatched = np.random.default_rng(21), [], []
    for _ in range(times):
        case = part_of(people(rng, n, confident=confident), disparity_cases, "disparity.part.who.a-b")
        p.append(case.p)
        unmatched.append(case.details["p unmatched"])
    assert None not in p and np.mean([value <= 0.05 for value in p if value is not None]) <= 0.08
    assert np.mean([isinstance(value, float) and value <= 0.05 for value in unmatched]) > 0.5


def test_a_disparity_at_equal_confidence_is_found_with_its_lost_rows_per_group() -> None:
    given = people(np.random.default_rng(22), 400, effect=0.8, confident=3.0)
    found = asked(given)["disparity.part.who.a-b"]
    assert found.verdict in (Verdict.BREACH, Verdict.DIFFERENT) and found.estimate.value is not None
    assert found.estimate.value > 0.3
    lost = found.details["rows lost to empty strata"]
    assert isinstance(lost, dict) and set(lost) == {"a", "b"} and sum(lost.values()) == found.estimate.dropped > 0
    assert [opinion.composite for opinion in found.second_opinion] == ["second"]


def test_what_the_photographs_show_is_no_disparity_once_twins_show_it_too() -> None:
    rng = np.random.default_rng(23)
    alone = asked(people(rng, 300, content=0.4))["disparity.part.who.a-b"]
    among = asked(people(rng, 300, content=0.4, twins=20))["disparity.part.who.a-b"]
    beyond = asked(people(rng, 300, content=0.4, effect=1.0, twins=20))["disparity.part.who.a-b"]
    assert alone.verdict is not Verdict.INCONCLUSIVE and among.verdict is Verdict.INCONCLUSIVE
    assert beyond.verdict in (Verdict.BREACH, Verdict.DIFFERENT)
    assert isinstance(among.details["t of the reference"], float) and abs(among.details["t of the reference"]) < 2.1


def test_a_group_that_is_the_label_is_not_testable_and_compared_at_equal_confidence_without_a_margin() -> None:
    given = people(np.random.default_rng(24), 400, effect=0.8, twins=20)
    same = replace(given.examples, attributes={"who": np.array(["a", "b"])[given.examples.label]})
    found = asked(replace(given, examples=same))
    row = found["disparity.who.not_testable"]
    assert row.verdict is Verdict.NOT_TESTABLE
    assert "no stratum holds both a and b at equal label, prediction and confidence" in row.reason
    compared = found["disparity.part.who.a-b.correct"]
    assert compared.margin is None and "confidence alone" in compared.estimand.condition
    assert compared.details["matched on"] == "confidence" and compared.verdict is Verdict.INCONCLUSIVE


def test_strata_that_the_images_of_the_twins_lack_leave_no_verdict() -> None:
    given = people(np.random.default_rng(25), 300, twins=20)
    assert given.regions is not None
    rows = np.flatnonzero(given.examples.attributes["who"] == "a")
    few = replace(
        given.regions, twin_rows=rows, twin_share=given.regions.twin_share[:, rows],
        twin_swap=given.regions.twin_swap[:, rows], twin_confidence=given.regions.twin_confidence[:, rows],
        twin_predicted=given.regions.twin_predicted[:, rows],
    )  # fmt: skip
    found = asked(replace(given, regions=few))["disparity.part.who.a-b"]
    assert found.verdict is Verdict.NOT_TESTABLE and "raise statistics.twin_examples" in found.reason


def test_groups_too_small_to_compare_are_listed_with_their_counts() -> None:
    given = people(np.random.default_rng(26), 200)
    who = np.where(np.arange(200) < 12, "a", "b")
    found = asked(replace(given, examples=replace(given.examples, attributes={"who": who})))
    assert (
        found["disparity.who.not_testable"].reason
        == found["outcome.who.not_testable"].reason
        == "fewer than 20 examples: a 12"
    )


def test_errors_that_are_only_less_confident_do_not_differ_once_confidence_is_matched() -> None:
    rng = np.random.default_rng(27)
    cases = []
    for _ in range(80):
        given = people(rng, 300)
        unsure = np.abs(given.examples.margin) < rng.gamma(1.5, size=300)
        wrong = replace(given.examples, predicted=np.where(unsure, 1 - given.examples.label, given.examples.label))
        cases.append(part_of(replace(given, examples=wrong), error_cases, "errors.part.who.b"))
    assert np.mean([case.p is not None and case.p <= 0.05 for case in cases]) <= 0.1
    assert np.mean([isinstance(p, float) and p <= 0.05 for case in cases for p in [case.details["p unmatched"]]]) > 0.5
    assert all(isinstance(Estimate.model_validate(case.details["unmatched"]).value, float) for case in cases)
    assert cases[0].groups == ("b",) and set(cases[0].details["rows lost to empty strata"]) == {
        "misclassified",
        "correct",
    }


def test_photographs_alone_in_their_class_do_not_count_for_reliance() -> None:
    rng = np.random.default_rng(30)
    label = np.array([0] * 6 + list(range(1, 60)))
    marker = masks(rng, 65, 3)
    table = region_table(rng, label, following(maps(rng, 65), marker, 0.5), {"marker": marker})
    given = replace(evidence(table, label, label, rng.normal(size=65)), classes=tuple(str(k) for k in range(60)))
    row = asked(given)["reliance.regions.not_testable"]
    assert "marker: 6 of the 65 photographs share their class with another that holds it; 20 are needed" in row.reason


def test_a_group_without_the_region_is_counted_and_stops_nothing() -> None:
    given = people(np.random.default_rng(31), 200)
    assert given.regions is not None
    there = given.examples.attributes["who"] == "a"
    share = {name: np.where(there[:, None], values, np.nan) for name, values in given.regions.share.items()}
    row = asked(replace(given, regions=replace(given.regions, share=share)))["errors.who.not_testable"]
    assert "b: part, outside: photographs with relevance there: misclassified 0, correct 0" in row.reason


def test_only_regions_without_a_common_stratum_are_asked_again() -> None:
    given = people(np.random.default_rng(32), 400, effect=0.8)
    assert given.regions is not None
    who, label = given.examples.attributes["who"], given.examples.label
    apart = np.where((who == "a") == (label == 1), 1.0, np.nan)[:, None] * np.array([[1.0, np.nan]])
    share = {
        name: np.where(np.isnan(apart) & (np.arange(2) == 0), np.nan, values)
        for name, values in given.regions.share.items()
    }
    found = asked(replace(given, regions=replace(given.regions, share=share)))
    assert "disparity.part.who.a-b.correct" in found and "disparity.outside.who.a-b" in found
    assert "disparity.outside.who.a-b.correct" not in found and "disparity.part.who.a-b" not in found


def test_twins_that_all_equal_the_model_are_its_reference() -> None:
    assert referenced(1.0, np.ones(20)) == (1.0, 0.0)
    assert referenced(0.9, np.ones(20)) == (None, None)


def test_where_the_group_is_the_label_predicted_shares_are_not_compared() -> None:
    label = np.repeat([0, 1], 100)
    groups = np.where(label == 1, "a", "b")
    found = {
        gap.measure: gap
        for gap in outcome_gaps(label, label, groups, [("a", "b")], favourable=1, cluster=np.arange(200))
    }
    assert (
        found["selection rate"].p is None and "no true class in common" in found["selection rate"].difference().reason
    )
    assert found["error rate"].difference().value == 0


def smeared(given: Evidence, seed: int = 0) -> Evidence:
    """With shares under other masks: nearly the same ones, and ones that have little to do with them."""
    regions, rng = given.regions, np.random.default_rng(seed)
    assert regions is not None
    near, far = (
        replace(
            regions,
            share={name: values ** rng.uniform(low, 1, values.shape) for name, values in regions.share.items()},
            twin_share=regions.twin_share ** rng.uniform(low, 1, regions.twin_share.shape),
        )
        for low in (0.99, -1.0)
    )
    return replace(given, varied={"near": near, "far": far})


def test_a_disparity_and_errors_are_asked_again_of_other_masks_with_their_own_twins() -> None:
    given = smeared(people(np.random.default_rng(22), 800, effect=1.0, confident=1.0, twins=20))
    found = asked(given)["disparity.part.who.a-b"]
    near, far = found.sensitivity
    assert near.verdict is found.verdict is Verdict.BREACH and far.verdict is not Verdict.BREACH and found.fragile
    for id_, collect in (("disparity.part.who.a-b", disparity_cases), ("errors.part.who.a", error_cases)):
        variants = part_of(given, collect, id_).variants
        assert [variant.changed for variant in variants] == ["near", "far"]
        for variant in variants:
            alone = part_of(replace(given, regions=given.varied[variant.changed], varied={}), collect, id_)
            assert (variant.p, variant.estimate(0.9)) == (alone.p, alone.estimate(0.9)) and alone.variants == ()


def test_a_disparity_counts_the_photographs_that_other_masks_leave_without_the_region() -> None:
    given = smeared(people(np.random.default_rng(22), 400, effect=1.0, confident=1.0))
    far = given.varied["far"]
    lost = np.arange(400) % 8 == 0
    for rows in (lost, given.examples.attributes["who"] == "a"):
        share = {name: np.where(rows[:, None], np.nan, values) for name, values in far.share.items()}
        again = part_of(
            replace(given, varied={"far": replace(far, share=share)}), disparity_cases, "disparity.part.who.a-b"
        )
        estimate = again.variants[0].estimate(0.95)
        if rows is lost:
            kept = estimate.n or 0
            assert again.variants[0].p is not None and kept + estimate.dropped == 400 and estimate.dropped >= 50
        else:
            assert (
                again.variants[0].p is None and "a 0" in estimate.reason and "20 a side are needed" in estimate.reason
            )


def test_more_than_two_groups_are_opened_by_the_omnibus_of_the_same_masks() -> None:
    given = smeared(people(np.random.default_rng(22), 600, effect=1.0, confident=1.0))
    who = np.where(np.arange(600) % 3 == 0, "c", given.examples.attributes["who"])
    given = replace(given, examples=replace(given.examples, attributes={"who": who}))
    case = part_of(given, disparity_cases, "disparity.part.who.a-rest")
    for variant in case.variants:
        alone = part_of(
            replace(given, regions=given.varied[variant.changed], varied={}),
            disparity_cases,
            "disparity.part.who.a-rest",
        )
        assert variant.omnibus == alone.omnibus != case.omnibus and variant.omnibus is not None


def test_too_few_errors_are_counted() -> None:
    given = people(np.random.default_rng(28), 100)
    right = replace(given.examples, predicted=given.examples.label)
    row = asked(replace(given, examples=right))["errors.who.not_testable"]
    assert "a: part, outside: photographs with relevance there: misclassified 0" in row.reason


def test_parts_of_a_share_answer_to_the_twins_as_the_share_does() -> None:
    given = people(np.random.default_rng(23), 600, content=0.8, twins=20)
    regions = given.regions
    assert regions is not None
    low = float(np.nanquantile(regions.share["first"][:, 0], 0.4))
    share = {name: np.where(values > low, values, 0.0) for name, values in regions.share.items()}
    twins = np.where(regions.twin_share > low, regions.twin_share, 0.0)
    found = asked(replace(given, regions=replace(regions, share=share, twin_share=twins)))
    parts = [found[f"disparity.part.who.a-b{part}"] for part in ("", ".presence", ".positive")]
    for part in parts:
        assert "reference of twins" in part.test.name and part.details["p unmatched"] is not None
        assert part.verdict is Verdict.INCONCLUSIVE, part.id
    assert isinstance(parts[1].details["p unmatched"], float) and parts[1].details["p unmatched"] < 1e-4


def test_tests_that_see_opposite_directions_are_no_finding() -> None:
    effect = rank_effect(np.arange(40.0), np.arange(40) < 20, cluster=np.arange(40))
    said = [_Said("ranks", 0.001, -1.0), _Said("reference of twins", 0.002, 1.0), _Said("second", 0.003, -1.0)]
    opposite = _Tested(effect, tuple(said), (), "", {})
    assert (
        opposite.p == 1.0
        and "in the other direction, so that this is no finding (p 1): reference of twins" in opposite.note
    )
    assert _Tested(effect, (said[0], said[2]), (), "", {}).p == 0.003
    assert _Tested(effect, (said[0], _Said("second", None, -1.0)), (), "second: no p", {}).p is None


def test_classes_beyond_two_are_matched_on_the_lead_of_the_predicted_class() -> None:
    scores = np.array([[5.0, 5.0, 9.0], [1.0, 0.0, 0.5]])
    assert lead(scores, scores[:, 0] - scores[:, 1]).tolist() == [4.0, 0.5]
    assert lead(scores[:, :2], np.array([-3.0, 1.0])).tolist() == [3.0, 1.0]
