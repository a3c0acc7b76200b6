"""Mean maps as figures: what is drawn, what is left out and said so, which cells of a difference are grey."""

import numpy as np
import pytest

from audit.records import AuditRecord, Estimate, MeanMap, RegionRecord
from audit.report import maps
from tests.audit.report.sample import sample_record

NONE = Estimate(value=None, reason="not needed here")


def region(name: str, cells: tuple[str, ...]) -> RegionRecord:
    return RegionRecord(
        name=name, source="fixed boxes", provenance="by hand", present=9, absent=0, aligned=True, size=NONE, share={}, net={},
        ratios={}, cells=cells,
    )  # fmt: skip


def mean_map(group: str, label: str, n: int, value: float, error: float | None = 0.1, clusters: int = 50) -> MeanMap:
    cells = ((value, -value), (value, value))
    errors = () if error is None else ((error, error), (error, error))
    return MeanMap(
        attribute="who" if group else "", group=group, label=label, composite="epsilon_plus", n=n, clusters=clusters, mean=cells,
        error=errors,
    )  # fmt: skip


def record(*drawn: MeanMap) -> AuditRecord:
    regions = (region("hair", ("10", "00")), region("eyes", ("00", "01")), region("outside", ("01", "10")))
    return sample_record().model_copy(update={"maps": drawn, "regions": regions})


def test_groups_and_classes_beyond_the_largest_are_said_to_be_left_out() -> None:
    many = [mean_map(g, f"k{k}", 10 * (i + 1) + k, 0.1) for i, g in enumerate("abcdefg") for k in range(9)]
    (figure,) = maps.mean_map_figures(record(*many))
    assert "The largest 4 of 7 groups and 6 of 9 classes; the others are in audit.json." in figure.caption
    assert "g, true k8" in figure.alt and "a, true" not in figure.alt and "true k2" not in figure.alt
    (whole,) = maps.mean_map_figures(record(mean_map("", "k", 9, 0.1)))
    assert "others are in audit.json" not in whole.caption and "1 hair, 2 eyes." in whole.caption


@pytest.mark.parametrize(
    ("value", "error", "clusters", "grey"),
    [(0.5, 0.1, 50, 0), (0.1, 0.1, 50, 4), (0.5, 0.1, 2, 4), (0.5, None, 1, 4), (0.0, 0.0, 50, 4)],
)
def test_cells_that_noise_explains_are_grey(value: float, error: float | None, clusters: int, grey: int) -> None:
    one, two = mean_map("a", "k", 50, value, error, clusters), mean_map("b", "k", 50, 0.0, error, clusters)
    values = np.array(one.mean) - np.array(two.mean)
    assert maps._within_noise(values, one, two).sum() == grey


def test_a_group_without_photographs_of_a_class_leaves_its_place_empty() -> None:
    drawn = [mean_map("a", "k", 9, 0.1), mean_map("b", "k", 9, 0.2), mean_map("a", "l", 9, 0.1)]
    (figure,) = maps.mean_map_figures(record(*drawn))
    assert "no photographs" in figure.svg and "a − b, true k" in figure.alt and "a − b, true l" not in figure.alt
