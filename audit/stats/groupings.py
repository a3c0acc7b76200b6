"""Which groups of examples are compared with which: by attribute, by what texts mention, by combinations of attributes.

Groups too small to test are set aside and named, so that a stray value neither hides nor turns a pair into one against the rest.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from audit.stats.cases import NO_GROUP, Evidence
from audit.stats.intervals import BoolArray

MENTIONED: Final = " (mentioned)"
TIMES: Final = " × "


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

    @property
    def known(self) -> BoolArray:
        """Rows of a group that is compared."""
        return np.isin(self.column, self.names)

    def rows(self, other: str) -> BoolArray:
        """Rows that a pair with `other` compares, among them those of `other` itself."""
        return self.known if other == "rest" else np.asarray(self.column == other)

    @property
    def set_aside(self) -> list[str]:
        """Why some groups are not compared, or none is."""
        listed = ", ".join(f"{name} {n}" for name, n in self.small.items())
        few = [f"fewer than {self.smallest} examples: {listed}"] if self.small else []
        return few or ([] if self.pairs else ["fewer than two groups occur"])


def groupings(evidence: Evidence) -> tuple[Grouping, ...]:
    """Every attribute, then the declared combinations."""
    statistics = evidence.config.statistics
    columns = {**group_columns(evidence), **dict(_intersections(evidence))}
    return tuple(
        group_by(attribute, column, smallest=statistics.min_group_size, reference=_reference(evidence, attribute))
        for attribute, column in columns.items()
    )


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
    return Grouping(attribute, column, names, small, pairs, smallest)


def group_columns(evidence: Evidence) -> dict[str, NDArray[np.str_]]:
    """Group of each example by what its text mentions and by the data's own columns."""
    mentioned = {f"{name}{MENTIONED}": column for name, column in evidence.mentions.items()}
    return {**mentioned, **evidence.examples.attributes}


def _reference(evidence: Evidence, attribute: str) -> str | None:
    declared = evidence.config.statistics.reference
    return declared.get(attribute, declared.get(attribute.removesuffix(MENTIONED)))


def _intersections(evidence: Evidence) -> Iterator[tuple[str, NDArray[np.str_]]]:
    """`a × b` of the values of a and b; unknown where one of them is."""
    columns = group_columns(evidence)
    for declared in evidence.config.statistics.intersections:
        names = [name if name in columns else f"{name}{MENTIONED}" for name in declared]
        parts = [columns[name] for name in names]
        unknown = np.any([np.isin(part, NO_GROUP) for part in parts], axis=0)
        joined = np.array(
            [TIMES.join(values) for values in zip(*(part.tolist() for part in parts), strict=True)], dtype=np.str_
        )
        yield TIMES.join(names), np.where(unknown, "unknown", joined)
