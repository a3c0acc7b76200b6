"""Cells of photographs: only what was measured tells whether a place shows the same thing in every photograph."""

import numpy as np
import pytest

from audit.tables import MaskTable
from audit.tasks.image_cells import measured_frame
from tests.audit.test_image_relevance import as_runs

SAME, MOVED, ABSENT, WHOLE = ((0, 0, 0), (0, 1, 2), (None, None, None), ("all", "all", "all"))


def masks(*regions: tuple[int | str | None, ...]) -> MaskTable:
    """Per region the row of the input that it fills in each of three photographs; the rest is outside."""
    drawn = np.zeros((3, len(regions) + 1, 4, 4), dtype=np.bool_)
    for r, rows in enumerate(regions):
        for i, row in enumerate(rows):
            if row is not None:
                drawn[i, r, slice(None) if row == "all" else row] = True
    drawn[:, -1] = ~drawn[:, :-1].any(axis=1)
    return as_runs(drawn)


@pytest.mark.parametrize(
    ("regions", "told"),
    [
        ({"fixed": SAME}, None),
        ({"grid": SAME, "fixed": SAME}, None),
        ({"boxes": SAME, "fixed": SAME}, True),
        ({"mask": MOVED, "fixed": SAME}, False),
        ({"landmarks": SAME, "coco": MOVED}, False),
        ({"landmarks": SAME, "fixed": MOVED}, True),
        ({"boxes": ABSENT, "fixed": SAME}, None),
        ({"boxes": WHOLE, "fixed": SAME}, None),
    ],
)
def test_places_that_are_equal_by_declaration_tell_nothing_of_the_photographs(
    regions: dict[str, tuple], told: bool | None
) -> None:
    assert measured_frame(masks(*regions.values()), tuple(regions)) is told
