"""`lrp-audit check`: everything that can be known before a run, with one strict batch through the engine."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from rich.console import Console
from rich.table import Table

from audit.data.terms import words
from audit.loading import load_config
from audit.preparation import Prepared, count_declared, prepare, protocol_sha256
from audit.records import TermCount
from audit.relevance import Explained, explain_texts
from audit.stats.families import below_chance
from audit.stats.intervals import wilson

SAMPLE = 32
WIDTH = 150


@final
@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do; `seconds` is extrapolated from `SAMPLE` texts."""

    prepared: Prepared
    sample: Explained
    terms: tuple[TermCount, ...]
    seconds: float
    warnings: tuple[str, ...]


def plan(config: Path, overrides: Sequence[str] = ()) -> Plan:
    """Load everything, count the declared terms, and explain a few texts strictly (an uncovered operation raises)."""
    prepared = prepare(load_config(config, overrides))
    texts = prepared.texts
    chosen = np.linspace(0, len(texts) - 1, min(SAMPLE, len(texts))).astype(int).tolist()
    _explain(prepared, chosen)  # warms up: the first pass of a process is slow
    start = time.perf_counter()
    sample = _explain(prepared, chosen)
    seconds = (time.perf_counter() - start) * len(texts) / len(chosen)
    right = sample.scores.argmax(1) == prepared.data.label[chosen]
    accuracy = wilson(right, cluster=prepared.data.cluster[chosen], unit="accuracy")
    return Plan(prepared, sample, count_declared(prepared), seconds, below_chance(accuracy, prepared.model.classes))


def _explain(prepared: Prepared, chosen: Sequence[int]) -> Explained:
    return explain_texts(
        prepared.explainer,
        [prepared.texts[i] for i in chosen],
        [prepared.matches[i] for i in chosen],
        prepared.declared,
        words=words,
        batch_tokens=prepared.config.model.batch_tokens,
    )


def print_plan(made: Plan) -> None:
    """The plan on standard output: data, model, rules, terms a group, what will not be testable, time."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    prepared, data = made.prepared, made.prepared.data
    console.print(f"config ok, protocol {protocol_sha256(prepared.config)[:12]}")
    excluded = ", ".join(f"{reason} {n}" for reason, n in data.excluded.items()) or "none"
    console.print(f"data: {len(data)} of {data.rows} rows used; excluded: {excluded}", markup=False)
    classes = ", ".join(prepared.model.classes)
    console.print(
        f"model: {prepared.model.architecture}, {prepared.model.parameters:,} parameters, classes {classes}",
        markup=False,
    )
    for row in made.sample.ledger:
        chosen = f" ({row.used})" if row.composite == "auto" else ""
        count = sum(made.sample.rules[row.composite].values())
        console.print(f"{row.composite}{chosen}: every operation has a rule ({count} intercepted)", markup=False)
    console.print(_groups(made))
    for warning in made.warnings:
        console.print(f"WARNING (from {SAMPLE} texts): {warning}", style="bold", markup=False)
    console.print(f"estimated time of the relevance stage: {made.seconds:.0f} s")


def _groups(made: Plan) -> Table:
    """Groups with a term in the data; those without are in the last row."""
    statistics, empty = made.prepared.config.statistics, []
    table = Table(
        "attribute", "group", "terms seen", f"in {statistics.min_examples_per_term}+ examples", "enough terms"
    )
    for attribute, group in made.prepared.declared:
        mine = [term for term in made.terms if (term.attribute, term.group) == (attribute, group)]
        tested = sum(term.tested for term in mine)
        verdict = (
            "yes" if tested >= statistics.min_terms else f"no: relevance NOT TESTABLE below {statistics.min_terms}"
        )
        if mine:
            table.add_row(attribute, group, str(len(mine)), str(tested), verdict)
        else:
            empty.append(f"{attribute}.{group}")
    if empty:
        table.add_row("(any)", f"no term seen: {', '.join(empty)}", "0", "0", "no")
    return table
