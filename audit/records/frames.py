"""Parts of a record as pandas tables, for notebooks."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.records.base import Estimate
from audit.records.debugging import ERRORS, Contrast, Debugging, FeatureGap, LabelProblem
from audit.records.findings import Finding

if TYPE_CHECKING:
    import pandas as pd


def findings(rows: Iterable[Finding]) -> "pd.DataFrame":
    """A row a finding: question, attribute, groups, verdict, estimate with its interval, p, grade."""
    return _frame((
        {
            "id": each.id, "question": each.question, "attribute": each.attribute, "groups": " - ".join(each.groups),
            "verdict": each.verdict.value, **_estimate(each.estimate), "n": each.estimate.n, "unit": each.estimate.unit,
            "margin": each.margin,
            "p": each.test.p, "p_adjusted": each.test.p_adjusted, "grade": each.grade and each.grade.value, "fragile": each.fragile,
        }
        for each in rows),
        ("id", "question", "attribute", "groups", "verdict", *_ends("estimate"), "n", "unit", "margin", "p", "p_adjusted", "grade",
         "fragile"),
    )  # fmt: skip


def slices(debug: Debugging) -> "pd.DataFrame":
    """A row a slice: its conditions, errors, error rate, gap to all other examples."""
    return _frame((
        {
            "slice": " and ".join(each.conditions), "n": each.rate.n, "errors": each.errors, **_estimate(each.rate, "rate"),
            **_estimate(each.gap, "gap"),
            "p_adjusted": each.p_adjusted, "flagged": each.flagged,
        }
        for each in debug.slices),
        ("slice", "n", "errors", *_ends("rate"), *_ends("gap"), "p_adjusted", "flagged"),
    )  # fmt: skip


def contrasts(found: Iterable[Contrast]) -> "pd.DataFrame":
    """A row a feature that is listed: the comparison, whether it argues for the wrong class or is missing for the true one."""
    return _frame((
        {
            "contrast": each.name, "what": what, "feature": one.name, **_estimate(one.estimate), "holders": one.holders,
            "p_adjusted": one.p_adjusted, "declared": one.declared,
        }
        for each in found
        for what, listed in (("argued", each.argued), ("missing", each.missing))
        for one in listed),
        ("contrast", "what", "feature", *_ends("estimate"), "holders", "p_adjusted", "declared"),
    )  # fmt: skip


def clusters(debug: Debugging) -> "pd.DataFrame":
    """A row a strategy: size, share of errors, what it looks at, what it is flagged for."""
    return _frame((
        {
            "strategy": each.key, "n": each.n,
            **_estimate(next(share.rate for share in each.shares if share.name == ERRORS), "error_rate"),
            "looks_at": _names(each.looks), "flagged": bool(each.flagged), "flagged_for": ", ".join(each.flagged),
            "prototypes": ", ".join(each.prototypes),
        }
        for each in debug.strategies),
        ("strategy", "n", *_ends("error_rate"), "looks_at", "flagged", "flagged_for", "prototypes"),
    )  # fmt: skip


def neighbours(debug: Debugging) -> "pd.DataFrame":
    """A row a shown error: the nearest right example of its true class."""
    return _frame(
        ({"id": each.id, "neighbour": each.neighbour, "similarity": each.similarity} for each in debug.neighbours),
        ("id", "neighbour", "similarity"),
    )


def labels(debug: Debugging) -> "pd.DataFrame":
    """A row an example whose label looks wrong."""
    return _frame((each.model_dump() for each in debug.labels), tuple(LabelProblem.model_fields))


def errors(folder: Path) -> "pd.DataFrame":
    """The misclassified rows of `examples.parquet`."""
    import pandas as pd

    table = pd.read_parquet(folder / "examples.parquet")
    return table[~table["correct"]].reset_index(drop=True)


def _frame(rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> "pd.DataFrame":
    """The columns are there without rows too."""
    import pandas as pd

    return pd.DataFrame(list(rows), columns=columns)


def _ends(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"


def _estimate(estimate: Estimate, name: str = "estimate") -> dict[str, Any]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _names(features: Iterable[FeatureGap]) -> str:
    return ", ".join(each.name for each in features)
