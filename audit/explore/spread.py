"""How a number spreads in two or more groups: cumulative curves, because they need no choice of bins, with means and their intervals."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from audit.explore.shelf import Shelf
from audit.records import Estimate
from audit.report.figures import WIDTH, Figure
from audit.report.shares import MARKS, MEAN, draw_curve, key_beside
from audit.report.svg import LINE, draw_svg
from audit.report.text import interval, shorten
from audit.stats.intervals import mean_interval
from audit.tables import FloatArray

STEPS: Final = 200  # of a curve
LEVEL: Final = 0.95
TAIL: Final = 0.005  # of each end of the values that are left out of the picture


@final
@dataclass(frozen=True, slots=True)
class Side:
    """A group: quantiles of what is known `[STEPS + 1]`, and the mean."""

    label: str
    quantiles: FloatArray
    mean: Estimate

    @classmethod
    def of(cls, shelf: Shelf, column: str, wanted: NDArray[np.int64], *, label: str, factor: float = 1.0) -> "Side":
        """Of some rows of a column, times a factor."""
        values, cluster = factor * shelf.numbers(column)[wanted], np.asarray(shelf.column("cluster"))[wanted]
        known = values[np.isfinite(values)]
        quantiles = np.quantile(known, np.linspace(0, 1, STEPS + 1)) if len(known) else np.zeros(0)
        return cls(label, quantiles, mean_interval(values, cluster=cluster, level=LEVEL))


def spread(sides: Sequence[Side], *, unit: str) -> Figure | None:
    """None where no group has two values."""
    shown = [each for each in sides if each.mean.value is not None][: len(MARKS)]
    if not shown:
        return None

    name = f"spread-{re.sub('[^a-z0-9]+', '-', unit.lower())}"

    def draw(sheet: Any) -> None:
        axes = sheet.subplots()
        below = np.linspace(0, 1, STEPS + 1)
        axes.hlines([0, 0.5], *_range(shown), color=LINE, linewidth=0.8)
        key = []
        for i, each in enumerate(shown):
            key += draw_curve(axes, i, (each.quantiles, below), each.mean)
        axes.set_xlim(*_range(shown))
        axes.set_ylim(-MEAN * (len(shown) + 0.8), 1.03)
        axes.set_yticks([-MEAN * (len(shown) + 1) / 2, 0, 0.5, 1], ["means", "0", "50\u00a0%", "100\u00a0%"])
        axes.set_xlabel(unit)
        key_beside(axes, key, [f"{shorten(each.label, 30)}\n{_told(each)}" for each in shown])

    return Figure(
        name=name,
        svg=draw_svg(name, (WIDTH, 2.1), draw),
        alt=f"Cumulative distributions, {unit}: {'; '.join(f'{each.label} mean {_told(each)}' for each in shown)}",
        caption=f"{unit}: which part of a group has at most this value; further right is more. Markers: means with 95 % intervals by "
        f"cluster. A description: it belongs to no family of tests. The axis leaves out the outermost values, 0.5 % at each end.",
    )


def _range(shown: Sequence[Side]) -> tuple[float, float]:
    """From where 0.5 % of a group lie below to where 0.5 % lie above, the intervals of the means included."""
    cut = round(TAIL * STEPS)
    low = min(min(float(each.quantiles[cut]), np.inf if each.mean.low is None else each.mean.low) for each in shown)
    high = max(
        max(float(each.quantiles[-1 - cut]), -np.inf if each.mean.high is None else each.mean.high) for each in shown
    )
    return (low, high) if high > low else (low - 1, high + 1)


def _told(side: Side) -> str:
    return f"{interval(side.mean)}, n = {side.mean.n:,}"
