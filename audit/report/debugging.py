"""What the page for debugging shows of a record: maps of contrasts, how far confidence can be trusted, errors beside neighbours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from audit.records import AuditRecord, Estimate, Exhibit
from audit.records.debugging import ERRORS, Concept, FeatureGap, Strategy
from audit.report import page
from audit.report.figures import WIDTH, Figure
from audit.report.maps import cell_maps
from audit.report.svg import BLUE, GREY, draw_svg
from audit.report.text import interval, number, shorten

MOST_MAPS: Final = 6
MOST_DECLARED: Final = 8  # features a cell of a table
MOST_CLASSES: Final = 12  # in a table of confusion
MOST_GROUPS: Final = 40


def told(record: AuditRecord) -> list[str] | None:
    """Names of flagged slices that a report may tell: errors and right examples, inside and outside, are enough to count; None where
    nothing was asked."""
    if record.debug is None:
        return None
    k, used = page.smallest_cell(record), record.data.used
    wrong = used - sum(cells.get(true, 0) for true, cells in record.debug.confusion[0].cells.items())
    found = []
    for each in record.debug.slices:
        n = each.rate.n or 0
        counts = (each.errors, n - each.errors, wrong - each.errors, used - n - (wrong - each.errors))
        if each.flagged and min(counts) >= k:
            found.append(" and ".join(each.conditions))
    return found


@final
@dataclass(frozen=True, slots=True)
class Cards:
    """What is shown, as far as the page has room: errors beside their neighbours, prototypes by strategy, examples by concept."""

    errors: tuple[tuple[page.Card, page.Card | None, float | None], ...]
    strategies: tuple[tuple[Strategy, tuple[page.Card, ...]], ...]
    concepts: tuple[tuple[Concept, tuple[page.Card, ...]], ...]


def cards(record: AuditRecord) -> Cards:
    """None where the config hides the dataset."""
    assert record.debug is not None
    if not page.shows_text(record):
        return Cards((), (), ())
    room = _Room()
    beside = {each.id: each for each in record.debug.neighbours}
    errors = list[tuple[page.Card, page.Card | None, float | None]]()
    for exhibit in record.exhibits:
        neighbour = beside.get(exhibit.id)
        other = neighbour.exhibit if neighbour else None
        if room.takes(exhibit, *([other] if other else [])):
            similarity = neighbour.similarity if neighbour else None
            errors.append((page.card(exhibit), page.card(other) if other else None, similarity))
    strategies = [
        (each, tuple(map(page.card, each.exhibits))) for each in record.debug.strategies if room.takes(*each.exhibits)
    ]
    concepts = [
        (each, tuple(map(page.card, each.exhibits))) for each in record.debug.concepts if room.takes(*each.exhibits)
    ]
    return Cards(
        tuple(errors), tuple(each for each in strategies if each[1]), tuple(each for each in concepts if each[1])
    )


class _Room:
    """Not frozen: what is left of the page's size, in characters of pictures and in tokens; it lives inside one call."""

    def __init__(self) -> None:
        self.pictures, self.tokens = page.MOST_PICTURES, page.MOST_TOKENS

    def takes(self, *exhibits: Exhibit) -> bool:
        """Whether they still fit; then they take their room."""
        pictures = sum(len(each.picture) for each in exhibits)
        tokens = sum(min(len(each.tokens), page.MOST_TOKENS_EACH) for each in exhibits)
        if pictures > self.pictures or tokens > self.tokens:
            return False
        self.pictures, self.tokens = self.pictures - pictures, self.tokens - tokens
        return True


def differs(one: Exhibit, other: Exhibit) -> str:
    """What argues for the wrong class more here than in the neighbour, the most first."""
    mine, theirs = _by_name(one), _by_name(other)
    gap = {name: mine.get(name, 0.0) - theirs.get(name, 0.0) for name in mine.keys() | theirs.keys()}
    first = sorted((name for name in gap if gap[name] > 0), key=lambda name: (-gap[name], name))[:4]
    named = ", ".join(
        f"{shorten(name)} {number(mine.get(name, 0.0), 2)} against {number(theirs.get(name, 0.0), 2)}" for name in first
    )
    return f"More for {one.predicted} in the error than here: {named or 'nothing'}"


def _by_name(exhibit: Exhibit) -> Mapping[str, float]:
    if exhibit.regions:
        return {region.name: region.net for region in exhibit.regions if region.net is not None}
    found: dict[str, float] = {}
    for token in exhibit.tokens:
        name = token.text.strip().lower()
        found[name] = found.get(name, 0.0) + token.relevance
    return found


def matrix(record: AuditRecord) -> bool:
    """Whether the classes are few enough for a table of confusion."""
    return len(record.model.classes) <= MOST_CLASSES


def confusions(record: AuditRecord) -> list[tuple[str, str, int]]:
    """The most frequent pairs of true and predicted class of all errors."""
    assert record.debug is not None
    cells = record.debug.confusion[0].cells
    pairs = [(true, other, n) for true, row in cells.items() for other, n in row.items() if true != other]
    return sorted(pairs, key=lambda each: (-each[2], each))[:MOST_GROUPS]


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
        "here more; blue: less.",
        unit="share, less that of all others",
    )


def contrast_maps(record: AuditRecord) -> Figure | None:
    """Mean difference maps of photographs: errors minus right ones of the same class, towards the wrong class."""
    assert record.debug is not None
    every = (*record.debug.contrasts, *record.debug.hesitation)
    shown = [each for each in every if each.cells and not each.group][:MOST_MAPS]
    if not shown:
        return None
    panels = {f"{each.name} (n = {each.n:,} − {each.others:,})": np.array(each.cells) for each in shown}
    return cell_maps(
        "contrast-maps",
        panels,
        record.regions,
        "First side minus second: mean of R over sum |R| per cell, towards the wrong (or second) class. Orange argues for it, blue "
        "for the true (or first) one. Description, not a test.",
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


def strongest(declared: Sequence[FeatureGap]) -> tuple[list[FeatureGap], int]:
    """Of declared features those with the largest differences, either sign, and how many are left out."""
    ranked = sorted(declared, key=lambda each: (-abs(each.estimate.value or 0.0), each.name))
    return ranked[:MOST_DECLARED], max(0, len(ranked) - MOST_DECLARED)


def relied(strategy: Strategy) -> tuple[list[tuple[str, Estimate]], int]:
    """The declared features on which a strategy relies most where they are there, and how many are left out."""
    ranked = sorted(strategy.relies.items(), key=lambda item: (-(item[1].value or 0.0), item[0]))
    return ranked[:MOST_DECLARED], max(0, len(ranked) - MOST_DECLARED)


def error_share(strategy: Strategy) -> str:
    """How many of it are errors."""
    return next((interval(each.rate) for each in strategy.shares if each.name == ERRORS), "")
