"""Charts of gated findings through their runs: estimate with interval and n against the margin, and what changed between runs.

Runs stand in their order, not to scale of time. A chart has at most `MOST_POINTS` estimates; every breach and every change keeps its mark
in the rows below, where marks that would cover each other are one. Cost: about 0.3 s and 60 kB a chart.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, final

import numpy as np

from audit.records import GatedFinding, Verdict
from audit.report.figures import MARKERS, WIDTH, Figure
from audit.report.history import SHORT, Series, Step, course, day, present, tested
from audit.report.svg import BAND, FILL, GREY, INK, LINE, draw_svg
from audit.report.text import clean, count, number, percent, plural, shorten, when
from audit.report.wording import VERDICTS, question_title

MOST_POINTS: Final = 90
MOST_COUNTS: Final = 16  # points beside which n stands as a number; of more it is drawn
COLUMNS: Final = 600  # marks of a row that can be told apart
TICKS: Final = 6
LETTERS: Final = 95  # that fit above a chart
UNTESTED: Final = ("x", GREY)


@final
@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart with the steps whose estimates it draws, and how many runs have one that is not drawn."""

    figure: Figure
    shown: tuple[tuple[Step, GatedFinding], ...]
    thinned: int


def chart(name: str, of: Series, found: Sequence[Step]) -> Drawn:
    """One gated finding through all runs."""
    points = {i: point for i, point in enumerate(of.points) if point is not None and point.place is not None}
    kept = {i: points[i] for i in thinned(points)}
    rows = _rows(of, found)

    def draw(sheet: Any) -> None:
        heights = [2.3, 0.45, *([0.17 * len(rows)] if rows else [])]
        axes = sheet.subplots(len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
        _margins(axes[0], of, len(found))
        _borders(axes, found)
        _points(axes[0], kept, found)
        _counts(axes[1], kept)
        if rows:
            _marks(axes[2], rows, len(found))
        _days(axes, found)
        axes[0].set_ylabel(shorten(of.last.unit, 40))

    left = len(points) - len(kept)
    return Drawn(
        Figure(
            name,
            draw_svg(name, (WIDTH, 3.3 + 0.2 * len(rows)), draw),
            _alt(of, found),
            _caption(of, found, kept, left),
        ),
        tuple((found[i], point) for i, point in kept.items()),
        left,
    )


def thinned(points: dict[int, GatedFinding]) -> list[int]:
    """Runs whose estimates are drawn: of as many stretches as there is room for one each, a breach if there is any, and the ends."""
    order = sorted(points)
    if len(order) <= MOST_POINTS:
        return order
    stretches = [part.tolist() for part in np.array_split(np.array(order), MOST_POINTS - 2)]
    chosen = {max(part, key=lambda i: (points[i].verdict is Verdict.BREACH, -i)) for part in stretches}
    return sorted({order[0], order[-1], *chosen})


def _spread(items: Sequence[int], most: int) -> list[int]:
    if len(items) <= most:
        return list(items)
    return [items[round(i)] for i in np.linspace(0, len(items) - 1, most)]


def _rows(of: Series, found: Sequence[Step]) -> dict[str, tuple[str, str, list[int]]]:
    """By name: marker, colour and the runs that are marked, of what occurs at all."""
    breached = [i for i, each in enumerate(of.points) if each is not None and each.verdict is Verdict.BREACH]
    rows = {
        "BREACH": (*MARKERS[Verdict.BREACH], breached),
        "protocol changed": ("|", INK, [i for i, step in enumerate(found) if step.protocol]),
        "model changed": ("D", INK, [i for i, step in enumerate(found) if step.model]),
        "data changed": ("o", INK, [i for i, step in enumerate(found) if step.data]),
        "code changed": ("s", INK, [i for i, step in enumerate(found) if step.code]),
    }
    return {name: row for name, row in rows.items() if row[2]}


def _margins(axes: Any, of: Series, n: int) -> None:
    """The band of each run's own margin, from 0 on where values cannot be negative, and the line of no difference."""
    held = [0.0 if each is None or each.margin is None else each.margin for each in _filled(of.points)]
    edges = [0, *(i for i in range(1, n) if held[i] != held[i - 1]), n]
    for start, end in pairwise(edges):
        if held[start]:
            low = 0.0 if of.last.category == "flips" else -held[start]
            axes.fill_between([start - 0.5, end - 0.5], low, held[start], color=BAND, linewidth=0)
    axes.axhline(0, color=INK, linewidth=0.8)


def _filled(points: Sequence[GatedFinding | None]) -> list[GatedFinding | None]:
    """Runs without the finding take that of the run before, so that bands are not cut into pieces."""
    found, before = list[GatedFinding | None](), None
    for each in points:
        before = each if each is not None and each.margin is not None else before
        found.append(before)
    return found


def _borders(axes: Sequence[Any], found: Sequence[Step]) -> None:
    """A line where the protocol changes, and its hash where there is room."""
    borders = [i for i, step in enumerate(found) if step.protocol]
    if not borders:
        return
    for each in axes:
        low, high = each.get_ylim()
        apart = _columns(borders, len(found))
        x = np.repeat(np.array(apart, float) - 0.5, 3)
        y = np.tile([0.0, 1.0, np.nan], len(apart))
        each.plot(x, y, color=INK, linewidth=0.9, linestyle=(0, (4, 2)), transform=each.get_xaxis_transform())
        each.set_ylim(low, high, auto=True)
    for start, end in zip([0, *borders], [*borders, len(found)], strict=True):
        room, sha256 = int(LETTERS * (end - start) / len(found)), clean(found[start].run.protocol_sha256[:SHORT])
        named = shorten(f"protocol {sha256}, changed: {', '.join(found[start].settings)}", max(room, 30))
        words = next(
            (each for each in (named, f"protocol {sha256}", sha256)[not found[start].settings :] if len(each) <= room),
            "",
        )
        axes[0].text(start - 0.5, 1.02, words, transform=axes[0].get_xaxis_transform(), va="bottom", fontsize=8)


def _points(axes: Any, kept: dict[int, GatedFinding], found: Sequence[Step]) -> None:
    """Estimates by verdict, each with its interval; a thin line joins those of one protocol."""
    xs, ys = list[float](), list[float]()
    for i, point in kept.items():
        if xs and any(step.protocol for step in found[int(xs[-1]) + 1 : i + 1]):
            xs, ys = [*xs, xs[-1]], [*ys, np.nan]
        xs, ys = [*xs, i], [*ys, point.place or 0.0]
    axes.plot(xs, ys, color=LINE, linewidth=0.9)
    for verdict in Verdict:
        marker, colour = MARKERS.get(verdict, UNTESTED)
        mine = {i: point for i, point in kept.items() if point.verdict is verdict}
        ends = [(i, end) for i, point in mine.items() for end in (point.low, point.high, None)]
        axes.plot(
            [i for i, _ in ends], [np.nan if end is None else end for _, end in ends], color=colour, linewidth=1.4
        )
        hollow = {"markerfacecolor": FILL} if verdict is Verdict.INCONCLUSIVE else {}
        size = 5.5 if len(kept) <= MOST_POINTS // 2 else 4.0
        axes.plot(list(mine), [p.place for p in mine.values()], marker, color=colour, markersize=size, **hollow)


def _counts(axes: Any, kept: dict[int, GatedFinding]) -> None:
    """n of every estimate that is drawn: as a number, or of many as a line with its ends."""
    axes.set_ylabel("n", rotation=0, ha="right", va="center")
    known = {i: point.n for i, point in kept.items() if point.n is not None}
    if len(kept) <= MOST_COUNTS:
        for i, point in kept.items():
            axes.text(i, 0.5, "withheld" if point.n is None else count(point.n), ha="center", va="center", fontsize=7)
        axes.set_ylim(0, 1)
        axes.set_yticks([])
        return
    top = max(known.values(), default=1) or 1
    axes.plot(list(known), list(known.values()), drawstyle="steps-mid", color=GREY, linewidth=1.2)
    axes.set_ylim(0, 1.2 * top)
    axes.set_yticks([0, top], ["0", count(top)])


def _marks(axes: Any, rows: dict[str, tuple[str, str, list[int]]], n: int) -> None:
    """A row a kind of change, named at its side."""
    for y, (marker, colour, where) in enumerate(rows.values()):
        apart = _columns(where, n)
        axes.plot(apart, [y] * len(apart), marker, color=colour, markersize=4.5 if marker == "|" else 3.5)
    axes.set_yticks(range(len(rows)), [f"{name} ×{len(row[2]):,}" for name, row in rows.items()], fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _columns(where: Iterable[int], n: int) -> list[int]:
    """One run of those whose marks would cover each other."""
    return list({i * COLUMNS // max(n, COLUMNS): i for i in where}.values())


def _days(axes: Sequence[Any], found: Sequence[Step]) -> None:
    """Days at the foot, with the time where several runs are of one day."""
    places = _spread(range(len(found)), TICKS)
    days = [day(found[i]) for i in places]
    alike = len(set(days)) < len(days)
    times = [clean(when(found[i].run.started)).removesuffix(" UTC")[:16].replace(" ", "\n") for i in places]
    axes[-1].set_xticks(places, times if alike else days, fontsize=8)
    axes[-1].set_xlim(-0.5, len(found) - 0.5)
    for each in axes[:-1]:
        each.tick_params(axis="x", length=0, labelbottom=False)


def _alt(of: Series, found: Sequence[Step]) -> str:
    newest, said = of.newest, present(of, found)
    if newest is not None and tested(newest):
        said = f"newest run {said}, {newest.verdict.value}"
    changes = sum(step.protocol for step in found)
    return (
        f"Chart of {plural(len(found), 'run')}, {question_title(of.last.question)}, {shorten(of.last.label, 80)}: {said}; BREACH in "
        f"{plural(of.breaches, 'run')}; the protocol changed {plural(changes, 'time')}. {course(of, found)}"
    )


def _caption(of: Series, found: Sequence[Step], kept: dict[int, GatedFinding], left: int) -> str:
    verdicts = {point.verdict for point in kept.values()}
    shapes = ", ".join(f"{VERDICTS[v].symbol} {v.value}" for v in VERDICTS if v in verdicts)
    levels = sorted({percent(point.level) for point in kept.values()})
    absent = sum(each is None or each.place is None for each in of.points)
    margins = sorted({number(point.margin) for point in kept.values() if point.margin is not None})
    said = [
        course(of, found),
        f"Estimate with its interval ({' or '.join(levels)}) and n, a run beside the other in their order. {shapes}." if kept else "",
        f"Grey band: inside the margin ({', '.join(margins[:4])}{' and others' if len(margins) > 4 else ''})." if margins else "No margin.",
        "Dashed line: another protocol; estimates on its two sides are not comparable." if any(s.protocol for s in found) else "",
        f"{plural(left, 'estimate')} not drawn for room, a BREACH standing before others; every BREACH and every change has a mark "
        "below, where marks that would cover each other are one." if left else "",
        f"Without an estimate: {plural(absent, 'run')}." if absent else "",
        "Where a value is withheld, its mark stands in the middle of the interval."
        if any(point.value is None for point in kept.values()) else "",
    ]  # fmt: skip
    return " ".join(filter(None, said))
