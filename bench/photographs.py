"""Photographs for the benchmarks: aligned faces with their crop, and whole scenes from packages, as normalised tensors.

Faces are in ../shared/data (see the README there), scenes in scikit-image, scikit-learn and matplotlib. Nothing is downloaded.
"""

import csv
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

FACES = Path(__file__).parents[2] / "shared" / "data" / "lfw_gender"
WIDE = (75, 80, 175, 180)
SCENES = {
    "skimage": (
        "data/astronaut.png",
        "data/chelsea.png",
        "data/coffee.png",
        "data/rocket.jpg",
        "data/motorcycle_left.png",
    ),
    "sklearn": ("datasets/images/china.jpg", "datasets/images/flower.jpg"),
    "matplotlib": ("mpl-data/sample_data/grace_hopper.jpg",),
}


@final
@dataclass(frozen=True, slots=True)
class Photographs:
    """`pixels` `[n, 3, side, side]`, normalised; `low` and `high` `[1, 3, 1, 1]` are black and white after the normalisation."""

    pixels: Tensor
    low: Tensor
    high: Tensor


def faces(n: int, *, seed: int = 3) -> Photographs:
    """`n` faces of different people, half women, wide crop, 32 x 32 (bilinear), as the gender network reads them."""
    chosen = [_square(image.convert("RGB").crop(WIDE), 32) for image in _portraits(n, seed)]
    mean = torch.tensor([122.782, 117.001, 104.298])
    return _normalised(chosen, mean, torch.tensor([256.0, 256.0, 256.0]))


def scenes(n: int, *, seed: int = 4) -> Photographs:
    """Eight scenes and `n` - 8 whole portraits, centre square of 224 x 224, normalised as EfficientNet-Lite0's package says."""
    files = [_package(package) / name for package, names in SCENES.items() for name in names]
    images = [Image.open(path) for path in files[:n]] + _portraits(max(n - len(files), 0), seed)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return _normalised([_square(image.convert("RGB"), 224) for image in images], 255 * mean, 255 * deviation)


def _portraits(n: int, seed: int) -> list[Image.Image]:
    """`n` photographs 250 x 250, women and men alternating, in seeded order."""
    with (FACES / "labels.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    rng = np.random.default_rng(seed)
    sides = [rng.permutation([row["image"] for row in rows if row["gender"] == name]) for name in ("female", "male")]
    return [Image.open(FACES / sides[i % 2][i // 2]) for i in range(n)]


def _square(image: Image.Image, side: int) -> np.ndarray:
    """The centre square, resized, uint8 `[side, side, 3]`."""
    width, height = image.size
    edge = min(width, height)
    left, upper = (width - edge) // 2, (height - edge) // 2
    box = (left, upper, left + edge, upper + edge)
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, box=box))


def _normalised(images: list[np.ndarray], mean: Tensor, deviation: Tensor) -> Photographs:
    """(pixel - mean) / deviation, both `[3]` in grey levels of 0 to 255."""
    mean, deviation = mean.reshape(1, 3, 1, 1), deviation.reshape(1, 3, 1, 1)
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()
    return Photographs((pixels - mean) / deviation, -mean / deviation, (255 - mean) / deviation)


def _package(name: str) -> Path:
    """Folder of an installed package, which is not imported."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"{name} is not installed: python -m pip install --no-deps -r bench-requirements.txt")
    return Path(spec.origin).parent
