"""What a rule of weighted operations is and returns, and the checks of parameters that rules share."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, final, runtime_checkable

from torch import Tensor

from lrp.errors import InputError
from lrp.linear import Application


@final
@dataclass(frozen=True, slots=True)
class Propagated:
    """`value`: shape of x. `leaks`: per ledger entry what did not reach x, any shape whose leading axis is that of x."""

    value: Tensor
    leaks: Mapping[str, Tensor] = field(default_factory=dict)


@runtime_checkable
class WeightedRule(Protocol):
    """A rule of a weighted operation. `gives_relevance`: its value is R_x, not R_x / x, so that it is exact where x = 0."""

    gives_relevance: ClassVar[bool]

    def propagate(self, application: Application, c: Tensor) -> Propagated:
        """`c`: the coefficient of y, shape of y."""


def refuse_unless(holds: object, name: str, value: object, allowed: str) -> None:
    """Raise `InputError` that names the parameter, its value and what is allowed."""
    if not holds:
        raise InputError(f"{name}={value!r}: give {allowed}")


def is_number(value: object) -> bool:
    """Whether a parameter is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def nothing_left(relevance: Tensor, s: Tensor) -> Tensor:
    """Relevance of outputs that have nothing to pass it to; per example. Overwrites `relevance`."""
    return total(relevance.masked_fill_(s != 0, 0.0))


def total(terms: Tensor) -> Tensor:
    """Summed per leading index at once, so that no full tensor waits for the ledger."""
    return terms.reshape(len(terms), -1).sum(1)
