"""Sequences whose items are made when they are asked for, so that a million of them need no memory."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar, final, overload

T = TypeVar("T", covariant=True)


class Lazy(Sequence[T]):
    """Items by place; a slice is a tuple of its items, and sequences of equal items are equal."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    @abstractmethod
    def item(self, i: int) -> T:
        """The item at a place that is there."""

    @overload
    def __getitem__(self, place: int) -> T: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[T, ...]: ...

    def __getitem__(self, place: int | slice) -> T | tuple[T, ...]:
        if isinstance(place, slice):
            return tuple(map(self.item, range(len(self))[place]))
        return self.item(range(len(self))[place])

    def __iter__(self) -> Iterator[T]:
        return map(self.item, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))


@final
@dataclass(frozen=True, slots=True, eq=False)
class Made(Lazy[T]):
    """`n` items, each made by a function of its place.

    >>> squares = Made(4, lambda i: i * i)
    >>> squares[2], squares[-1], squares[1:], list(squares) == squares
    (4, 9, (1, 4, 9), True)
    """

    n: int
    make: Callable[[int], T]

    def __len__(self) -> int:
        return self.n

    def item(self, i: int) -> T:
        """Made anew at every call."""
        return self.make(i)
