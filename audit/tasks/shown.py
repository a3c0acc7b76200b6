"""Which examples are shown or kept, and for which classes: errors, neighbours, prototypes of strategies and concepts, driving examples."""

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any, Final

import numpy as np

from audit.debug.groups import told_features
from audit.records import Exhibit, Finding, Verdict
from audit.records.debugging import ERRORS, Debugging
from audit.stats.cases import Evidence
from audit.tables import ExampleTable, FloatArray, IntArray
from audit.tasks.task import Shown

STRATEGIES: Final = 6  # that show prototypes, flagged ones first
EACH: Final = 2  # prototypes of a strategy, and examples of a concept
CONCEPTS: Final = 12
DRIVING: Final = 6  # examples of an end that drive a finding which shows a difference


def kept_rows(
    evidence: Evidence, findings: Sequence[Finding], errors: Sequence[int], beside: Sequence[int], most: int
) -> list[int]:
    """Rows whose explanations a run keeps. First what drives the `findings` that show a difference; then by turns the next of `errors`,
    the next error in the order of confidence, the next of what a report shows `beside`, and what drives all that was summed up.

    What drives: for a declared group the examples whose relevance argues most for and most against the contrast, and those that swapped
    words move most up and down.
    """
    every = _measured(evidence)
    clear = [each.groups for each in findings if each.verdict in (Verdict.BREACH, Verdict.DIFFERENT)]
    first = [values for (_, group), values in every.items() if any(group in groups for groups in clear)]
    surest = sorted(errors, key=lambda i: -evidence.examples.confidence[i])
    rest = _by_turns(errors[:most], surest[:most], beside, _ends(every.values(), most))
    return list(dict.fromkeys([*_ends(first, DRIVING), *rest]))[:most]


def _measured(evidence: Evidence) -> dict[tuple[str, str], tuple[IntArray, FloatArray]]:
    """Rows and values of net relevance of each declared group or region, and of what each swap does, by kind and group."""
    table, told = evidence.groups[evidence.composites[0]], told_features(evidence)
    found: dict[tuple[str, str], tuple[IntArray, FloatArray]] = {
        (f"net.{name}", name.rpartition(".")[2]): (np.arange(len(table.net)), table.net[:, k])
        for k, name in enumerate(table.names)
        if name in told
    }
    for attribute, swaps in evidence.swaps.items():
        for target in dict.fromkeys(swaps.target.tolist()):
            rows = swaps.target == target
            found[f"swap.{attribute}.{target}", target] = swaps.example[rows], swaps.delta[rows]
    return found


def _ends(measured: Iterable[tuple[IntArray, FloatArray]], most: int) -> list[int]:
    """By turns the rows with the largest and the smallest values of each, at most so many of an end."""
    return _by_turns(*(_ordered(*each, most)[::step][:most] for each in measured for step in (1, -1)))


def _by_turns(*orders: Sequence[int]) -> list[int]:
    return list(dict.fromkeys(row for turn in zip_longest(*orders) for row in turn if row is not None))


def _ordered(rows: IntArray, values: FloatArray, most: int) -> list[int]:
    """The rows with the largest values, from the largest, and those with the smallest, to the smallest; what is unknown is left out."""
    known = np.flatnonzero(np.isfinite(values))
    order: list[int] = rows[known[np.argsort(-values[known], kind="stable")]].tolist()
    return order if len(order) <= 2 * most else order[:most] + order[-most:]


def examples_shown(examples: ExampleTable, classes: Sequence[str], rows: Sequence[int]) -> list[Shown]:
    """Each for the predicted minus the true class, or, where that is right, minus the second."""
    found = []
    for i in rows:
        order, label = examples.scores[i].argsort(kind="stable")[::-1].tolist(), int(examples.label[i])
        predicted = int(examples.predicted[i])
        second = label if label != predicted else next(k for k in order if k != predicted)
        found.append(_shown(examples, classes, i, (predicted, second)))
    return found


def others_shown(examples: ExampleTable, classes: Sequence[str], debug: Debugging, target: Any) -> list[Shown]:
    """Neighbours, for the two classes of their error; prototypes, for the predicted minus the second class; and for the explained
    `target`, through their channel alone, the examples of concepts. `with_exhibits` takes what is made of them, in this order."""
    row = {str(name): i for i, name in enumerate(examples.id.tolist())}
    found = []
    for each in debug.neighbours:
        error = row[each.id]
        pair = (int(examples.predicted[error]), int(examples.label[error]))
        found.append(_shown(examples, classes, row[each.neighbour], pair))
    for name in (name for k in _strategies(debug) for name in debug.strategies[k].prototypes[:EACH]):
        first, second = examples.scores[row[name]].argsort(kind="stable")[::-1][:2].tolist()
        found.append(_shown(examples, classes, row[name], (first, second)))
    for concept in debug.concepts[:CONCEPTS]:
        through = {concept.layer: [concept.channel]}
        found += [_shown(examples, classes, row[name], target, through) for name in concept.examples[:EACH]]
    return found


def with_exhibits(debug: Debugging, exhibits: Sequence[Exhibit]) -> Debugging:
    """The same with what is shown; unchanged where nothing may be."""
    if not exhibits:
        return debug
    left = iter(exhibits)
    neighbours = tuple(each.model_copy(update={"exhibit": next(left)}) for each in debug.neighbours)
    strategies = list(debug.strategies)
    for k in _strategies(debug):
        shown = tuple(next(left) for _ in strategies[k].prototypes[:EACH])
        strategies[k] = strategies[k].model_copy(update={"exhibits": shown})
    concepts = tuple(
        each.model_copy(update={"exhibits": tuple(next(left) for _ in each.examples[:EACH])}) if k < CONCEPTS else each
        for k, each in enumerate(debug.concepts)
    )
    return debug.model_copy(update={"neighbours": neighbours, "strategies": tuple(strategies), "concepts": concepts})


def _strategies(debug: Debugging) -> list[int]:
    """Those that hold more errors first, then by size."""
    order = sorted(range(len(debug.strategies)), key=lambda k: (ERRORS not in debug.strategies[k].flagged, k))
    return order[:STRATEGIES]


def _shown(
    examples: ExampleTable, classes: Sequence[str], i: int, target: Any, condition: dict[str, list[int]] | None = None
) -> Shown:
    label, predicted = classes[int(examples.label[i])], classes[int(examples.predicted[i])]
    return Shown(i, str(examples.id[i]), label, predicted, target, condition)
