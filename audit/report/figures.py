"""The charts of a report: SVG, alternative text, and a caption that states n, interval and family."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Final, final

import numpy as np

from audit.records import Estimate, Finding, TermEffect, Verdict
from audit.report.svg import BAND, BLUE, FILL, GREEN, GREY, INK, LINE, ORANGE, PURPLE, VERMILLION, draw_svg
from audit.report.text import count, interval, listed, number, percent, plural, shorten
from audit.report.wording import VERDICTS, pair, quantity, question_title

WIDTH = 7.6  # inches
MOST_ROWS, MOST_PANELS, MOST_TERMS, MOST_CHARTS = 30, 12, 20, 12
PLACEBO_NOTE = (
    "The interval shows sampling error only; p ranks the value among placebo words, which differ from each other too, so an "
    "interval that leaves out 0 is not by itself a difference."
)
NULLS: Final = {  # by whether masks were swapped: what stands on the axis, and in the caption
    False: ("placebos", "placebos of no protected group"),
    True: ("swapped masks", "draws with masks swapped between photographs"),
}
MARKERS: Final[dict[Verdict, tuple[str, str]]] = {
    Verdict.BREACH: ("^", VERMILLION),
    Verdict.DIFFERENT: ("D", ORANGE),
    Verdict.INCONCLUSIVE: ("s", GREY),
    Verdict.EQUIVALENT: ("o", BLUE),
}
CLASS_MARKS: Final = (("o", BLUE), ("s", ORANGE), ("D", GREEN), ("v", PURPLE), ("P", VERMILLION), ("X", GREY))


@final
@dataclass(frozen=True, slots=True)
class Figure:
    """A chart: `svg` is safe to inline, `alt` says what it shows to who cannot see it."""

    name: str
    svg: str
    alt: str
    caption: str


def forests(findings: Sequence[Finding], *, name: str = "forest") -> list[Figure]:
    """Estimates with intervals and the margin band, if there is one: a chart per question and unit of differences."""
    charts: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        if finding.estimate.low is not None and finding.verdict in MARKERS and finding.estimate.unit != "ratio":
            unit = "difference of rates" if finding.question == "outcome" else finding.estimate.unit
            charts.setdefault((finding.question, unit), []).append(finding)
    return [_forest(f"{name}-{i}", *key, rows) for i, (key, rows) in enumerate(charts.items(), 1)]


def _forest(name: str, question: str, unit: str, findings: Sequence[Finding]) -> Figure:
    order = sorted(findings, key=lambda f: (-abs(f.estimate.value or 0), f.id))
    rows = sorted(order[:MOST_ROWS], key=lambda f: (f.attribute, quantity(f), -(f.estimate.value or 0), f.id))

    def draw(sheet: Any) -> None:
        axes = sheet.subplots()
        _margins(axes, rows)
        for y, finding in enumerate(rows):
            _row(axes, y, finding.estimate, *MARKERS[finding.verdict], hollow=finding.verdict is Verdict.INCONCLUSIVE)
            text = f"{interval(finding.estimate)}, n = {count(finding.estimate.n)}"
            axes.text(1.01, y, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8)
        axes.set_yticks(range(len(rows)), [_label(finding) for finding in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.locator_params(axis="x", nbins=6)
        axes.set_xlabel(unit)

    shapes = ", ".join(f"{VERDICTS[v].symbol} {v.value}" for v in MARKERS if any(f.verdict is v for f in rows))
    left = len(findings) - len(rows)
    margins = listed([number(m) for m in sorted({f.margin for f in rows if f.margin is not None})])
    caption = (
        f"{question_title(question)}: estimate with its {kinds([f.estimate for f in rows])}. "
        f"{f'Grey band: inside the margin ({margins}); vertical' if margins else 'No margin is declared; vertical'} line: no "
        f"difference. {shapes}. Family: {rows[0].test.family}, m = {rows[0].test.m}{_alpha(rows[0])}."
        + (f" {PLACEBO_NOTE}" if any(f.null and "placebo" in f.test.name for f in rows) else "")
        + (f" {left} smaller ones are in the table only." if left else "")
    )
    spoken = "; ".join(f"{_label(f)} {interval(f.estimate)}, {f.verdict.value}" for f in rows[:8])
    return Figure(
        name=name,
        svg=draw_svg(name, (WIDTH, 0.9 + 0.3 * len(rows)), draw),
        alt=f"Forest plot, {question_title(question)}, {plural(len(rows), 'row')}: {spoken}",
        caption=caption,
    )


def _alpha(finding: Finding) -> str:
    return "" if finding.test.alpha is None else f", alpha = {number(finding.test.alpha)}"


def _label(finding: Finding) -> str:
    what = quantity(finding)
    return shorten(
        f"{finding.attribute.removesuffix(' (mentioned)')}: {pair(finding)}" + (f", {what}" if what else ""), 48
    )


def _margins(axes: Any, rows: Sequence[Finding]) -> None:
    """Band of each row's own margin (one-sided where values cannot be negative) and the line of no difference."""
    bands = [(0.0 if quantity(f) == "flips" else -(f.margin or 0.0), f.margin or 0.0) for f in rows]
    if len(set(bands)) == 1 and any(bands[0]):
        axes.axvspan(*bands[0], color=BAND, linewidth=0)
    else:
        for y, (low, high) in enumerate(bands):
            axes.fill_betweenx([y - 0.5, y + 0.5], low, high, color=BAND, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _row(axes: Any, y: float, estimate: Estimate, marker: str, colour: str, *, hollow: bool = False) -> None:
    if estimate.low is not None and estimate.high is not None:
        axes.plot([estimate.low, estimate.high], [y, y], color=colour, linewidth=1.8, solid_capstyle="butt")
    axes.plot([estimate.value], [y], marker, color=colour, markersize=6, markerfacecolor=FILL if hollow else colour)


def kinds(estimates: Sequence[Estimate]) -> str:
    """Level and kind of the intervals."""
    found = {f"{percent(e.level)} interval" + (f" ({e.interval})" if e.interval else "") for e in estimates}
    return " or ".join(sorted(found))


def notes(estimates: Sequence[Estimate]) -> str:
    """What the estimates say against themselves, such as too few independent units."""
    said: dict[str, int] = {}
    for estimate in estimates:
        if estimate.reason:
            said[estimate.reason] = said.get(estimate.reason, 0) + 1
    return "".join(f" {count} of {len(estimates)} estimates: {note}." for note, count in sorted(said.items()))


def nulls(findings: Sequence[Finding]) -> list[Figure]:
    """Where the observed value lies among placebos, one chart per question."""
    charts: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.null and finding.estimate.value is not None:
            charts.setdefault(finding.question, []).append(finding)
    return [_null(f"null-{i}", question, rows) for i, (question, rows) in enumerate(charts.items(), 1)]


def _null(name: str, question: str, findings: Sequence[Finding]) -> Figure:
    rows = sorted(findings, key=lambda f: (1.0 if f.test.p is None else f.test.p, f.id))[:MOST_PANELS]

    def draw(axes: Any, finding: Finding) -> None:
        axes.hist(np.array(finding.null), bins=24, histtype="stepfilled", color=GREY, alpha=0.6)
        top = axes.get_ylim()[1] * 1.18
        axes.plot([finding.estimate.value] * 2, [0, top * 0.9], color=VERMILLION, linewidth=1.8)
        axes.plot([finding.estimate.value], [top * 0.9], "v", color=VERMILLION, markersize=7)
        axes.set_ylim(0, top)
        axes.set_title(shorten(f"{finding.attribute}: {pair(finding)}"), loc="left")
        axes.set_xlabel(f"observed {number(finding.estimate.value)}, n = {count(finding.estimate.n)}")

    left = len(findings) - len(rows)
    many = listed(sorted({_drawn(f) for f in rows}))
    side, said = NULLS["mask swap" in rows[0].test.name]
    spoken = "; ".join(
        f"{_label(f)} observed {number(f.estimate.value)}, {side} {number(min(f.null))} to {number(max(f.null))}"
        for f in rows
    )
    return Figure(
        name=name,
        svg=_panels(name, rows, draw, side),
        alt=f"Distributions under no difference, {question_title(question)}: {spoken}",
        caption=f"{question_title(question)}, {rows[0].estimate.unit}: grey, what {many} {said} give; line with triangle, "
        "the observed value." + (f" The {len(rows)} with the smallest p of {len(findings)}." if left else ""),
    )


def _drawn(finding: Finding) -> str:
    """How many values under the null there are, and of how many where the record keeps some of them."""
    kept, made = len(finding.null), finding.test.resamples or 0
    return f"{kept:,} of {made:,}" if made > kept else f"{kept:,}"


def _panels(name: str, items: Sequence[Any], draw: Callable[[Any, Any], None], side: str) -> str:
    columns = min(3, max(2, len(items)))
    lines = ceil(len(items) / columns)

    def sheet(page: Any) -> None:
        grid = page.subplots(lines, columns, squeeze=False).ravel()
        for axes, item in zip(grid, items, strict=False):
            draw(axes, item)
            axes.locator_params(axis="both", nbins=4)
        for axes in grid[len(items) :]:
            axes.remove()
        for axes in grid[: len(items) : columns]:
            axes.set_ylabel(side)

    return draw_svg(name, (WIDTH, 1.85 * lines), sheet)


def term_charts(effects: Sequence[TermEffect], classes: Sequence[str]) -> list[Figure]:
    """Net relevance of each term by true class, one chart per attribute, of those whose terms most examples hold."""
    labels = set(classes[: len(CLASS_MARKS)])
    shown = [effect for effect in effects if effect.label in labels and effect.estimate.value is not None]
    held: dict[str, int] = {}
    for effect in shown:
        held[effect.attribute] = held.get(effect.attribute, 0) + (effect.estimate.n or 0)
    largest = sorted(held, key=lambda name: -held[name])[:MOST_CHARTS]
    attributes = [name for name in held if name in largest]
    return [
        _terms(f"terms-{i}", attribute, [e for e in shown if e.attribute == attribute], classes)
        for i, attribute in enumerate(attributes, 1)
    ]


def _terms(name: str, attribute: str, effects: Sequence[TermEffect], classes: Sequence[str]) -> Figure:
    known: dict[tuple[str, str], dict[str, Estimate]] = {}
    for effect in effects:
        known.setdefault((effect.group, effect.term), {})[effect.label] = effect.estimate
    biggest = sorted(known, key=lambda key: (-max(e.n or 0 for e in known[key].values()), key))[:MOST_TERMS]
    order = list(dict.fromkeys(group for group, _ in known))
    rows = sorted(biggest, key=lambda key: (order.index(key[0]), biggest.index(key)))
    labels = list(classes[: len(CLASS_MARKS)])
    offsets = np.linspace(-0.26, 0.26, len(labels)) if len(labels) > 1 else np.zeros(1)

    def draw(sheet: Any) -> None:
        axes = sheet.subplots()
        axes.axvline(0, color=INK, linewidth=0.8)
        for y, key in enumerate(rows):
            for label, offset, mark in zip(labels, offsets, CLASS_MARKS, strict=False):
                if label in known[key] and known[key][label].value is not None:
                    _row(axes, y + offset, known[key][label], *mark)
            counts = " / ".join(count(known[key][label].n) if label in known[key] else "<" for label in labels)
            axes.text(1.01, y, f"n = {counts}", transform=axes.get_yaxis_transform(), va="center", fontsize=8)
        for label, mark in zip(labels, CLASS_MARKS, strict=False):
            axes.plot([], [], mark[0], color=mark[1], label=f"true class {shorten(label)}")
        axes.set_yticks(range(len(rows)), [shorten(f"{group}: {term}") for group, term in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", color=LINE, linewidth=0.4)
        axes.set_xlabel("sd of the contrast logit")
        sheet.legend(loc="outside upper center", ncols=3)

    everything = [estimate for key in rows for estimate in known[key].values()]
    spoken = "; ".join(f"{t} {interval(next(iter(known[g, t].values())))}" for g, t in rows[:8])
    return Figure(
        name=name,
        svg=draw_svg(name, (WIDTH, 1.2 + 0.34 * len(rows)), draw),
        alt=f"Mean net relevance of {attribute} terms by true class: {spoken}",
        caption=f"{shorten(attribute)}: mean net relevance of a term over the examples that hold it, by true class, with its "
        f"{kinds(everything)}, not corrected for the number of terms: description, not a test. n per class in the order "
        "of the legend; '<' marks too few examples; terms with too few in every class are in the table only."
        + _most(len(rows), len(known), "terms")
        + notes(everything),
    )


def _most(shown: int, known: int, noun: str) -> str:
    return f" The {shown} most frequent of {known} {noun}." if known > shown else ""
