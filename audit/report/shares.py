"""The chart of shares of |R|: cumulative distributions, because they need no choice of bins, stay right where bins are joined for
privacy, and show as a gap between two lines what a test on ranks finds. Groups that are compared share a panel."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Final, final

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from audit.records import Distribution, Estimate
from audit.report.figures import MOST_PANELS, WIDTH, Figure, kinds, notes
from audit.report.svg import BLUE, FILL, GREEN, GREY, LINE, PURPLE, VERMILLION, draw_svg
from audit.report.text import interval, listed, plural, shorten

MARKS: Final = ((BLUE, "-", "o"), (VERMILLION, "--", "s"), (GREEN, "-.", "D"), (PURPLE, ":", "^"))  # a panel's curves
BAR, MEAN = 0.035, 0.11  # of the axes: how wide a bar of zeros is, how far apart means are
MOST_SPOKEN: Final = 12
SEEN: Final = 0.99  # of every group lies left of where the axis ends


@final
@dataclass(frozen=True, slots=True)
class _Panel:
    """Curves drawn with their marks, and those of the `rest` of the compared groups behind them in grey."""

    title: str
    attribute: str
    groups: tuple[Distribution, ...]
    rest: tuple[Distribution, ...]


def share_chart(distributions: Sequence[Distribution], *, regions: bool) -> list[Figure]:
    """How the shares of |R| of compared groups are distributed: of `regions`, or of "attribute.group" and tokens of none."""
    panels = _panels(distributions, regions=regions)[:MOST_PANELS]
    shown = [each for panel in panels for each in panel.groups]
    if not shown:
        return []
    bars = max(len(panel.groups) for panel in panels)

    def draw(sheet: Any) -> None:
        grid = sheet.subplots(len(panels), 1, squeeze=False).ravel()
        for axes, panel in zip(grid, panels, strict=True):
            _draw(axes, panel, bars)
        grid[-1].set_xlabel("share of |R|")
        sheet.supylabel("examples with\nat most this share", fontsize=9)

    spoken = "; ".join(_spoken(each) for each in shown[:MOST_SPOKEN])
    more = f"; and {len(shown) - MOST_SPOKEN} more" if len(shown) > MOST_SPOKEN else ""
    figure = Figure(
        name="shares",
        svg=draw_svg("shares", (WIDTH, 0.2 + 1.95 * len(panels)), draw),
        alt=f"Cumulative distributions of relevance shares: {spoken}{more}",
        caption=_caption(panels, shown)
        + (f" The first {len(shown)} of {len(distributions)} groups." if len(shown) < len(distributions) else "")
        + notes([each.mean for each in shown]),
    )
    return [figure]


def _caption(panels: Sequence[_Panel], shown: Sequence[Distribution]) -> str:
    means = [each.mean for each in shown if each.mean.low is not None]
    joined = any(each.zeros is None or float(np.ptp(np.diff(each.edges))) > 1e-9 for each in shown)
    return (
        "Share of |R| on a group's words or in a region, over the examples that hold it "
        f"({listed(sorted({each.composite for each in shown}))}). A curve tells which part of the examples has at most this share: "
        "further right is more relevance, and it crosses the line at 50 % at the median. Hatched bars: shares of exactly 0. "
        f"Markers: mean{f' with its {kinds(means)}' if means else ''}. Groups that are compared have the same axis, which ends "
        "where it holds 99 % of each. A description: it belongs to no family of tests."
        + (" Thin grey curves: groups of the other panels of the same name." if any(p.rest for p in panels) else "")
        + (
            " A curve is straight where too few examples lie to be shown apart; zeros that are too few are in its first part."
            * joined
        )
    )


def _panels(distributions: Sequence[Distribution], *, regions: bool) -> list[_Panel]:
    """Groups by attribute, those of none last; as few panels as hold them, with about as many curves in each."""
    found: dict[str, list[Distribution]] = {}
    for each in distributions if regions else sorted(distributions, key=lambda d: "." not in d.group):
        attribute = "regions" if regions else each.group.partition(".")[0] if "." in each.group else "other tokens"
        found.setdefault(attribute, []).append(each)
    panels = []
    for title, groups in found.items():
        parts = np.array_split(np.arange(len(groups)), ceil(len(groups) / len(MARKS)))
        for i, part in enumerate(parts, 1):
            panels.append(
                _Panel(
                    title + (f" ({i} of {len(parts)})" if len(parts) > 1 else ""),
                    title,
                    tuple(groups[j] for j in part),
                    tuple(each for j, each in enumerate(groups) if j not in part),
                )
            )
    return panels


def _draw(axes: Any, panel: _Panel, bars: int) -> None:
    """Curves, with their zeros at the left, where there is room for as many `bars`, and their means below."""
    right = max(_end(each) for each in (*panel.groups, *panel.rest))
    bar = BAR * right
    left = -bar * (bars + 0.5)
    axes.hlines([0, 0.5], left, right, color=LINE, linewidth=0.8)
    for each in panel.rest:
        axes.plot(*_curve(each), color=GREY, linewidth=0.6)
    key = []
    for i, each in enumerate(panel.groups[: len(MARKS)]):
        share, below = _curve(each)
        if each.zeros:
            hatched = {"color": FILL, "edgecolor": MARKS[i][0], "hatch": "/////", "linewidth": 0.8}
            axes.bar(-bar * (len(panel.groups) - i), below[0], bar * 0.8, align="edge", **hatched)
        key += draw_curve(axes, i, (share, below), each.mean)
    ticks = [float(tick) for tick in MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(0, right) if 0 <= tick <= right]
    axes.set_xticks([left / 2, *ticks], ["\nzeros", *(f"{tick:g}" for tick in ticks)])
    axes.set_xlim(left, right)
    axes.set_ylim(-MEAN * (bars + 0.8), 1.03)
    axes.set_yticks([-MEAN * (len(panel.groups) + 1) / 2, 0, 0.5, 1], ["means", "0", "50\u00a0%", "100\u00a0%"])
    axes.set_title(shorten(panel.title), loc="left")
    key_beside(axes, key, [_label(each, panel.attribute) for each in panel.groups])


def draw_curve(axes: Any, i: int, curve: tuple[NDArray[Any], NDArray[Any]], mean: Estimate) -> list[Any]:
    """Values and the part at or below each in the marks of the `i`-th curve, and its mean below them; what stands for it in a key."""
    colour, line, marker = MARKS[i]
    axes.plot(*curve, line, color=colour, linewidth=1.6)
    axes.plot([mean.low, mean.high], [-MEAN * (i + 1)] * 2, color=colour, linewidth=1.8)
    axes.plot([mean.value], [-MEAN * (i + 1)], marker, color=colour, markersize=4.5)
    return list(axes.plot([], [], line, marker=marker, color=colour, markersize=4.5, linewidth=1.6))


def key_beside(axes: Any, key: Sequence[Any], labels: Sequence[str]) -> None:
    """At the right of the curves."""
    axes.legend(
        key, labels, loc="upper left", bbox_to_anchor=(1.01, 1.03), borderaxespad=0, fontsize=8, handlelength=3.2, labelspacing=0.6
    )  # fmt: skip


def _label(shown: Distribution, title: str) -> str:
    name = shorten(shown.group.removeprefix(f"{title}."), 30)
    return f"{name}\n{interval(shown.mean)}, n = {shown.n:,}, {_zeros(shown)}"


def _zeros(shown: Distribution) -> str:
    return "zeros not shown" if shown.zeros is None else plural(shown.zeros, "zero")


def _curve(shown: Distribution) -> tuple[NDArray[Any], NDArray[Any]]:
    """The part of the examples at or below each edge, beginning with the part that is exactly 0."""
    below = (shown.zeros or 0) + np.concatenate([[0], np.cumsum(shown.counts)])
    return np.array(shown.edges), below / max(shown.n, 1)


def _end(shown: Distribution) -> float:
    """The edge that 99 % lie below, or the end of the interval of the mean."""
    share, below = _curve(shown)
    return max(float(share[int(np.argmax(below >= SEEN))]), shown.mean.high or 0.0)


def _spoken(shown: Distribution) -> str:
    return f"{shorten(shown.group)} mean {interval(shown.mean)}, n = {shown.n:,}, {_zeros(shown)}"
