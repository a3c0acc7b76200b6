"""The examples of one finished run, as its table has them, and which of them another run holds too."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from audit.config import Statistics
from audit.records import AuditRecord
from audit.stats.groupings import joined_columns
from audit.stats.intervals import coded
from audit.tables import IntArray

Columns = Mapping[str, NDArray[Any]]
TOLERANCE: Final = 1e-6
"""By how much an estimate that is made again from a table of examples may differ from that in the record."""
NEEDED: Final = frozenset(("id", "label", "predicted", "correct", "confidence", "cluster"))


@final
@dataclass(frozen=True, slots=True)
class Examples:
    """The examples of one run `[n]`: the columns of its table, which of them are attributes, and what its effects are measured in."""

    columns: Columns
    attributes: tuple[str, ...]
    favoured: str
    scale: float
    statistics: Statistics

    @property
    def id(self) -> NDArray[Any]:
        """As text."""
        return self.columns["id"].astype(str)

    def groups(self) -> Mapping[str, NDArray[np.str_]]:
        """The group of each example by attribute, as the audit names them."""
        mentioned = {
            name.removeprefix("mentions."): values.astype(str)
            for name, values in self.columns.items()
            if name.startswith("mentions.")
        }
        return joined_columns(mentioned, {name: self.columns[name].astype(str) for name in self.attributes})


def examples_of(record: AuditRecord, columns: Columns | None) -> Examples | None:
    """The examples of a finished run; settings that this release does not know are left out. None without the columns of this release."""
    if columns is None or not columns.keys() >= NEEDED:
        return None
    given = record.config.get("statistics")
    known = given if isinstance(given, Mapping) else {}
    try:
        statistics = Statistics.model_validate({name: known[name] for name in Statistics.model_fields if name in known})
    except ValidationError:  # of another release; what these settings do not give again is not paired
        statistics = Statistics()
    target = record.config.get("target")
    favoured = str(target.get("favour")) if isinstance(target, Mapping) else ""
    attributes = tuple(name for name in record.data.attributes if name in columns)
    return Examples(columns, attributes, favoured, record.model.logit_sd, statistics)


def same_clusters(one: NDArray[Any], two: NDArray[Any]) -> bool:
    """Whether two columns of clusters put the same rows `[n]` together."""
    (a, first), (b, second) = coded(one), coded(two)
    return first == second == len(np.unique(a * (int(b.max()) + 1) + b))


def both(one: Examples, two: Examples) -> tuple[IntArray, IntArray]:
    """The rows of the examples that both runs hold, in one order."""
    _, before, after = np.intersect1d(one.id, two.id, assume_unique=True, return_indices=True)
    return before, after
