"""A batch that does not fit in memory is done in halves, down to single examples."""

from collections.abc import Callable, Sequence
from typing import Final

from audit.errors import ModelError

FULL: Final = ("out of memory", "can't allocate memory", "alloc_cpu", "failed to allocate")
CURE: Final = (
    "a single example does not fit: give a device with more memory, or lower model.max_length or the photographs' size"
)


def in_halves(places: Sequence[int], do: Callable[[Sequence[int]], None]) -> None:
    """`do(places)`, or of its halves where the device has too little memory for all of them; ModelError where one alone is too much."""
    try:
        do(places)
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is one; of the processor it is a plain one
        if isinstance(error, RuntimeError) and not any(sign in str(error).lower() for sign in FULL):
            raise
        told = next(iter(str(error).splitlines()), "MemoryError")
    else:
        return
    if len(places) == 1:
        raise ModelError(f"the device is out of memory ({told:.120}); {CURE}")
    _free()
    middle = len(places) // 2
    for half in (places[:middle], places[middle:]):
        in_halves(half, do)


def _free() -> None:
    """Give back what the allocator keeps, so that the halves find it."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
