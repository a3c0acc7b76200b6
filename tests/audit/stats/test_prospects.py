"""Which comparisons the data allow, counted by hand, and what each can show."""

from typing import Any

import numpy as np
import pytest

from audit.config import Config
from audit.stats.power import equivalence_delta, needed_a_side, smallest_delta, smallest_rate_difference
from audit.stats.prospects import Outlook, outlook

N = 600


def config(**statistics: Any) -> Config:
    return Config.model_validate({
        "name": "a", "data": {"path": "a.csv"}, "model": {"path": "a"}, "target": {"favour": "a"},
        "groups": [{"attribute": "gender", "lexicon": "gender"}], "statistics": statistics,
    })  # fmt: skip


def column(**counts: int) -> np.ndarray:
    filled = np.repeat(list(counts), list(counts.values()))
    return np.concatenate([filled, np.full(N - len(filled), "(none)")])


def asked(
    columns: dict[str, np.ndarray], *features: str, cluster: np.ndarray | None = None, **statistics: Any
) -> Outlook:
    held = {name: (name, np.arange(N) % 2 == 0) for name in features}
    unit = np.arange(N) if cluster is None else cluster
    return outlook(columns, held, cluster=unit, error_rate=0.1, config=config(**statistics))


def test_two_groups_are_one_comparison_and_share_alpha_among_four_rates() -> None:
    found = asked({"gender (mentioned)": column(male=250, female=200)}, "gender", "age")
    (only,) = found.prospects
    assert (only.group, only.other, only.units.rows) == ("female", "male", (200, 250))
    assert (found.outcome_tests, found.disparity_tests) == (4, 1)
    assert only.errors and only.errors.smallest == smallest_rate_difference(200, 250, 0.1, 0.05 / 3 / 4)
    assert only.delta and only.delta.smallest == smallest_delta(100, 125, 0.05)  # every second text has an age word
    assert only.delta.needs == needed_a_side(lambda n: equivalence_delta(n, n, 0.05), 0.147) and not only.delta.enough


def test_small_groups_are_set_aside_as_not_testable_and_more_than_two_are_each_against_the_rest() -> None:
    found = asked({"place": column(here=300, there=200, nowhere=19)})
    assert [(each.group, each.other, each.errors is None) for each in found.prospects] == [
        ("here", "there", False), ("nowhere", "rest", True),
    ]  # fmt: skip
    three = asked({"place": column(here=200, there=200, nowhere=90)})
    assert [(each.group, each.other) for each in three.prospects] == [
        ("here", "rest"), ("nowhere", "rest"), ("there", "rest"),
    ]  # fmt: skip
    assert (
        three.outcome_tests == 12 and found.outcome_tests == 4 and all(each.delta is None for each in found.prospects)
    )


def test_the_alpha_is_what_one_look_may_spend_and_grows_no_smaller_difference() -> None:
    columns = {"gender": column(female=250, male=250)}
    once, weekly = (asked(columns, looks=looks).prospects[0].errors for looks in (1, 52))
    assert once and weekly and once.smallest and weekly.smallest
    assert weekly.smallest == smallest_rate_difference(250, 250, 0.1, 0.05 / 3 / 52 / 4) > once.smallest
    assert weekly.needs and once.needs and weekly.needs > once.needs


def test_clusters_count_and_not_their_rows() -> None:
    (only,) = asked({"gender": column(female=240, male=240)}, cluster=np.arange(N) // 4).prospects
    assert (only.units.rows, only.units.clusters) == ((240, 240), (60, 60))
    assert only.errors and only.errors.smallest == smallest_rate_difference(60, 60, 0.1, 0.05 / 3 / 4)
    (one,) = asked({"gender": column(female=240, male=240)}, cluster=np.arange(N) // 240).prospects
    assert one.units.clusters == (1, 1) and one.errors is None


def test_enough_units_can_show_equivalence() -> None:
    (only,) = asked({"gender": column(female=300, male=300)}, min_group_size=2).prospects
    assert only.errors and not only.errors.enough and only.errors.needs and only.errors.needs > 300
    half = {"a region": ("", np.ones(N, dtype=bool))}
    (only,) = outlook(
        {"gender": column(female=300, male=300)}, half, cluster=np.arange(N), error_rate=0.1, config=config()
    ).prospects
    assert only.delta and only.delta.enough and only.delta.needs == 266


@pytest.mark.parametrize("columns", [{}, {"gender": column()}])
def test_without_a_group_there_is_no_comparison(columns: dict[str, np.ndarray]) -> None:
    assert asked(columns) == Outlook((), 0, 0)


def test_one_group_alone_has_nothing_to_be_compared_with() -> None:
    assert not asked({"gender": column(female=300)}).prospects
