"""The tables of the page: by title, what it shows, its columns, and its lines from the evidence."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Final, final

import numpy as np

from audit.config import DEFAULTS
from bench.planted.claims import area_of
from bench.planted.comparing import FEWEST, Evidence
from bench.planted.figures import Figure
from bench.planted.judging import DECISIONS, Rate, Row, named, rate
from bench.planted.summary import BINS, LIMITS, Seen
from bench.planted.units import CONTROLS, LRP, METHODS, NETWORKS, RHOS

Cell = str | Rate | Figure | None
Line = Sequence[Cell]
RIVALS: Final = tuple(method for method in METHODS if method != LRP and method not in CONTROLS)


@final
@dataclass(frozen=True, slots=True)
class Table:
    """A table of the page."""

    words: str
    columns: tuple[str, ...]
    lines: Callable[[Evidence], Iterator[Line]]


def cells(line: Line) -> list[str]:
    """As text, empty where there is nothing."""
    return ["" if cell is None or (isinstance(cell, Rate) and not cell.n) else str(cell) for cell in line]


def _both(evidence: Evidence) -> Iterator[Seen]:
    return (evidence.seen(modality) for modality in RHOS)


def _withheld(evidence: Evidence) -> Iterator[Line]:
    for seen in _both(evidence):
        for column in ("network", "arm"):
            yield from (
                (seen.modality, LRP, f"{column}: {name}", seen.withheld(column, name)) for name in seen.names(column)
            )
        for method in (LRP, *RIVALS):
            found = evidence.seen(seen.modality, method)
            if found.rows:
                yield seen.modality, method, "all", found.withheld()


def _alarms(evidence: Evidence) -> Iterator[Line]:
    for seen in _both(evidence):
        if not seen.nulls:
            continue
        for words, of in (("all", seen), ("answered", seen.answered)):
            rates = (of.false_alarms(each) for each in DECISIONS.values())
            yield f"{seen.modality}: {words}", *rates, of.naive_alarms()
        for arm in dict.fromkeys(row["arm"] for row in seen.nulls):
            yield f"{seen.modality}: {arm}", *(seen.false_alarms(each, arm) for each in DECISIONS.values()), None


def _power(evidence: Evidence) -> Iterator[Line]:
    for seen in _both(evidence):
        for low, high in pairwise(BINS[seen.modality]):
            span = f"{low} to {high}" if high < 9 else f"from {low}"
            rates = (seen.power(low, high, each) for each in DECISIONS.values())
            yield seen.modality, span, *rates, seen.answered.power(low, high)


def _arms(evidence: Evidence) -> Iterator[Line]:
    for seen in _both(evidence):
        for arm, rhos in RHOS[seen.modality].items():  # type: ignore[index]
            for rho in rhos:
                cell = [row for row in seen.rows if (row["arm"], row["rho"]) == (arm, rho)]
                if cell:
                    yield arm, str(rho), *_arm_cells(seen, cell)


def _arm_cells(seen: Seen, cell: Sequence[Row]) -> Iterator[Cell]:
    names = [named(row, seen.decision) for row in cell]
    for key in ("effect", "flips"):
        yield f"{np.mean([abs(row['truth'][key]) for row in cell]):.2f}"
    yield rate(seen.planted in each for each in names)
    yield rate(bool(set(each) - {seen.planted}) for each in names)
    yield rate(bool(row["unexplained"]) for row in cell)


def _agreement(evidence: Evidence) -> Iterator[Line]:
    for seen in _both(evidence):
        others = dict.fromkeys(
            name for row in seen.rows for found in row["findings"].values() for name in found["others"]
        )
        for composite, network in product((None, *others), (None, *NETWORKS[seen.modality])):  # type: ignore[index]
            found = seen.agreement(network, composite)
            if found:
                yield seen.modality, composite or "the first", network or "all", found.spearman, found.slope


def _methods(evidence: Evidence) -> Iterator[Line]:
    for modality, method in product(RHOS, (LRP, *RIVALS)):
        seen, cut = evidence.shared(modality, method), evidence.cut(modality, method)
        if seen.rows:
            least = seen.protocol["truth"]["positive"][modality]
            powers = seen.power(least), f"fewer than {FEWEST} null models" if cut is None else seen.powered_at(cut)
            pairs = (evidence.by_decision, evidence.at_equal_alarms)
            less = [None if method == LRP else of(modality, method) for of in pairs]
            yield modality, method, area_of(seen), seen.false_alarms(), *powers, *less


def _controls(evidence: Evidence) -> Iterator[Line]:
    for modality, method in product(RHOS, CONTROLS):
        seen = evidence.seen(modality, method)
        if seen.rows:
            yield modality, method, area_of(seen), seen.withheld(), seen.false_alarms()


def _cost(evidence: Evidence) -> Iterator[Line]:
    for modality, method in product(RHOS, (LRP, *RIVALS)):
        seen = evidence.shared(modality, method)
        if seen.rows:
            each = (f"{_per_thousand(seen, spent):.1f}" for spent in ("relevance", "audit"))
            ratio = (
                None if method == LRP else evidence.cost(modality, method, spent) for spent in ("relevance", "audit")
            )
            yield modality, method, str(len(seen.rows)), *each, *ratio


def _per_thousand(seen: Seen, spent: str) -> float:
    return float(1000 * np.median([row["seconds"][spent] / row["examples"] for row in seen.rows]))


TABLES: Final[Mapping[str, Table]] = {
    "Verdicts withheld": Table(
        "Audits that ended with exit code 4, because the explanation did not pass its own tests, and gave no verdict on relevance.",
        ("models", "method", "of", "withheld"), _withheld,
    ),
    "False alarms": Table(
        "Null models in which any declared feature is named, by decision. Naive: over examples, Welch's t test of two groups' words, of "
        "regions Student's t test of share and area, p at most .05.",
        ("models", *DECISIONS, "naive test"), _alarms,
    ),
    "Power by effect": Table(
        "Models in which the planted feature is named, of all arms in which it is declared, and under the declared decision of those alone "
        "that were answered. The smallest detectable effect is the |TE| at which a logistic curve reaches .80.",
        ("models", "abs. TE", *DECISIONS, "declared decision, answered"), _power,
    ),
    "By arm and strength": Table(
        "Models named, and the mean |TE| that the strength taught. In no claim, because they show where a question ends: "
        f"{', '.join(LIMITS)}.",
        ("arm", "rho", "mean abs. TE", "mean flips", "planted named", "else named", "gap not explained"), _arms,
    ),
    "Agreement with the truth": Table(
        "Estimate of the planted feature on its TE, with or without a verdict: of texts in the same unit, of images a share of |R|.",
        ("models", "composite", "network", "Spearman", "slope through 0"), _agreement,
    ),
    "Methods": Table(
        "The models that every method is asked to explain. Area: of the size of the estimate, positives against null models. False alarms "
        "and power by the declared decision. Cut: the size that 5 % of the method's null models of the calibration exceed, of fewer than "
        "20 the largest. LRP minus the method: paired over the positives that both explained, by the declared decision, and where each is "
        "cut at that quantile of the same null models. Areas and cuts take estimates whose verdict is withheld as well.",
        ("models", "method", "area under the curve", "false alarms", "power", "power at the cut", "LRP minus it",
         "LRP minus it, at equal false alarms"), _methods,
    ),
    "Controls": Table(
        "Maps that know nothing of what the model relies on, in the place of relevance. An area far from .5 would say that the models give "
        "their truth away; of few models the interval is wide, and holding .5 says little. Of texts, input_size and edges read embeddings, "
        "which are trained. Refused: exit code 4.",
        ("models", "control", "area under the curve", "refused", "false alarms"), _controls,
    ),
    "Cost": Table(
        "Median seconds per 1,000 examples over the models that every method is asked to explain, and LRP's divided by those of the "
        "method, over models that both explained in one go (median, smallest and largest; calibration included). Relevance of LRP is of "
        "all its composites, witnesses included, that of other methods of one map; the whole audit holds tests, checks and report as "
        f"well. Integrated gradients take {DEFAULTS['steps']} steps, Kernel SHAP and LIME {DEFAULTS['samples']} draws.",
        ("models", "method", "n", "relevance", "whole audit", "relevance: LRP / it", "whole audit: LRP / it"), _cost,
    ),
}  # fmt: skip
