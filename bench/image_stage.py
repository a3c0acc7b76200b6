"""The relevance stage of images against a bare loop of decode + forward + gradient x input over the same batches, and its memory.

Floor 1.0 for the plain gradient and 1.41 for epsilon_plus_flat on this network (docs/design/003); loading overlaps computing where a
core is free. Photographs are smooth noise, so that nothing needs to be downloaded.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from audit.loading import load_config
from audit.preparation import prepare
from audit.tasks.images import ImageTask
from bench.engine import gradient_x_input, high_water, print_growth

SMALL = (
    "from torch import nn\ndef make():\n"
    "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(30), nn.Flatten(), nn.Linear(4, 2))\n"
)


def task_of(folder: Path, n: int, *, side: int, module: str, classes: int, composite: str) -> ImageTask:
    """An audit of `n` photographs with one box each, in `folder`, which holds the module's weights."""
    rng = np.random.default_rng(0)
    for i in range(n):
        noise = rng.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{i}.jpg")
    corner = rng.integers(0, side // 2, (n, 2))
    table = pd.DataFrame({"image": [f"{i}.jpg" for i in range(n)], "label": [f"c{i % 2}" for i in range(n)]})
    table["box"] = [f"[[{x}, {y}, {x + side // 4}, {y + side // 3}]]" for x, y in corner.tolist()]
    table.to_csv(folder / "table.csv", index=False)
    document: dict[str, Any] = {
        "name": "stage",
        "task": "image",
        "data": {"path": "table.csv", "columns": {"id": None}},
        "model": {
            "module": module,
            "weights": "weights.safetensors",
            "classes": [f"c{i}" for i in range(classes)],
            "preprocessing": {
                "resize": [224, 224] if side > 100 else [side, side],
                "filter": "bicubic",
                "mean": [0.485, 0.456, 0.406],
                "std": [0.229, 0.224, 0.225],
            },
        },
        "engine": {"batch_size": 16},
        "target": {"favour": "c1", "against": "c0"},
        "regions": [{"name": "box", "boxes": "box"}],
        "relevance": {"composites": [composite]},
        "statistics": {"twins": 0},
    }
    path = folder / "stage.yaml"
    path.write_text(yaml.safe_dump(document))
    task = prepare(load_config(path))
    assert isinstance(task, ImageTask)
    return task


def stage_ratio(n: int, rounds: int) -> float:
    """Median over rounds of the stage's time over the bare loop's, EfficientNet-Lite0 at 224 px under epsilon_plus_flat."""
    from safetensors.torch import save_file

    from bench.models import efficientnet_lite0

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_file(efficientnet_lite0().state_dict(), folder / "weights.safetensors")
        task = task_of(
            folder, n, side=256, module="bench.models:efficientnet_lite0", classes=1000, composite="epsilon_plus_flat"
        )
        found = []
        for _ in range(rounds + 1):
            start = time.perf_counter()
            bare_loop(task)
            bare = time.perf_counter() - start
            start = time.perf_counter()
            task.explain()
            found.append((time.perf_counter() - start) / bare)
        return float(np.median(found[1:]))


def bare_loop(task: ImageTask) -> None:
    """Decode, forward, gradient x input, one batch after the other."""
    import torch

    size, model = task.batch_images, task.explainer.model
    for start in range(0, len(task.data), size):
        rows = np.arange(start, min(start + size, len(task.data)))
        gradient_x_input(model, torch.from_numpy(task.pixels(rows)), model)


def explain_small(n: int) -> None:
    """Explain n photographs of 32 x 32 pixels with a tiny network."""
    import torch
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "small.py").write_text(SMALL)
        torch.manual_seed(0)
        state = {"0.weight": (4, 3, 3, 3), "0.bias": (4,), "4.weight": (2, 4), "4.bias": (2,)}
        save_file({key: torch.randn(shape) for key, shape in state.items()}, folder / "weights.safetensors")
        task_of(folder, n, side=32, module="small:make", classes=2, composite="epsilon_plus").explain()


def main(*, small: bool) -> None:
    """Print the ratio and the memory figures."""
    print("relevance stage of images, relative to a bare loop of decode + forward + gradient x input (floor 1.41)")
    print(
        f"  EfficientNet-Lite0, 224 px, epsilon_plus_flat: {stage_ratio(48 if small else 160, 1 if small else 3):.2f}"
    )
    print_growth("bench.image_stage", "photographs", *((500, 2_000) if small else (2_000, 20_000)))


if __name__ == "__main__":
    explain_small(int(sys.argv[1]))
    print(high_water())
