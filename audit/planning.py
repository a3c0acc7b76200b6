"""`lrp-audit check`: everything that can be known before a run, with one strict batch through the engine."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from audit.cost import Cost, estimate
from audit.loading import load_config
from audit.notification import unset
from audit.preparation import declared, prepare, protocol_sha256
from audit.records import Estimate, LedgerSummary
from audit.relevance.methods import Method
from audit.relevance.sums import Explained
from audit.report.text import clean, count, interval, number, plural, shorten
from audit.stats.families import below_chance
from audit.stats.prospects import Outlook, Prospect, Showing, outlook
from audit.stats.rates import wilson
from audit.tasks.task import Task

SAMPLE = 32
WIDTH = 150
MOST_ROWS = 20


@final
@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do; `sample` is of `SAMPLE` examples."""

    task: Task[Any]
    sample: Explained
    cost: Cost
    accuracy: Estimate
    warnings: tuple[str, ...]


def plan(config: Path, overrides: Sequence[str] = ()) -> Plan:
    """Load everything, count the declared terms, and explain a few examples strictly (an uncovered operation raises)."""
    task = prepare(load_config(config, overrides))
    data = task.data
    chosen = np.linspace(0, len(data) - 1, min(SAMPLE, len(data))).astype(int).tolist()
    sample = task.sample(chosen)
    right = sample.scores.argmax(1) == data.label[chosen]
    accuracy = wilson(right, cluster=data.cluster[chosen], unit="accuracy")
    return Plan(task, sample, estimate(task), accuracy, below_chance(accuracy, task.model.classes))


def print_plan(made: Plan) -> None:
    """The plan on standard output: data, model, rules, terms a group, what will not be testable, time."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    task, data, config = made.task, made.task.data, made.task.loaded.config
    console.print(f"config ok, protocol {protocol_sha256(config, declared(task))[:12]}")
    console.print(f"data: {len(data)} of {data.rows} rows used", markup=False)
    for reason, n in data.excluded.items():
        first = next(row for row in data.quarantined if row.reason == reason)
        console.print(f"excluded: {reason} {n}, the first: row {first.row}: {clean(first.detail)}", markup=False)
    classes = ", ".join(task.model.classes)
    console.print(
        f"model: {task.model.architecture}, {task.model.parameters:,} parameters, classes {classes}",
        markup=False,
    )
    for row in made.sample.ledger():
        console.print(_how(made, row), markup=False)
    accuracy = interval(made.accuracy)
    console.print(f"accuracy on {made.accuracy.n} of the {task.noun}s: {accuracy} (95 % interval)", markup=False)
    console.print(task.plan())
    _print_outlook(console, made)
    for warning in made.warnings:
        console.print(f"WARNING (from {SAMPLE} {task.noun}s): {warning}", style="bold", markup=False)
    for name in unset(config.notify):
        console.print(f"WARNING: notify: the environment variable {name} is not set here", style="bold", markup=False)
    console.print(f"a run takes: {made.cost.sentence}", markup=False, soft_wrap=True)


def _how(made: Plan, row: LedgerSummary) -> str:
    """That every operation has a rule of a composite, or what a method costs."""
    composite = made.task.explainer.composites[row.composite]
    if isinstance(composite, Method):
        return f"{row.composite}: {composite.cost}, for each of {plural(made.task.explanations, 'explanation')}"
    chosen = f" ({row.used})" if row.composite == "auto" else ""
    intercepted = sum(made.sample.rules[row.composite].values())
    return f"{row.composite}{chosen}: every operation has a rule ({intercepted} intercepted)"


def _print_outlook(console: Console, made: Plan) -> None:
    """What each comparison of groups can show, those that can be tested first; nothing where no attribute is known."""
    found = _outlook(made)
    if not found.prospects:
        return
    config = made.task.loaded.config
    margins, statistics = config.margins, config.statistics
    table = Table(
        "attribute", "group", "n", "against", "n", "error rate", f"EQUIVALENT within {margins.outcome:g}",
        "Cliff's delta", f"EQUIVALENT within {margins.disparity:g}",
    )  # fmt: skip
    ordered = sorted(found.prospects, key=lambda prospect: prospect.errors is None)
    for prospect in ordered[:MOST_ROWS]:
        table.add_row(*map(Text, _cells(prospect, statistics.min_group_size)))
    console.print(
        f"smallest differences that the data can show with probability 0.8, and whether EQUIVALENT can be shown if nothing differs; "
        f"n (clusters)\n{plural(found.outcome_tests, 'test')} of rates share alpha {config.alpha_of('outcome'):.3g}, errors taken as "
        f"{_error_rate(made.accuracy):.2f}, and {plural(found.disparity_tests, 'test')} of relevance, for the best feature, "
        f"{config.alpha_of('disparity'):.3g}",
        markup=False,
    )
    console.print(table)
    left = ordered[MOST_ROWS:]
    if left:
        lost = sum(prospect.errors is None for prospect in left)
        console.print(f"and {plural(len(left), 'comparison')} more, {lost} of them NOT TESTABLE", markup=False)


def _outlook(made: Plan) -> Outlook:
    task, rate = made.task, _error_rate(made.accuracy)
    return outlook(task.columns, task.features, cluster=task.data.cluster, error_rate=rate, config=task.loaded.config)


def _error_rate(accuracy: Estimate) -> float:
    """The middle of the interval, which is never 0; a half where there is none."""
    return 0.5 if accuracy.low is None or accuracy.high is None else 1 - (accuracy.low + accuracy.high) / 2


def _cells(prospect: Prospect, smallest: int) -> list[str]:
    units = [
        count(rows) if rows == clusters else f"{count(rows)} ({count(clusters)})"
        for rows, clusters in zip(prospect.units.rows, prospect.units.clusters, strict=True)
    ]
    names = [shorten(name) for name in (prospect.attribute, prospect.group, prospect.other)]
    lacking = f"below {smallest} a side" if min(prospect.units.rows) < smallest else "a side is 1 cluster"
    return [
        names[0], names[1], units[0], names[2], units[1],
        *(_shown(prospect.errors) if prospect.errors else ("NOT TESTABLE", lacking)),
        *(_shown(prospect.delta) if prospect.delta else ("NOT TESTABLE", "no feature" if prospect.errors else lacking)),
    ]  # fmt: skip


def _shown(showing: Showing) -> tuple[str, str]:
    """The smallest difference, and whether EQUIVALENT can be shown."""
    needs = "out of reach" if showing.needs is None else f"needs {count(showing.needs)} a side"
    return "none" if showing.smallest is None else number(showing.smallest), "yes" if showing.enough else needs
