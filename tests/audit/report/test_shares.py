"""The chart of shares is checked on what it draws: curves against the shares themselves, zeros, means, and who shares a panel."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.records import Distribution, Estimate
from audit.report import shares
from audit.report.privacy import published
from audit.report.svg import BLUE, GREEN, PURPLE, VARIABLES, VERMILLION
from tests.audit.report.sample import config, estimate, sample_record

EDGES = tuple((np.arange(21) / 20).round(9).tolist())


def distribution(group: str, values, *, edges=EDGES, mean: float = 0.1) -> Distribution:
    """What the record keeps of `values`."""
    array = np.array(values, float)
    counts, _ = np.histogram(array[array > 0], bins=edges)
    return Distribution(group=group, composite="cp_lrp", edges=edges, counts=tuple(counts.tolist()), zeros=int((array == 0).sum()),
                        n=len(array), mean=estimate(mean, 0.01, unit="share of |R|", n=len(array)))  # fmt: skip


def chart(*distributions: Distribution, regions: bool = False) -> shares.Figure:
    (made,) = shares.share_chart(distributions, regions=regions)
    return made


def groups(n: int, attribute: str = "who") -> list[Distribution]:
    rng = np.random.default_rng(3)
    return [distribution(f"{attribute}.g{i}", rng.beta(2, 10 + i, 60)) for i in range(n)]


@given(st.lists(st.sampled_from([i / 20 - 0.01 * (i > 0) for i in range(21)]), min_size=1, max_size=60))
def test_a_curve_is_the_part_of_the_examples_with_at_most_that_share(values):
    x, y = shares._curve(distribution("who.a", values))
    assert y.tolist() == pytest.approx([np.mean([v <= edge for v in values]) for edge in x])


@given(st.lists(st.floats(0, 1), min_size=5, max_size=60), st.integers(2, 5))
@settings(max_examples=60)
def test_bins_joined_for_privacy_move_no_point_that_is_still_shown(values, k):
    whole = distribution("who.a", values)
    record = sample_record().model_copy(
        update={"distributions": (whole,), "config": config() | {"report": {"smallest_cell": k}}}
    )
    (shown,) = published(record).distributions
    exact = dict(zip(*map(np.ndarray.tolist, shares._curve(whole)), strict=True))
    known = {
        x: y
        for x, y in zip(*map(np.ndarray.tolist, shares._curve(shown)), strict=True)
        if x > 0 or shown.zeros is not None
    }
    assert known.items() <= exact.items()


def test_zeros_have_hatched_bars_from_which_the_curve_starts():
    some, none = distribution("who.a", [0] * 30 + [0.2] * 70), distribution("who.b", [0.2] * 100)
    made = chart(some, none)
    assert shares._curve(some)[1][0] == 0.3 and shares._curve(none)[1][0] == 0
    assert made.svg.count("<pattern") == 1 and ">zeros</text>" in made.svg
    assert "n = 100, 30 zeros" in made.svg and "n = 100, 0 zeros" in made.svg
    assert "n = 100, 30 zeros" in made.alt and "shares of exactly 0" in made.caption
    assert "<pattern" not in chart(none).svg


def test_zeros_too_few_to_publish_are_neither_drawn_nor_called_none():
    record = sample_record().model_copy(
        update={
            "distributions": (distribution("who.a", [0] * 2 + [0.2] * 98),),
            "config": config() | {"report": {"smallest_cell": 5}},
        }
    )
    made = chart(*published(record).distributions)
    assert "<pattern" not in made.svg and "zeros not shown" in made.svg and "zeros not shown" in made.alt
    assert "zeros that are too few" in made.caption


def test_groups_of_an_attribute_share_a_panel_and_regions_another():
    panels = shares._panels([distribution("nose", [0.1]), *groups(3), *groups(2, "age")], regions=False)
    assert [(panel.title, [each.group for each in panel.groups]) for panel in panels] == [
        ("who", ["who.g0", "who.g1", "who.g2"]), ("age", ["age.g0", "age.g1"]), ("other tokens", ["nose"]),
    ]  # fmt: skip


@pytest.mark.parametrize(("n", "sizes"), [(2, [2]), (4, [4]), (5, [3, 2]), (9, [3, 3, 3]), (12, [4, 4, 4])])
def test_many_groups_are_spread_over_panels_with_the_others_behind_in_grey(n, sizes):
    panels = shares._panels(groups(n), regions=False)
    assert [len(panel.groups) for panel in panels] == sizes
    for panel in panels:
        assert {each.group for each in (*panel.groups, *panel.rest)} == {f"who.g{i}" for i in range(n)}
        assert len(panel.groups) + len(panel.rest) == n
    made = chart(*groups(n))
    assert ("Thin grey curves" in made.caption) == ("who (1 of" in made.svg) == (n > 4)
    assert all(f">g{i}</text>" in made.svg for i in range(n))


def test_no_group_is_told_by_its_colour_alone():
    assert [mark[0] for mark in shares.MARKS] == [BLUE, VERMILLION, GREEN, PURPLE]
    assert all(len(set(each)) == len(shares.MARKS) for each in zip(*shares.MARKS, strict=True))
    svg = chart(*groups(4)).svg
    dashes = {
        colour: set(re.findall(rf'stroke="{re.escape(VARIABLES[colour])}"[^>]*stroke-dasharray="([^"]+)"', svg))
        | set(re.findall(rf'stroke-dasharray="([^"]+)"[^>]*stroke="{re.escape(VARIABLES[colour])}"', svg))
        for colour, _, _ in shares.MARKS
    }
    assert not dashes[BLUE] and len({frozenset(found) for found in dashes.values()}) == len(shares.MARKS)


def test_a_group_of_any_name_is_in_the_key():
    made = chart(*(distribution(f"who.{name}", [0.2] * 9) for name in ("_hidden", "a.b", "$x_1$", "n" * 80)))
    assert all(f">{name}</text>" in made.svg for name in ("_hidden", "a.b", "$x_1$", "n" * 29 + "…"))


def test_caption_names_interval_composite_and_that_it_is_no_test():
    caption = chart(*groups(2)).caption
    for said in (
        "(cp_lrp)",
        "95\u00a0% interval (cluster-robust t, wider where skewed)",
        "it belongs to no family of tests",
    ):
        assert said in caption


def test_the_axis_holds_all_but_a_hundredth_of_every_group_and_every_interval():
    few_large = distribution("who.a", [0.08] * 199 + [0.98])
    assert shares._end(few_large) == pytest.approx(0.11)  # the interval of the mean, beyond .1
    assert shares._end(distribution("who.a", [0.08] * 97 + [0.98] * 3)) == 1.0
    assert shares._end(distribution("who.a", [0.0] * 20, mean=0.0)) == pytest.approx(0.01)


def test_panels_of_one_attribute_have_one_axis_and_others_their_own():
    small = [distribution(f"who.g{i}", [0.08] * 40) for i in range(5)]
    svg = chart(*small[:4], distribution("who.wide", [0.68] * 40), distribution("nose", [0.08] * 40)).svg
    assert [len(re.findall(f">{tick}</text>", svg)) for tick in ("0.6", "0.02")] == [2, 1]


def test_a_mean_without_interval_is_drawn_as_its_marker_alone():
    lone = distribution("who.a", [0.2]).model_copy(update={"mean": Estimate(value=0.2, n=1, reason="one cluster")})
    made = chart(lone, *groups(1, "age"))
    assert "0.200, n = 1, 0 zeros" in made.svg and made.caption.endswith(" 1 of 2 estimates: one cluster.")
    assert "with its 95\u00a0% interval (cluster-robust t, wider where skewed)." in made.caption


def test_a_long_list_is_cut_and_the_caption_says_so():
    made = chart(*(each for i in range(20) for each in groups(3, f"a{i}")))
    assert "The first 36 of 60 groups." in made.caption and "a11" in made.svg and "a12" not in made.svg
    assert len(made.alt) < 1_500


def test_the_same_distributions_give_the_same_bytes():
    assert chart(*groups(5)) == chart(*groups(5))


def test_regions_whose_names_have_dots_share_a_panel_and_keep_their_names():
    made = chart(*(distribution(name, [0.1, 0.2, 0.3]) for name in ("left.eye", "left.brow", "nose")), regions=True)
    assert made.svg.count("regions") == 1 and all(name in made.svg for name in ("left.eye", "left.brow", "nose"))
