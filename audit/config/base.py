"""What every block of a config is made of: frozen and closed models, and types that several blocks share."""

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Name = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", max_length=100)]
BUILTIN: Final = "builtin:"  # starts the path of what comes with lrp-audit
OUTSIDE: Final = "outside"  # what no declared region covers
Pixel = Annotated[int, Field(ge=0, le=100_000)]
Side = Annotated[int, Field(ge=1, le=10_000)]
Channels = Annotated[tuple[float, ...], Field(min_length=1, max_length=3)]
OWN: Final = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"  # module:function


def _not_empty(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    if left >= right or top >= bottom:
        raise ValueError(f"box [{left}, {top}, {right}, {bottom}] is empty; write left, top, right, bottom")
    return box


Box = Annotated[tuple[Pixel, Pixel, Pixel, Pixel], AfterValidator(_not_empty)]


class Block(BaseModel):
    """Base of every block: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
