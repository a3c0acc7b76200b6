"""People who are selected or not, as an audit sees them, and their impact tables."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from audit.config import Compliance, Config, Data, Model, Region, Statistics, Target
from audit.records import ImpactTable
from audit.stats.cases import Evidence
from audit.stats.impact import impact
from audit.tables import ExampleTable

FAVOURABLE = 1


def evidence(
    predicted: np.ndarray, attributes: Mapping[str, np.ndarray], *, label: np.ndarray | None = None,
    scores: np.ndarray | None = None, cluster: np.ndarray | None = None, intersections: tuple[tuple[str, ...], ...] = (),
    **compliance: Any,
) -> Evidence:  # fmt: skip
    """`scores` `[n, classes]` default to one of two classes; `compliance` are the settings of that block."""
    config = Config(
        name="x", task="image", data=Data(path="x", columns={"attributes": {name: name for name in attributes}}),
        model=Model(path="x"), target=Target(favour="fresh"), regions=(Region(name="r", mask="r"),), gates=("reliance",),
        statistics=Statistics(intersections=intersections), compliance=Compliance(**compliance),
    )  # fmt: skip
    n, made = len(predicted), np.eye(2)[predicted] if scores is None else scores
    examples = ExampleTable(
        np.arange(n).astype(str), predicted if label is None else label, predicted, made[:, 1] - made[:, 0], made,
        np.arange(n) if cluster is None else cluster, attributes,
    )  # fmt: skip
    return Evidence(config, examples, None, {}, {}, {}, ("first",), FAVOURABLE, ("rotten", "fresh"))


def tables(predicted: np.ndarray, attributes: Mapping[str, np.ndarray], **settings: Any) -> dict[str, ImpactTable]:
    """What the audit makes of them, by attribute."""
    return {each.attribute: each for each in impact(evidence(predicted, attributes, **settings))}


def counted(**cells: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Who is selected, and the category of each: `name=(n, selected)`."""
    predicted = [int(i < k) for n, k in cells.values() for i in range(n)]
    return np.array(predicted), np.repeat(list(cells), [n for n, _ in cells.values()])
