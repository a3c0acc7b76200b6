"""`lrp-audit check`: everything that can be known before a run, with one strict batch through the engine."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from rich.console import Console

from audit.loading import load_config
from audit.preparation import prepare, protocol_sha256
from audit.records import Estimate
from audit.relevance.sums import Explained
from audit.report.text import clean, interval
from audit.stats.families import below_chance
from audit.stats.intervals import wilson
from audit.tasks.task import Task

SAMPLE = 32
WIDTH = 150


@final
@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do; `seconds` is extrapolated from `SAMPLE` examples."""

    task: Task[Any]
    sample: Explained
    seconds: float
    accuracy: Estimate
    warnings: tuple[str, ...]


def plan(config: Path, overrides: Sequence[str] = ()) -> Plan:
    """Load everything, count the declared terms, and explain a few examples strictly (an uncovered operation raises)."""
    task = prepare(load_config(config, overrides))
    data = task.data
    chosen = np.linspace(0, len(data) - 1, min(SAMPLE, len(data))).astype(int).tolist()
    task.sample(chosen)  # warms up: the first pass of a process is slow
    start = time.perf_counter()
    sample = task.sample(chosen)
    seconds = (time.perf_counter() - start) * task.explanations / (len(chosen) * len(task.explainer.names))
    right = sample.scores.argmax(1) == data.label[chosen]
    accuracy = wilson(right, cluster=data.cluster[chosen], unit="accuracy")
    return Plan(task, sample, seconds, accuracy, below_chance(accuracy, task.model.classes))


def print_plan(made: Plan) -> None:
    """The plan on standard output: data, model, rules, terms a group, what will not be testable, time."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    task, data = made.task, made.task.data
    console.print(f"config ok, protocol {protocol_sha256(task.loaded.config)[:12]}")
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
        chosen = f" ({row.used})" if row.composite == "auto" else ""
        count = sum(made.sample.rules[row.composite].values())
        console.print(f"{row.composite}{chosen}: every operation has a rule ({count} intercepted)", markup=False)
    accuracy = interval(made.accuracy)
    console.print(f"accuracy on {made.accuracy.n} of the {task.noun}s: {accuracy} (95 % interval)", markup=False)
    console.print(task.plan())
    for warning in made.warnings:
        console.print(f"WARNING (from {SAMPLE} {task.noun}s): {warning}", style="bold", markup=False)
    console.print(f"estimated time of the relevance stage: {made.seconds:.0f} s")
