"""Usable rows as columns while they are read: numbers, codes of names, and payloads on disk.

Cost: about 200 bytes of memory a row, most of it the set of ids, of which none may come twice.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from audit.data.spool import Spool
from audit.tables import FloatArray, IntArray


@final
@dataclass(frozen=True, slots=True)
class Usable:
    """What one usable row holds beside its payload."""

    id: str
    label: int
    cluster: str
    attributes: Sequence[str]
    covariates: Sequence[float]


@final
@dataclass(slots=True)
class Names:
    """Not frozen: a column of names that grows, each distinct one kept once."""

    places: dict[str, int] = field(default_factory=dict)
    codes: "array[int]" = field(default_factory=lambda: array("i"))

    def add(self, name: str) -> None:
        """The name of the next row."""
        self.codes.append(self.places.setdefault(name, len(self.places)))

    def of(self, rows: IntArray) -> NDArray[np.str_]:
        """Of the chosen rows."""
        used, inverse = np.unique(np.array(self.codes)[rows], return_inverse=True)
        names = list(self.places)
        return np.array([names[code] for code in used.tolist()], dtype=np.str_)[inverse]

    def clusters(self, rows: IntArray) -> tuple[IntArray, int]:
        """Numbers 0, 1, ... in the order of the chosen rows' names, then a new one for every blank; and how many are blank."""
        codes, names = np.array(self.codes)[rows], list(self.places)
        used = sorted((names[code], code) for code in np.unique(codes).tolist() if names[code])
        numbers = np.full(len(names), -1, dtype=np.int64)
        numbers[[code for _, code in used]] = np.arange(len(used))
        found = numbers[codes]
        blank = found < 0
        found[blank] = len(used) + np.arange(blank.sum())
        return found, int(blank.sum())


@final
@dataclass(slots=True)
class Gathered:
    """Not frozen: it grows by one row after the other; `number` counts data rows from 1, `line` those of the file, or is 0."""

    attributes: tuple[Names, ...]
    covariates: "tuple[array[float], ...]"
    ids: dict[str, None] = field(default_factory=dict)
    number: "array[int]" = field(default_factory=lambda: array("q"))
    line: "array[int]" = field(default_factory=lambda: array("q"))
    label: "array[int]" = field(default_factory=lambda: array("q"))
    cluster: Names = field(default_factory=Names)
    payload: Spool = field(default_factory=Spool)

    @classmethod
    def empty(cls, attributes: int, covariates: int) -> "Gathered":
        """Of as many columns."""
        return cls(tuple(Names() for _ in range(attributes)), tuple(array("d") for _ in range(covariates)))

    def __len__(self) -> int:
        return len(self.label)

    def add(self, number: int, line: int, row: Usable, packed: bytes) -> None:
        """The next usable row, whose id is new."""
        self.payload.add(packed)
        self.ids[row.id] = None
        self.number.append(number)
        self.line.append(line)
        self.label.append(row.label)
        self.cluster.add(row.cluster)
        for names, name in zip(self.attributes, row.attributes, strict=True):
            names.add(name)
        for numbers, value in zip(self.covariates, row.covariates, strict=True):
            numbers.append(value)

    def covariate(self, k: int, rows: IntArray) -> FloatArray:
        """Numbers of the chosen rows, NaN where missing."""
        return np.asarray(np.array(self.covariates[k], dtype=float)[rows])

    def names(self, rows: IntArray) -> NDArray[np.str_]:
        """Ids of the chosen rows."""
        every = list(self.ids)
        return np.array([every[i] for i in rows.tolist()], dtype=np.str_)
