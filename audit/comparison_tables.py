"""A comparison of two runs as tables on the terminal; text from data is cleaned."""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from audit.comparison import Comparison, Flips, Moved, Predictions
from audit.report.text import interval, p_value, percent, plural, shorten
from audit.stats.changes import INDEPENDENT
from audit.store.compared import SAME

WIDTH: Final = 150
LONGEST: Final = 120  # characters of a cell


def print_comparison(made: Comparison) -> None:
    """On standard output: what went in, verdicts, estimates, predictions."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    console.print(Text(shorten(f"before: {made.before}; after: {made.after}", 200)))
    _went_in(console, made)
    _verdicts(console, made)
    _estimates(console, made)
    if made.predictions:
        _predictions(console, made.predictions)


def _verdicts(console: Console, made: Comparison) -> None:
    """Of findings that both runs have; the others are counted."""
    cells = [(each.finding, each.before, each.after) for each in made.verdicts if each.before and each.after]
    if cells:
        console.print(_rows("verdicts that changed", ("finding", "before", "after"), cells))
    else:
        console.print(Text("no verdict of a finding in both runs changed"))
    only = [f"{n} only {when}" for when, n in (
        ("before", sum(each.after is None for each in made.verdicts)), ("after", sum(each.before is None for each in made.verdicts)),
    ) if n]  # fmt: skip
    if only:
        console.print(Text(f"findings that one run alone has: {', '.join(only)} (--json names them)"))


def _went_in(console: Console, made: Comparison) -> None:
    odd = [each for each in made.inputs if each.state != SAME]
    if odd:
        cells = ((each.name, each.state, each.before, each.after) for each in odd)
        console.print(_rows("what went in, where it is not the same", ("input", "state", "before", "after"), cells))
    same = [each.name for each in made.inputs if each.state == SAME]
    console.print(Text(shorten(f"went in as it did: {', '.join(same) or 'nothing'}", 2_000)))
    if made.settings:
        values = ((each.name, str(each.before), str(each.after)) for each in made.settings)
        console.print(_rows("settings that differ", ("setting", "before", "after"), values))
    counted = ", ".join(f"{n:,} {name}" for name, n in made.examples.items())
    console.print(Text(f"examples: {counted or f'not paired, {made.apart}'}"))


def _estimates(console: Console, made: Comparison) -> None:
    """In the order of the comparison; those that have a number."""
    told = [each for each in made.moved if each.change.value is not None]
    table = Table(
        title=f"changes of estimates, after - before (alpha {made.alpha:.3g} a question); gated questions first",
        title_justify="left",
    )
    for column in ("finding", "before", "after", "change", "adjusted p", "change shown", "method"):
        table.add_column(column, overflow="fold")
    for each in told:
        table.add_row(*map(_cell, _estimate(each)))
    if told:
        console.print(table)
    shown = sum(each.significant for each in told)
    console.print(
        Text(
            f"{shown} of {plural(len(told), 'change')} shown; corrected by Holm within each question, intervals at its level"
        )
    )
    if any(each.method == INDEPENDENT for each in told):
        why = Counter(each.why for each in told if each.method == INDEPENDENT)
        reasons = "; ".join(f"{reason} {n}" for reason, n in why.items())
        console.print(Text(shorten(
            f"MOVER takes the runs as independent, so that its intervals are wider than they need be where runs share data ({reasons})", 400
        )))  # fmt: skip
    without = Counter(each.change.reason for each in made.moved if each.change.value is None)
    for reason, n in without.items():
        console.print(Text(shorten(f"no change can be told of {plural(n, 'finding')}: {reason}", 400)))


def _estimate(each: Moved) -> tuple[str, ...]:
    unsure = " (no interval)" if each.change.low is None else ""
    return (
        each.finding, interval(each.before), interval(each.after), f"{interval(each.change)}{unsure}", p_value(each.p_adjusted),
        "yes" if each.significant else "no", each.method,
    )  # fmt: skip


def _predictions(console: Console, made: Predictions) -> None:
    p = p_value(made.mcnemar.p)
    moved = [each for each in made.flips if each.ids or not each.attribute]
    console.print(_flips(moved))
    if len(made.flips) > len(moved):
        console.print(Text(f"and no prediction of {plural(len(made.flips) - len(moved), 'other group')} changed"))
    tested = f"exact McNemar p {p}" if made.mcnemar.p is not None else "McNemar: none became right or wrong"
    console.print(Text(
        f"accuracy of the examples in both changes by {interval(made.accuracy)} ({percent(made.accuracy.level)} interval); "
        f"{made.mcnemar.gained} became right, {made.mcnemar.lost} wrong, {tested}; {made.counted}"
    ))  # fmt: skip
    if made.relabelled:
        console.print(Text(f"{plural(made.relabelled, 'example')} have another label now"))
    if made.flips[0].ids:
        console.print(Text("their ids: lrp-audit compare --json"))


def _flips(found: Sequence[Flips]) -> Table:
    cells = (
        (each.attribute, each.group, f"{each.examples:,}", *(f"{n:,}" for n in (len(each.ids), each.mended, each.broken, each.otherwise)))
        for each in found
    )  # fmt: skip
    columns = ("attribute", "group", "examples", "changed", "became right", "became wrong", "wrong otherwise")
    return _rows("predictions that changed", columns, cells)


def _rows(title: str, columns: Sequence[str], cells: Iterable[Sequence[str | None]]) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*map(_cell, row))
    return table


def _cell(value: str | None) -> Text:
    return Text("–" if value is None else shorten(value, LONGEST))
