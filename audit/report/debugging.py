"""What the page for debugging shows of a record: maps of contrasts, how far confidence can be trusted, errors beside neighbours."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from audit.records import AuditRecord, Exhibit
from audit.records.debugging import Contrast, Strategy
from audit.report import page
from audit.report.figures import WIDTH, Figure
from audit.report.maps import cell_maps
from audit.report.svg import BLUE, GREY, draw_svg
from audit.report.text import interval, number, shorten

MOST_MAPS: Final = 6
MOST_BESIDE: Final = 4_200_000  # characters of pictures; the page stays below 5 MB


def told(record: AuditRecord) -> list[str] | None:
    """Names of flagged slices that a report may tell: both sides are large enough to count; None where nothing was asked."""
    if record.debug is None:
        return None
    k, used = page.smallest_cell(record), record.data.used
    return [
        " and ".join(each.conditions)
        for each in record.debug.slices
        if each.flagged and each.rate.n is not None and min(each.rate.n, used - each.rate.n) >= k
    ]


def gallery(record: AuditRecord) -> list[tuple[page.Card, page.Card | None, float | None]]:
    """Each shown error beside its neighbour and their similarity, as far as the page has room."""
    assert record.debug is not None
    beside = {each.id: each for each in record.debug.neighbours}
    found, size = list[tuple[page.Card, page.Card | None, float | None]](), 0
    for exhibit in record.exhibits if page.shows_text(record) else ():
        neighbour = beside.get(exhibit.id)
        other = neighbour.exhibit if neighbour else None
        size += len(exhibit.picture) + (len(other.picture) if other else 0)
        if size > MOST_BESIDE:
            break
        found.append(
            (page.card(exhibit), page.card(other) if other else None, neighbour.similarity if neighbour else None)
        )
    return found


def differs(one: Exhibit, other: Exhibit) -> str:
    """What argued for the wrong class here and not there, and what spoke for the true one there and not here."""
    mine, theirs = _by_name(one), _by_name(other)
    names = mine.keys() | theirs.keys()
    gap = {name: mine.get(name, 0.0) - theirs.get(name, 0.0) for name in names}
    here = sorted((n for n in names if mine.get(n, 0.0) > 0 and gap[n] > 0), key=lambda n: (-gap[n], n))[:3]
    there = sorted((n for n in names if theirs.get(n, 0.0) < 0 and gap[n] > 0), key=lambda n: (-gap[n], n))[:3]

    def said(chosen: list[str]) -> str:
        return ", ".join(f"{shorten(n)} {number(gap[n], 2)}" for n in chosen) or "nothing"

    return f"here for {one.predicted} and not there: {said(here)}; there for {one.label} and not here: {said(there)}"


def _by_name(exhibit: Exhibit) -> Mapping[str, float]:
    if exhibit.regions:
        return {region.name: region.net for region in exhibit.regions if region.net is not None}
    found: dict[str, float] = {}
    for token in exhibit.tokens:
        name = token.text.strip().lower()
        found[name] = found.get(name, 0.0) + token.relevance
    return found


def strategy_maps(record: AuditRecord) -> Figure | None:
    """Where the evidence of each strategy lies, less where that of all others does."""
    assert record.debug is not None
    shown = [each for each in record.debug.strategies if each.cells][:MOST_MAPS]
    if not shown:
        return None
    return cell_maps(
        "strategy-maps",
        {f"{each.key} (n = {each.n:,})": np.array(each.cells) for each in shown},
        record.regions,
        "Mean share of the relevance for the prediction in each cell, less the mean over all other examples. Orange: this strategy looks "
        "here more; blue: less; lines: declared regions that are the same in every photograph.",
        unit="share, less that of all others",
    )


def contrast_maps(record: AuditRecord) -> Figure | None:
    """Mean difference maps of photographs: errors minus right ones of the same class, towards the wrong class."""
    assert record.debug is not None
    every = (*record.debug.contrasts, *record.debug.hesitation)
    shown = [each for each in every if each.cells and ": " not in each.name][:MOST_MAPS]
    if not shown:
        return None
    panels = {f"{each.name} (n = {each.n:,} − {each.others:,})": np.array(each.cells) for each in shown}
    return cell_maps(
        "contrast-maps",
        panels,
        record.regions,
        "First side minus second: mean of R over sum |R| per cell, towards the wrong (or second) class. Orange argues for it, blue "
        "for the true (or first) one; lines: declared regions that are the same in every photograph. Description, not a test.",
    )


def reliability(record: AuditRecord) -> Figure:
    """How often predictions are right, by how sure the model is."""
    assert record.debug is not None
    bins = [each for each in record.debug.confidence if each.accuracy.low is not None]

    def draw(sheet: Any) -> None:
        axes = sheet.subplots()
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
        x, y = [each.mean for each in bins], [each.accuracy.value for each in bins]
        ends = [
            [each.accuracy.value - (each.accuracy.low or 0.0) for each in bins if each.accuracy.value is not None],
            [(each.accuracy.high or 0.0) - each.accuracy.value for each in bins if each.accuracy.value is not None],
        ]
        axes.errorbar(x, y, yerr=ends, fmt="o-", color=BLUE, capsize=3)
        for each in bins:
            axes.annotate(
                f"{each.accuracy.n:,}",
                (each.mean, each.accuracy.value),
                xytext=(5, -11),
                textcoords="offset points",
                fontsize=8,
            )
        axes.set_xlabel("probability of the predicted class")
        axes.set_ylabel("accuracy")
        axes.set_xlim(max(0.0, min(x, default=0.0) - 0.05), 1.02)
        axes.set_ylim(0, 1.05)

    spoken = "; ".join(f"{number(each.mean, 2)}: {interval(each.accuracy, 2)}" for each in bins)
    return Figure(
        name="reliability",
        svg=draw_svg("reliability", (WIDTH * 0.7, 3.2), draw),
        alt=f"Accuracy by the probability of the predicted class: {spoken}",
        caption="Accuracy with its 95 % interval (Wilson, effective n) by the mean probability of the predicted class, in bins of equal "
        "width; numbers: examples. On the dotted line probability is accuracy; below it the model is surer than it is right.",
    )


def where(contrast: Contrast) -> str:
    """One line for the contents."""
    return f"{contrast.name}: {contrast.n:,} against {contrast.others:,}"


def error_share(strategy: Strategy) -> str:
    """How many of it are errors."""
    return next((interval(each.rate) for each in strategy.shares if each.name == "misclassified"), "")
