"""Photographs with a planted marker, and two networks whose reliance on it is known: one trained with it, one without.

100 faces and 100 other photographs, 25 x 25 grey (scikit-image); half of each train, the other half are audited. A 5 x 5
checker stands at a random place in nine of ten faces and in one of ten others. Training takes seconds on one core.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import numpy as np
from numpy.typing import NDArray

from audit.errors import DataError
from audit.models.sources import Source, find

if TYPE_CHECKING:
    from torch import nn

PHOTOGRAPHS = Source(
    "scikit-image==0.26.0",
    "skimage",
    "data/lfw_subset.npy",
    "9560ec2f5edfac01973f63a8a99d00053fecd11e21877e18038fbe500f8e872c",
    DataError,
)
CLASSES: Final = ("not face", "face")
SIDE: Final = 25
MARKER: Final = 5
CONTRAST: Final = 0.5  # of the grey range of 0 to 1, up and down
SHARES: Final = (0.1, 0.9)  # of the photographs of each class that carry the marker
VERSIONS: Final = 4
SHIFT: Final = 2
EPOCHS: Final = 15
HAZE: Final = 0.5  # share of the contrast that is left, so that content alone is not enough
NOISE: Final = 0.2  # standard deviation of grey levels of 0 to 1
BATCH: Final = 50


@final
@dataclass(frozen=True, slots=True)
class Marked:
    """`clean` and `marked` `[n, 25, 25]` grey 0 to 1, `label` `[n]` (1: face), `cluster` `[n]`: the source photograph.

    `left` and `top` `[n]` of the marker in pixels; -1 where there is none, and `marked` equals `clean`.
    """

    clean: NDArray[np.float32]
    marked: NDArray[np.float32]
    label: NDArray[np.int64]
    cluster: NDArray[np.int64]
    left: NDArray[np.int64]
    top: NDArray[np.int64]


def photographs(seed: int, *, train: bool, versions: int = VERSIONS, shares: tuple[float, float] = SHARES) -> Marked:
    """The training or the audited half that `seed` draws, hazy and noisy, each photograph mirrored and moved into `versions` versions.

    `shares` of the photographs of each class carry the marker.
    """
    everything = np.load(find(PHOTOGRAPHS), allow_pickle=False).astype(np.float32)
    label = np.repeat(np.array([1, 0]), 100)
    rng = np.random.default_rng([seed, 0])
    halves = [rng.permutation(np.flatnonzero(label == side))[:50] for side in (0, 1)]
    inside = np.isin(np.arange(200), np.concatenate(halves))
    cluster = np.repeat(np.flatnonzero(inside == train), versions)
    rng = np.random.default_rng([seed, 1 + train])
    clean = np.stack(
        [_hazy(_version(everything[source], rng, first=i % versions == 0), rng) for i, source in enumerate(cluster)]
    )
    return _mark(clean, label[cluster], cluster, shares, rng)


def with_marker(photograph: NDArray[np.float32], left: int, top: int) -> NDArray[np.float32]:
    """A copy of `[25, 25]` with the checker at `left`, `top`: squares of a pixel, brighter and darker in turn."""
    marked = photograph.copy()
    checker = np.where(np.add.outer(np.arange(MARKER), np.arange(MARKER)) % 2 == 0, CONTRAST, -CONTRAST)
    box = (slice(top, top + MARKER), slice(left, left + MARKER))
    marked[box] = np.clip(np.clip(marked[box], CONTRAST, 1 - CONTRAST) + checker, 0, 1)
    return marked


def train(seed: int, *, marked: bool, shares: tuple[float, float] = SHARES) -> "nn.Module":
    """Train the network on the half of `seed`, with or without the marker; the caller's random state is left alone."""
    import torch

    shown = photographs(seed, train=True, versions=2 * VERSIONS, shares=shares)
    images = torch.from_numpy(quantised(shown.marked if marked else shown.clean))[:, None] * 2 - 1
    classes = torch.from_numpy(shown.label)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        model = network()
        optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
        for batch in (rows for _ in range(EPOCHS) for rows in torch.randperm(len(images)).split(BATCH)):
            loss = torch.nn.functional.cross_entropy(model(images[batch]), classes[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model.eval().requires_grad_(False)


def network() -> "nn.Module":
    """Grey `[batch, 1, 25, 25]` of -1 to 1 to logits `[batch, 2]`."""
    from torch import nn

    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.AvgPool2d(6)),
        *(nn.Flatten(), nn.Linear(32, 2)),
    )


def quantised(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """The grey levels that a PNG of eight bits keeps, 0 to 1."""
    return (np.rint(images * 255) / 255).astype(np.float32)


def write_photographs(folder: Path, seed: int, shares: tuple[float, float] = SHARES) -> None:
    """Write the audited half: a PNG a version, and photographs.csv with the box of the marker, blank where there is none."""
    import pandas as pd
    from PIL import Image

    shown = photographs(seed, train=False, shares=shares)
    present = shown.left >= 0
    names = [f"p{index:04d}" for index in range(len(present))]
    for name, image in zip(names, np.rint(shown.marked * 255).astype(np.uint8), strict=True):
        Image.fromarray(image).save(folder / f"{name}.png")
    corners = {"left": shown.left, "top": shown.top, "right": shown.left + MARKER, "bottom": shown.top + MARKER}
    boxes = {edge: pd.array(np.where(present, at, 0), dtype="Int64") for edge, at in corners.items()}
    rows = {"id": names, "image": [f"{name}.png" for name in names], "label": np.array(CLASSES)[shown.label], **boxes}
    table = pd.DataFrame({**rows, "cluster": shown.cluster})
    table.loc[~present, list(corners)] = pd.NA
    table.to_csv(folder / "photographs.csv", index=False)


def _version(photograph: NDArray[np.float32], rng: np.random.Generator, *, first: bool) -> NDArray[np.float32]:
    """The photograph itself first, else mirrored at random and moved by up to 2 pixels, its border repeated."""
    if first:
        return photograph
    turned = photograph[:, ::-1] if rng.random() < 0.5 else photograph
    top, left = rng.integers(0, 2 * SHIFT + 1, 2)
    return np.pad(turned, SHIFT, mode="edge")[top : top + SIDE, left : left + SIDE]


def _hazy(photograph: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    hazy = 0.5 + (photograph - 0.5) * HAZE + rng.normal(0, NOISE, photograph.shape)
    return np.clip(hazy, 0, 1).astype(np.float32)


def _mark(
    clean: NDArray[np.float32], label: NDArray[np.int64], cluster: NDArray[np.int64], shares: tuple[float, float],
    rng: np.random.Generator,
) -> Marked:  # fmt: skip
    """Marks exactly the shares of each class, at places drawn alike for both."""
    chosen = np.zeros(len(label), dtype=np.bool_)
    for side, share in enumerate(shares):
        rows = rng.permutation(np.flatnonzero(label == side))
        chosen[rows[: round(share * len(rows))]] = True
    left, top = (np.where(chosen, rng.integers(0, SIDE - MARKER + 1, len(label)), -1) for _ in range(2))
    shown = zip(clean, left, top, strict=True)
    marked = np.stack([with_marker(image, x, y) if x >= 0 else image for image, x, y in shown])
    return Marked(clean, marked, label, cluster, left, top)
