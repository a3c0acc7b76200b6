"""Pictures with a planted reliance: a noisy tetromino that tells the class, and a cue that may go with it; 16 x 16 grey levels.

The tetromino lies in one quarter of a picture, chosen at random; cue and second cue in two others;
the decoy is a box anywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from bench.planted.texts import Ints

Grey = NDArray[np.float32]
SIDE: Final = 16
QUARTER: Final = 8
CUE: Final = 4  # side of the square a cue stands in
BORDER: Final = 2  # of the picture file around the 16 x 16 that the model sees, for arms whose crop is shifted
CORNER: Final = 2  # a fixed cue's distance from the edges, so that shifts of the crop keep it in view
NOISE: Final = 0.12
SHAPE: Final = 0.15  # brighter than the background of .45
SHAPES: Final = tuple(
    np.kron(np.array(cells, dtype=np.float32), np.ones((2, 2), dtype=np.float32))
    for cells in (((1, 1, 1), (0, 1, 0)), ((1, 1, 1), (1, 0, 0)))
)
CHECKER: Final = np.where(np.add.outer(np.arange(CUE), np.arange(CUE)) % 2 == 0, 0.35, -0.35).astype(np.float32)
CROSS: Final = np.where(np.eye(CUE) + np.eye(CUE)[::-1] > 0, 0.3, -0.3).astype(np.float32)
UPRIGHT: Final = np.tile(np.array([0.3, -0.3, 0.3, -0.3], dtype=np.float32), (CUE, 1))
WHITE: Final = np.full((CUE, CUE), 0.3, dtype=np.float32)
TINT: Final = 0.12
HAZE: Final = 0.1


@final
@dataclass(frozen=True, slots=True)
class Scene:
    """All that is drawn at random for `[n]` pictures, before anything is painted: a picture and its counterpart share it.

    `clean` `[n, 20, 20]` holds background, noise and tetromino; places are `[n, 2]`, top and left in the file.
    """

    label: Ints
    clean: Grey
    shape: Ints
    cue: Ints
    second: Ints
    decoy: Ints


def scene(n: int, rng: np.random.Generator, *, corner: bool = False) -> Scene:
    """Where everything stands; with `corner` the cue is near the top left of every picture, and the tetromino never."""
    label, side = rng.integers(0, 2, n), SIDE + 2 * BORDER
    quarters = rng.permuted(np.tile(np.arange(4), (n, 1)), axis=1)
    if corner:
        quarters = np.hstack([rng.permuted(np.tile(np.arange(1, 4), (n, 1)), axis=1), np.zeros((n, 1), dtype=int)])[
            :, [0, 3, 1, 2]
        ]
    origin = BORDER + QUARTER * np.stack([quarters // 2, quarters % 2], axis=-1)
    places = [origin[:, k] + rng.integers(0, QUARTER - CUE + 1, (n, 2)) for k in range(4)]
    places[3] = BORDER + rng.integers(0, SIDE - CUE + 1, (n, 2))
    places[0] = origin[:, 0] + np.stack([rng.integers(0, 5, n), rng.integers(0, 3, n)], axis=1)
    if corner:
        places[1] = origin[:, 1] + CORNER
    clean = (0.45 + rng.normal(0, NOISE, (n, side, side))).astype(np.float32)
    for i, (top, left) in enumerate(places[0]):
        clean[i, top : top + 4, left : left + 6] += SHAPE * SHAPES[label[i]]
    return Scene(label, clean, *places)


Painter = Callable[[Grey, Scene, Ints], None]


def stamped(place: str, off: NDArray[np.float32] | None, on: NDArray[np.float32]) -> Painter:
    """Puts `on` at a place of the scene where the side is 1, and `off` where it is 0 (None: nothing)."""

    def paint(pictures: Grey, seen: Scene, side: Ints) -> None:
        for i, (top, left) in enumerate(getattr(seen, place)):
            what = on if side[i] else off
            if what is not None:
                pictures[i, top : top + CUE, left : left + CUE] = 0.45 + what

    return paint


def tinted(pictures: Grey, seen: Scene, side: Ints) -> None:
    """The whole picture a little brighter where the side is 1."""
    pictures += TINT * side[:, None, None].astype(np.float32)


def hazy(pictures: Grey, seen: Scene, side: Ints) -> None:
    """The whole picture brighter or darker: what tells nothing of the class, but blurs what does."""
    pictures += HAZE * (2 * side[:, None, None].astype(np.float32) - 1)


def quantised(pictures: Grey) -> NDArray[np.uint8]:
    """The grey levels that a file keeps."""
    return np.rint(np.clip(pictures, 0, 1) * 255).astype(np.uint8)


def seen_by_model(levels: NDArray[np.uint8], shifts: Ints | None = None) -> Grey:
    """The middle 16 x 16, or as far from it as `shifts` `[n, 2]` say, about -1 to 1, `[n, 1, 16, 16]`."""
    starts = BORDER + (np.zeros((len(levels), 2), dtype=int) if shifts is None else shifts)
    inner = np.stack(
        [each[top : top + SIDE, left : left + SIDE] for each, (top, left) in zip(levels, starts, strict=True)]
    )
    return ((inner[:, None] / np.float32(255) - np.float32(0.5)) / np.float32(0.5)).astype(np.float32)
