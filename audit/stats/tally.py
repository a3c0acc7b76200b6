"""How many of each category are selected, and what follows from these counts alone, in exact fractions: no ratio is rounded across .8.

Also between which values a ratio lies, whatever categories the unknown belong to. Cost: microseconds a category.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, final

import numpy as np

from audit.tables import FloatArray

FOUR_FIFTHS: Final = Fraction(4, 5)
STEPS: Final = 100  # halvings: to the precision of a float


@final
@dataclass(frozen=True, slots=True)
class Tally:
    """`selected[i]` of `n[i]` in each category, `unknown_selected` of the `unknown`.

    `rates` are exact; `compared` are the places of the categories that hold `exclude_below` of the known or more; `reference` is the one of
    them with the highest rate, the first of those that tie; None where nobody of them is selected.

    >>> Tally(("a", "b", "c"), (20, 10, 10), (4, 5, 5)).reference
    1
    """

    names: tuple[str, ...]
    n: tuple[int, ...]
    selected: tuple[int, ...]
    unknown: int = 0
    unknown_selected: int = 0
    exclude_below: float = 0.0
    rates: tuple[Fraction, ...] = field(init=False)
    compared: tuple[int, ...] = field(init=False)
    reference: int | None = field(init=False)

    def __post_init__(self) -> None:
        """What every ratio needs."""
        rates = tuple(Fraction(k, n) for k, n in zip(self.selected, self.n, strict=True))
        compared = tuple(i for i in range(len(self.n)) if self.share(i) >= self.exclude_below)
        best = max(compared, key=lambda i: rates[i], default=None)
        for name, value in (("rates", rates), ("compared", compared)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "reference", None if best is None or not rates[best] else best)

    @property
    def known(self) -> int:
        """Examples of a category."""
        return sum(self.n)

    def share(self, i: int) -> float:
        """Part of the known examples."""
        return self.n[i] / self.known

    def ratio(self, i: int) -> Fraction:
        """Rate of a category over that of the reference."""
        assert self.reference is not None
        return self.rates[i] / self.rates[self.reference]

    def four_fifths(self, i: int) -> bool:
        """Whether the ratio is below four fifths.

        >>> Tally(("a", "b"), (10, 10), (4, 5)).four_fifths(0)
        False
        """
        return self.ratio(i) < FOUR_FIFTHS

    def shortfall(self, i: int) -> float:
        """Selections fewer than at the reference's rate."""
        assert self.reference is not None
        return float(self.n[i] * self.rates[self.reference] - self.selected[i])

    def crosses(self, i: int) -> bool:
        """Whether one selection more or less, of whichever category, moves the ratio to the other side of four fifths."""
        now, ranked = self.four_fifths(i), sorted(self.compared, key=lambda m: self.rates[m], reverse=True)[:3]
        for j in self.compared:
            others = next((self.rates[m] for m in ranked if m not in (i, j)), Fraction(0))
            for k in {max(0, self.selected[j] - 1), min(self.n[j], self.selected[j] + 1)}:
                changed = Fraction(k, self.n[j])
                mine = changed if j == i else self.rates[i]
                if (mine < FOUR_FIFTHS * max(others, mine, changed)) != now:
                    return True
        return False

    def bounds(self, i: int) -> tuple[float | None, float | None]:
        """The least and largest ratio to the highest rate over all allocations of the unknown to the compared categories; exact.

        Least: the unknown that are not selected are all of this category, the selected all of the one other whose rate rises highest.
        Largest: the other way round, those not selected shared among the others so that their highest rate is least.
        Of one category it is 1. None: nobody is selected at all.
        """
        up, down = self.unknown_selected, self.unknown - self.unknown_selected
        others = [j for j in self.compared if j != i]
        if not others:
            return 1.0, 1.0
        raised = [Fraction(self.selected[j] + up, self.n[j] + up) for j in others]
        least = _over(Fraction(self.selected[i], self.n[i] + down), raised)
        lowered = [self.selected[j] for j in others], [self.n[j] for j in others]
        return least, _over(Fraction(self.selected[i] + up, self.n[i] + up), [_levelled(*lowered, down)])


def _over(rate: Fraction, others: Sequence[Fraction]) -> float | None:
    """Rate over the highest, at most 1."""
    highest = max([rate, *others])
    return float(rate / highest) if highest else None


def _levelled(selected: Sequence[int], n: Sequence[int], more: int) -> Fraction:
    """The least highest rate of categories that `more` examples join, none of them selected: those with the highest rate are filled up."""
    if not any(selected):
        return Fraction(0)
    k, sizes = np.array(selected, dtype=float), np.array(n, dtype=float)
    low, high = float(k.max() / (sizes.sum() + more)) / 2, float((k / sizes).max())
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if _needed(k, sizes, middle).sum() <= more else (middle, high)
    joined = _needed(k, sizes, high).astype(int).tolist() if _needed(k, sizes, high).sum() <= more else [0] * len(n)
    return max(Fraction(a, b + c) for a, b, c in zip(selected, n, joined, strict=True))


def _needed(k: FloatArray, n: FloatArray, rate: float) -> FloatArray:
    return np.maximum(0.0, np.ceil(k / rate - n))
