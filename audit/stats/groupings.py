"""Which groups of examples are compared with which: by attribute, by what texts mention, by combinations of attributes.

Groups too small to test are set aside and named, so that a stray value neither hides nor turns a pair into one against the rest.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from audit.config import Statistics
from audit.stats.cases import NO_GROUP, Evidence
from audit.stats.intervals import BoolArray
from audit.tables import TIMES, UNKNOWN, IntArray

MENTIONED: Final = " (mentioned)"


@final
@dataclass(frozen=True, slots=True)
class Grouping:
    """Groups `names` of at least `smallest` examples, and the `pairs` compared; `small` are the other groups' sizes."""

    attribute: str
    column: NDArray[np.str_]
    names: tuple[str, ...]
    small: Mapping[str, int]
    pairs: tuple[tuple[str, str], ...]
    smallest: int
    reference: str | None = None
    code: IntArray = field(init=False)
    opened: dict[str, float | None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """`code` `[n]` is the place of each row's group in `names`, -1 for none of them."""
        found = np.full(len(self.column), -1)
        for i, name in enumerate(self.names):
            found[self.column == name] = i
        object.__setattr__(self, "code", found)

    @property
    def attributes(self) -> tuple[str, ...]:
        """Whose groups these are: more than one attribute where they are crossed."""
        return tuple(self.attribute.replace(MENTIONED, "").split(TIMES))

    @property
    def known(self) -> BoolArray:
        """Rows of a group that is compared."""
        return np.asarray(self.code >= 0)

    def rows(self, name: str, other: str) -> BoolArray:
        """Rows that a pair compares."""
        places = [i for i, group in enumerate(self.names) if group in (name, other)]
        return self.known if other == "rest" else np.isin(self.code, places)

    def omnibus(self, key: str, test: Callable[[], float | None]) -> float | None:
        """p of no difference between any of more than two groups, tested once per `key`; None for two."""
        if len(self.names) > 2 and key not in self.opened:
            self.opened[key] = test()
        return self.opened.get(key)

    @property
    def unknown(self) -> BoolArray:
        """Rows whose group is missing."""
        return np.asarray(self.column == UNKNOWN)

    def supposing(self, one: BoolArray, name: str, other: str) -> NDArray[np.str_]:
        """The column if all unknown rows of `one` were `name`, and the other unknown ones were `other`."""
        second = next(group for group in self.names if group != name) if other == "rest" else other
        return np.where(self.unknown, np.where(one, name, second), self.column)

    @property
    def set_aside(self) -> list[str]:
        """Why some groups are not compared, or none is."""
        listed = ", ".join(f"{name} {n}" for name, n in self.small.items())
        few = [f"fewer than {self.smallest} examples: {listed}"] if self.small else []
        if self.reference in self.small and self.pairs:
            few.append(f"{self.reference} is the declared reference, so the other groups are compared without it")
        return few or ([] if self.pairs else ["fewer than two groups occur"])


def groupings(evidence: Evidence) -> tuple[Grouping, ...]:
    """Every attribute that texts mention or the data have, then the declared combinations."""
    return compared(joined_columns(evidence.mentions, evidence.examples.attributes), evidence.config.statistics)


def compared(columns: Mapping[str, NDArray[np.str_]], statistics: Statistics) -> tuple[Grouping, ...]:
    """The same before there is evidence, of `columns` with the group of each example `[n]`."""
    declared = statistics.reference
    return tuple(
        group_by(
            name, column, smallest=statistics.min_group_size,
            reference=declared.get(name, declared.get(name.removesuffix(MENTIONED))),
        )
        for name, column in {**columns, **dict(_crossed(columns, statistics))}.items()
    )  # fmt: skip


def joined_columns(
    mentions: Mapping[str, NDArray[np.str_]], attributes: Mapping[str, NDArray[np.str_]]
) -> dict[str, NDArray[np.str_]]:
    """Group of each example by what its text mentions and by the data's own columns."""
    return {**{f"{name}{MENTIONED}": column for name, column in mentions.items()}, **attributes}


def group_by(attribute: str, column: NDArray[np.str_], *, smallest: int, reference: str | None = None) -> Grouping:
    """Compare each group with `reference` if that is large enough, two groups with each other, more with the rest."""
    found, sizes = np.unique(column[~np.isin(column, NO_GROUP)], return_counts=True)
    counts = dict(zip(found.tolist(), sizes.tolist(), strict=True))
    names = tuple(name for name, n in counts.items() if n >= smallest)
    small = {name: n for name, n in counts.items() if n < smallest}
    if reference in names:
        pairs = tuple((name, str(reference)) for name in names if name != reference)
    elif len(names) == 2:
        pairs = ((names[0], names[1]),)
    else:
        pairs = tuple((name, "rest") for name in names if len(names) > 2)
    return Grouping(attribute, column, names, small, pairs, smallest, reference)


def _crossed(columns: Mapping[str, NDArray[np.str_]], statistics: Statistics) -> Iterator[tuple[str, NDArray[np.str_]]]:
    """`a × b` of the values of a and b; unknown where one of them is."""
    for declared in statistics.intersections:
        names = [name if name in columns else f"{name}{MENTIONED}" for name in declared]
        parts = [columns[name] for name in names]
        unknown = np.any([np.isin(part, NO_GROUP) for part in parts], axis=0)
        joined = np.array(
            [TIMES.join(values) for values in zip(*(part.tolist() for part in parts), strict=True)], dtype=np.str_
        )
        yield TIMES.join(names), np.where(unknown, UNKNOWN, joined)
