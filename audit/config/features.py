"""The blocks `groups` and `regions`: what relevance is summed over."""

from typing import Annotated, Final

from pydantic import Field, model_validator

from audit.config.base import OUTSIDE, Block, Box, Name, Side

REGION_KINDS: Final = {  # how masks are found: the key of a region, and in words
    "mask": "mask files", "boxes": "boxes", "coco": "COCO annotations", "landmarks": "landmarks", "fixed": "fixed boxes",
    "grid": "grid",
}  # fmt: skip


class Groups(Block):
    """One protected attribute, found in the text by exactly one of lexicon, patterns or spans."""

    attribute: Name
    lexicon: str | None = Field(None, description="name of a shipped lexicon, or a YAML file relative to the config")
    patterns: dict[Name, str] | None = Field(None, description="group: regular expression")
    spans: bool = Field(False, description="take the groups of this attribute from the span column")
    only: tuple[Name, ...] | None = Field(None, description="use these groups of the lexicon, in this order")

    @model_validator(mode="after")
    def _one_source(self) -> "Groups":
        given = [self.lexicon is not None, self.patterns is not None, self.spans]
        if sum(given) != 1:
            raise ValueError("give exactly one of 'lexicon', 'patterns' and 'spans: true'")
        return self


class Region(Block):
    """One region of every photograph, found by exactly one of mask, boxes, coco, landmarks, fixed or grid."""

    name: Name
    mask: str | None = Field(None, description="column with the path of a mask file of the photograph's size")
    value: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        None, description="mask pixels of this value; default: not 0"
    )
    channel: Annotated[int, Field(ge=0, le=3)] | None = Field(
        None, description="channel of the mask file; default: any"
    )
    boxes: str | tuple[str, str, str, str] | None = Field(
        None, description="columns of left, top, right, bottom in pixels; or one column with a JSON list of such boxes"
    )
    coco: str | None = Field(None, description="COCO annotation file, relative to the config")
    category: str | None = Field(None, description="name of the COCO category; default: the region's name")
    landmarks: str | None = Field(None, description="column with a JSON list of [x, y] in pixels")
    points: tuple[Annotated[int, Field(ge=0)], ...] = Field((), description="landmarks whose convex hull is the region")
    grow: Annotated[float, Field(ge=0, le=2)] = Field(
        0.0, description="the hull grows by this share of its longer side"
    )
    fixed: Annotated[tuple[Box, ...], Field(min_length=1)] | None = Field(
        None, description="boxes [left, top, right, bottom] in pixels of every photograph: for aligned crops"
    )
    grid: tuple[Side, Side] | None = Field(None, description="rows and columns of equal cells over the crop")
    provenance: str = Field("not stated", description="who or what made the masks")
    error_rate: Annotated[float, Field(ge=0, lt=1)] | None = Field(None, description="share of wrong masks, if known")

    @property
    def source(self) -> str:
        """How its masks are found, in words."""
        return REGION_KINDS[self.kind]

    @property
    def kind(self) -> str:
        """The key that says how its masks are found."""
        return next(key for key in REGION_KINDS if getattr(self, key) is not None)

    @model_validator(mode="after")
    def _one_source(self) -> "Region":
        if sum(getattr(self, kind) is not None for kind in REGION_KINDS) != 1:
            raise ValueError(f"give exactly one of {', '.join(REGION_KINDS)}")
        for key, source in (
            ("value", "mask"),
            ("channel", "mask"),
            ("category", "coco"),
            ("points", "landmarks"),
            ("grow", "landmarks"),
        ):
            if getattr(self, key) != type(self).model_fields[key].default and getattr(self, source) is None:
                raise ValueError(f"{key} needs {source}")
        if self.landmarks is not None and len(self.points) < 3:
            raise ValueError("landmarks needs points: at least three numbers of landmarks, counted from 0")
        if self.name == OUTSIDE:
            raise ValueError(f"the name {OUTSIDE!r} is taken: it stands for what lies outside all regions")
        return self
