"""Pictures of relevance maps: one signed, symmetric, perceptually uniform scale, region outlines, photographs dimmed or not shown.

Colours are matplotlib's `managua` (Crameri), dark in the middle: orange speaks for the explained logit, blue against it, and
where there is no relevance the dimmed photograph shows. Cost: about 5 ms a picture.
"""

import io
from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

COLOURS: Final = "managua_r"
DIMMED: Final = 0.45
PANEL: Final = 160  # pixels a side of one picture, about
CLIPPED: Final = 0.995  # quantile of |R| that has the strongest colour

Photograph = Literal["show", "blur", "hide"]


def common_scale(maps: Sequence[NDArray[Any]]) -> float:
    """The relevance that has the strongest colour in a gallery of `maps`; one for all, so that pictures compare."""
    largest = [float(np.quantile(np.abs(relevance), CLIPPED)) for relevance in maps]
    return max(largest, default=0.0) or 1.0


def overlay(
    photograph: NDArray[np.uint8],
    relevance: NDArray[Any],
    masks: NDArray[np.bool_],
    *,
    scale: float,
    people: Photograph = "show",
) -> NDArray[np.uint8]:
    """Photograph `[H, W, C]` beside its map `[H, W]` over the dimmed photograph, outlines of `masks` `[r, H, W]` on it: RGB.

    Regions are numbered from 1. Both are enlarged by a whole factor to about `PANEL` pixels, or made smaller; `people` blurs the
    photograph or leaves it out.
    """
    from matplotlib import colormaps
    from PIL import Image

    height, width = relevance.shape
    factor = max(1, round(PANEL / max(height, width)))
    seen = seen_by(photograph, people)
    colours = colormaps[COLOURS](0.5 + 0.5 * np.clip(relevance / scale, -1, 1))[:, :, :3]
    zero = np.array(colormaps[COLOURS](0.5)[:3])
    grey = DIMMED * seen.mean(axis=2, keepdims=True) / 255
    light = np.clip((colours - zero) / (1 - zero), 0, 1)
    mixed = np.rint(255 * (1 - (1 - grey) * (1 - light))).astype(np.uint8)
    panels = [_enlarged(panel, factor) for panel in (seen, mixed)]
    for mask in masks:
        panels[1][_outline(mask, factor)] = 255
    panels[1] = _numbered(panels[1], masks, factor)
    gap = np.full((panels[0].shape[0], 4, 3), 255, np.uint8)
    picture = np.concatenate([panels[0], gap, panels[1]] if people != "hide" else [panels[1]], axis=1)
    if max(height, width) > PANEL:
        shrunk = Image.fromarray(picture)
        shrunk.thumbnail((2 * PANEL + 4, PANEL), Image.Resampling.LANCZOS)
        return np.asarray(shrunk)
    return picture


def with_colour_bar(picture: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """The picture with its scale below it: relevance of one pixel over sum |R|, from -scale to scale."""
    from matplotlib import colormaps
    from PIL import Image, ImageDraw

    width = picture.shape[1]
    strip = np.rint(255 * colormaps[COLOURS](np.linspace(0, 1, width))[None, :, :3].repeat(10, 0)).astype(np.uint8)
    label = Image.new("RGB", (width, 16), "white")
    write = ImageDraw.Draw(label)
    for x, anchor, value in ((2, "lt", -scale), (width // 2, "mt", 0.0), (width - 2, "rt", scale)):
        write.text((x, 3), f"{value:+.2g}" if value else "0", fill="black", anchor=anchor)
    white = np.full((6, width, 3), 255, np.uint8)
    return np.concatenate([picture, white, strip, np.asarray(label)])


def encoded(picture: NDArray[np.uint8], kind: Literal["PNG", "JPEG"]) -> bytes:
    """The picture as a file."""
    from PIL import Image

    buffer = io.BytesIO()
    settings: dict[str, Any] = {"quality": 75} if kind == "JPEG" else {"optimize": True}
    Image.fromarray(picture).save(buffer, kind, **settings)
    return buffer.getvalue()


def seen_by(photograph: NDArray[np.uint8], people: Photograph) -> NDArray[np.uint8]:
    """RGB `[H, W, 3]`, blurred or grey where people are not to be shown."""
    from PIL import Image, ImageFilter

    colour = np.broadcast_to(photograph, (*photograph.shape[:2], 3))
    if people == "hide":
        return np.full_like(colour, 96)
    if people == "blur":
        radius = max(colour.shape[:2]) / 10
        return np.asarray(Image.fromarray(np.ascontiguousarray(colour)).filter(ImageFilter.GaussianBlur(radius)))
    return np.ascontiguousarray(colour)


def _enlarged(picture: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def _numbered(panel: NDArray[np.uint8], masks: NDArray[np.bool_], factor: int) -> NDArray[np.uint8]:
    """The number of each region in the upper left of it; none for a single one."""
    from PIL import Image, ImageDraw

    picture = Image.fromarray(panel)
    write = ImageDraw.Draw(picture)
    for i, mask in enumerate(masks if len(masks) > 1 else (), 1):
        if mask.any():
            top = int(np.flatnonzero(mask.any(axis=1))[0])
            left = int(np.flatnonzero(mask[top])[0])
            write.text((left * factor + 2, top * factor + 1), str(i), fill="white", stroke_width=1, stroke_fill="black")
    return np.asarray(picture)


def _outline(mask: NDArray[np.bool_], factor: int) -> NDArray[np.bool_]:
    """Pixels of the enlarged mask that touch a pixel outside it."""
    large = mask.repeat(factor, axis=0).repeat(factor, axis=1)
    padded = np.pad(large, 1)
    core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return large & ~core
