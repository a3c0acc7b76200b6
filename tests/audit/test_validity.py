"""Validity of the explanation: a linear model whose truth is written out, and maps that must be refused."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from audit.checks.validity import forward_passes, mean_maps, measure, sampled
from audit.config import Config
from audit.questions import REQUIREMENTS
from audit.stats.validity import faults, untested, validity_checks
from audit.tables import COPY, MEAN_MAP, OWN, FloatArray

N, FEATURES = 60, 9


@dataclass(frozen=True)
class Linear:
    """The logit is the sum of the features that are not hidden; `map` `[n, features]` is what is called relevant."""

    values: FloatArray
    map: FloatArray
    copy: FloatArray
    shaken: FloatArray
    rows: Any = None
    fills: tuple[str, ...] = ("zero", "also zero")
    composites: tuple[str, ...] = ("first", "second")
    alike: float = 0.0

    def maps(self, composites: Sequence[str]) -> list[list[FloatArray]]:
        return [list(self.map if name == "first" else self.values) for name in composites]

    def contrast(self, hidden: Any, fill: str) -> FloatArray:
        return np.array([row[~gone].sum() for row, gone in zip(self.values, hidden, strict=True)])

    def part(self, places: Any) -> "Linear":
        return replace(
            self, **{name: getattr(self, name)[places] for name in ("values", "map", "copy", "shaken", "rows")}
        )

    def reinitialised(self, seed: int) -> "Linear":
        return replace(self, map=self.copy)

    def noisy(self, rng: np.random.Generator) -> "Linear":
        return replace(self, map=self.shaken)


def linear(**changes: FloatArray) -> Linear:
    rng = np.random.default_rng(0)
    values, copy = rng.normal(size=(N, FEATURES)), rng.normal(size=(N, FEATURES))
    given: dict[str, Any] = {"map": values, "copy": copy, "shaken": changes.get("map", values), **changes}
    return Linear(values, rows=np.arange(N), **given)


def broken(specimens: Linear) -> set[str]:
    margin = specimens.values.sum(1)
    table = measure(specimens, margin, seed=0)
    checks = validity_checks(table, np.arange(N), float(margin.std()), specimens.composites)
    assert len(faults(checks, ())) == sum(each.holds is False for each in checks)
    return {each.asks for each in checks if each.holds is False}


def test_areas_are_those_of_the_values_towards_the_side_of_the_logit() -> None:
    specimens = linear()
    margin = specimens.values.sum(1)
    found = measure(specimens, margin, seed=0).area[OWN]["zero"]
    wanted = []
    for row, side in zip(specimens.values, np.sign(margin), strict=True):
        ordered = np.sort(side * row)[::-1]
        first, last = ([part[3:].sum(), part[6:].sum()] for part in (ordered, ordered[::-1]))
        wanted.append((sum(last) - sum(first)) / 3)
    assert found == pytest.approx(wanted)


def test_the_truth_is_valid() -> None:
    assert broken(linear()) == set()


def test_a_random_map_is_not() -> None:
    noise = np.random.default_rng(1).normal(size=(N, FEATURES))
    assert {"random order", "composites"} <= broken(linear(map=noise))


def test_a_map_that_is_the_same_for_every_example_is_not() -> None:
    specimens = linear()
    side = np.sign(specimens.values.sum(1))
    same = side[:, None] * np.mean(side[:, None] * specimens.values, axis=0)
    assert "mean map" in broken(linear(map=same))


def test_of_examples_that_are_alike_no_more_than_their_mean_map_is_required() -> None:
    same = np.tile(np.random.default_rng(3).normal(size=FEATURES), (N, 1))
    given = linear(map=same, shaken=same)
    specimens = replace(given, values=same)
    assert "mean map" in broken(specimens)
    assert "mean map" not in broken(replace(specimens, alike=0.8))


def test_a_map_that_a_random_network_gives_too_is_not() -> None:
    truth = linear().values
    assert broken(linear(copy=truth)) == {"re-initialised copy"}


def test_a_map_that_tiny_noise_changes_is_not() -> None:
    assert broken(linear(shaken=np.random.default_rng(2).normal(size=(N, FEATURES)))) == {"noise"}


def test_too_few_independent_examples_require_nothing() -> None:
    specimens = linear(map=np.random.default_rng(1).normal(size=(N, FEATURES)))
    table = measure(specimens, specimens.values.sum(1), seed=0)
    checks = validity_checks(table, np.arange(N) // 4, 1.0, specimens.composites)
    assert [each.holds for each in checks] == [None] * len(checks)
    assert untested(checks) == (
        "the explanation could not be tested: 15 independent examples with a map; 20 are needed",
    )
    assert "15 independent examples" in checks[0].estimate.reason


def test_a_composite_without_a_vote_is_described_and_requires_nothing() -> None:
    specimens = linear(map=np.random.default_rng(1).normal(size=(N, FEATURES)))
    table = measure(specimens, specimens.values.sum(1), seed=0)
    (likeness,) = [each for each in validity_checks(table, np.arange(N), 1.0, ("first",)) if each.asks == "composites"]
    assert likeness.holds is None and likeness.estimate.value is not None


def test_an_example_without_relevance_or_alone_on_its_side_is_left_out() -> None:
    specimens = linear()
    values = np.abs(specimens.values)
    values[7] = -values[7]
    empty = values.copy()
    empty[3] = 0
    table = measure(replace(specimens, values=values, map=empty), values.sum(1), seed=0)
    assert np.isnan(table.area[OWN]["zero"]).nonzero()[0].tolist() == [3]
    assert np.isnan(table.area[MEAN_MAP]["zero"]).nonzero()[0].tolist() == [3, 7]


def test_each_copy_explains_its_part_of_the_sample_alone() -> None:
    asked: list[list[int]] = []

    class Counting(Linear):
        def reinitialised(self, seed: int) -> Linear:
            asked.append(self.rows.tolist())
            return super().reinitialised(seed)

    specimens = linear()
    counting = Counting(**{name: getattr(specimens, name) for name in specimens.__dataclass_fields__})
    table = measure(counting, specimens.values.sum(1), seed=0)
    assert sorted(row for part in asked for row in part) == list(range(N)) and len(asked) == 3
    assert table.area[COPY]["zero"].shape == (N,)


def test_every_requirement_is_asked() -> None:
    specimens = linear()
    checks = validity_checks(measure(specimens, specimens.values.sum(1), seed=0), np.arange(N), 1.0, ())
    assert {each.asks for each in checks} == set(REQUIREMENTS)


def test_mean_map_of_features_that_align_is_the_mean_of_the_others_on_the_side() -> None:
    maps, side = (
        [np.array([1.0, 2]), np.array([3.0, 4]), np.array([5.0, 6]), np.array([9.0, 9])],
        np.array([1, 1, 1, -1]),
    )
    found = mean_maps(maps, side)
    assert [each.tolist() for each in found] == [[4, 5], [3, 4], [2, 3], [0, 0]]


def test_mean_map_of_texts_is_by_place() -> None:
    maps = [np.array([1.0, 2]), np.arange(20.0), np.zeros(0)]
    found = mean_maps(maps, np.ones(3))
    assert found[0].tolist() == [0.5, 10.5], "words 0 and 1 of 20 lie in the first tenth, 10 and 11 in the sixth"
    assert found[1][:4].tolist() == [1, 1, 0, 0]
    assert found[2].tolist() == []


def test_forward_passes_are_counted() -> None:
    seen, specimens = [], linear()
    measure(specimens, specimens.values.sum(1), seed=0, advance=seen.append)
    assert sum(seen) == forward_passes(N, 2)
    assert set(measure(specimens, specimens.values.sum(1), seed=0).area) == {OWN, MEAN_MAP, COPY}


def test_the_sample_is_declared_and_drawn_by_the_seed() -> None:
    config = Config.model_validate({
        "name": "a", "seed": 1, "data": {"path": "a.csv"}, "model": {"path": "m"}, "target": {"favour": "x"},
        "groups": [{"attribute": "g", "lexicon": "gender"}], "checks": {"validity": 25},
    })  # fmt: skip
    rows = sampled(1000, config)
    assert len(set(rows.tolist())) == 25 and (rows == sampled(1000, config)).all()
    assert sampled(10, config).tolist() == list(range(10))
