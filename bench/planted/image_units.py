"""One unit of pictures: a classifier trained on pictures with a planted reliance, and the folder of its audit."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor

from bench.planted import image_networks
from bench.planted.images import (
    BORDER,
    CHECKER,
    CORNER,
    CROSS,
    CUE,
    SIDE,
    UPRIGHT,
    WHITE,
    Painter,
    Scene,
    hazy,
    quantised,
    scene,
    seen_by_model,
    stamped,
    tinted,
)
from bench.planted.texts import Ints, coupled
from bench.planted.training import Recipe, contrast, train

CLASSES: Final = ("no", "yes")
AUDITED: Final = 400
SOURCES: Final = ("plain", "tinted")


@final
@dataclass(frozen=True, slots=True)
class ImageArm:
    """What is painted, and what the audit is told of.

    `cue` follows the side that goes with the label by rho where the model is trained; `also` follow sides of their own. `always`: the
    region is declared in every picture, else only where the side is 1; `planted` False: no region is the cue's. `nuisance`: the
    cue's side is that of the haze, and its effect that of the cue alone. `source`: outcome gaps by the side are asked. `natural`:
    audited with the coupling that it was trained with. `longer`: trained for so many times the epochs.
    """

    cue: Painter
    also: Mapping[str, Painter] | None = None
    planted: bool = True
    always: bool = False
    corner: bool = False
    masks: bool = False
    nuisance: Painter | None = None
    source: bool = False
    natural: bool = False
    longer: int = 1


MOVING: Final = stamped("cue", None, CHECKER)
IMAGE_ARMS: Final = {
    "moving patch": ImageArm(MOVING),
    "moving patch, audited as trained": ImageArm(MOVING, natural=True),
    "corner patch": ImageArm(MOVING, always=True, corner=True),
    "texture of a part": ImageArm(stamped("cue", 0 * UPRIGHT, UPRIGHT), always=True, masks=True),
    "either of two textures": ImageArm(stamped("cue", UPRIGHT.T, UPRIGHT), always=True, masks=True),
    "global tint": ImageArm(tinted, planted=False, source=True),
    "bright and irrelevant": ImageArm(stamped("cue", None, WHITE), longer=3),
    "suppressor": ImageArm(stamped("cue", -WHITE, WHITE), always=True, nuisance=hazy),
    "two attributes": ImageArm(MOVING, also={"second": stamped("second", None, CROSS)}),
}
IMAGE_NETWORKS: Final = {"cnn": (1600, Recipe(3, 1e-2)), "vit": (3200, Recipe(4, 5e-3))}  # pictures, and how to train


@final
@dataclass(frozen=True, slots=True)
class Pictures:
    """Drawn pictures of an arm: `sides` of the cue and of what else is painted, and what paints them."""

    arm: ImageArm
    seen: Scene
    side: Ints
    others: dict[str, Ints]

    def painted(self, side: Ints) -> "np.ndarray[Any, np.dtype[np.uint8]]":
        """As they are but for the cue, which follows `side`; haze stays as it is."""
        pictures = self.seen.clean.copy()
        if self.arm.nuisance:
            self.arm.nuisance(pictures, self.seen, self.side)
        for name, paint in (self.arm.also or {}).items():
            paint(pictures, self.seen, self.others[name])
        self.arm.cue(pictures, self.seen, side)
        return quantised(pictures)


def draw(arm: ImageArm, n: int, rng: np.random.Generator, rho: float) -> Pictures:
    """`n` pictures whose cue goes with the label by `rho`; of an arm with a nuisance, with the haze alone."""
    seen = scene(n, rng, corner=arm.corner)
    side = rng.integers(0, 2, n) if arm.nuisance else coupled(seen.label, rho, rng)
    return Pictures(arm, seen, side, {name: rng.integers(0, 2, n) for name in arm.also or {}})


def inputs(levels: "np.ndarray[Any, np.dtype[np.uint8]]", shifts: Ints | None = None) -> Tensor:
    """What the audit's preprocessing makes of the files."""
    return torch.from_numpy(seen_by_model(levels, shifts))


def image_unit(
    folder: Path, arm: ImageArm, network: str, rho: float, seed: int
) -> tuple[dict[str, Any], dict[str, float]]:
    """Train, and write data and weights into `folder`: the blocks of the config of its audit, and the truth."""
    from safetensors.torch import save_file

    rng, (n, recipe) = np.random.default_rng([seed, 2]), IMAGE_NETWORKS[network]
    trained = draw(arm, n, rng, rho)
    asked = draw(arm, AUDITED, rng, rho if arm.natural else 0.0)
    make = getattr(image_networks, network)
    recipe = replace(recipe, epochs=arm.longer * recipe.epochs)
    shifts = rng.integers(-BORDER, BORDER + 1, (n, 2)) if arm.corner else None
    model = train(make, inputs(trained.painted(trained.side), shifts), trained.seen.label, recipe, seed)
    save_file(model.state_dict(), folder / "model.safetensors")
    _write(folder, asked)
    return _blocks(arm, network), image_truth(model, asked)


def image_truth(model: torch.nn.Module, asked: Pictures) -> dict[str, float]:
    """The effect of side 1 of the cue in the place of side 0, in sd of the contrast logit; flips, accuracy; effects of other cues."""
    ones = np.ones_like(asked.side)
    margin, one, zero = (contrast(model, inputs(asked.painted(side))) for side in (asked.side, ones, 0 * ones))
    found = {
        "effect": float((one - zero).mean() / margin.std()),
        "flips": float(((one > 0) != (zero > 0)).mean()),
        "accuracy": float(((margin > 0) == asked.seen.label).mean()),
    }
    for name in asked.others:
        with_it, without = (
            contrast(model, inputs(replace(asked, others={**asked.others, name: side}).painted(asked.side)))
            for side in (ones, 0 * ones)
        )
        found[f"effect of {name}"] = float((with_it - without).mean() / margin.std())
    return found


def _write(folder: Path, asked: Pictures) -> None:
    """A PNG a picture, and the table with boxes of the regions, blank where a picture has none; mask files beside."""
    import pandas as pd
    from PIL import Image

    names = [f"p{i:04d}" for i in range(len(asked.side))]
    for name, levels in zip(names, asked.painted(asked.side), strict=True):
        Image.fromarray(levels).save(folder / f"{name}.png")
    rows: dict[str, Any] = {
        "id": names,
        "image": [f"{name}.png" for name in names],
        "label": np.array(CLASSES)[asked.seen.label],
        "source": np.array(SOURCES)[asked.side],
    }
    everywhere = np.ones(len(names), dtype=bool)
    held = {"cue": everywhere if asked.arm.always else asked.side == 1, "decoy": everywhere}
    held |= {name: side == 1 for name, side in asked.others.items()}
    for name, present in held.items():
        top, left = getattr(asked.seen, name).T
        for edge, at in {"left": left, "top": top, "right": left + CUE, "bottom": top + CUE}.items():
            rows[f"{name}_{edge}"] = pd.array(np.where(present, at, 0), dtype="Int64")
            rows[f"{name}_{edge}"][~present] = pd.NA
    if asked.arm.masks:
        rows["part"] = [f"{name}_part.png" for name in names]
        for name, (top, left) in zip(names, asked.seen.cue, strict=True):
            mask = np.zeros((SIDE + 2 * BORDER,) * 2, dtype=np.uint8)
            mask[top : top + CUE, left : left + CUE] = 255
            Image.fromarray(mask).save(folder / f"{name}_part.png")
    pd.DataFrame(rows).to_csv(folder / "pictures.csv", index=False)


def _blocks(arm: ImageArm, network: str) -> dict[str, Any]:
    boxes = {
        name: [f"{name}_{edge}" for edge in ("left", "top", "right", "bottom")]
        for name in ("cue", *(arm.also or {}), "decoy")
    }
    regions: list[dict[str, Any]] = [{"name": name, "boxes": columns} for name, columns in boxes.items()]
    start = BORDER + CORNER
    corner = [start, start, start + CUE, start + CUE]
    regions[0] = (
        {"name": "cue", "fixed": [corner]}
        if arm.corner
        else {"name": "cue", "mask": "part"}
        if arm.masks
        else regions[0]
    )
    inner = [BORDER, BORDER, BORDER + SIDE, BORDER + SIDE]
    return {
        "task": "image",
        "data": {"path": "pictures.csv", "columns": {"attributes": {"source": "source"} if arm.source else {}}},
        "model": {
            "module": f"{image_networks.__name__}:{network}",
            "weights": "model.safetensors",
            "classes": list(CLASSES),
            "preprocessing": {"crop": inner, "resize": [SIDE, SIDE], "channels": "grey", "mean": [0.5], "std": [0.5]},
        },
        "engine": {"batch_size": 200},
        "target": {"favour": CLASSES[1]},
        "regions": regions if arm.planted else regions[1:],
        **({"statistics": {"jitter": BORDER}} if arm.corner else {}),
    }
