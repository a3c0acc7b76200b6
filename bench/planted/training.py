"""Trains a small classifier in seconds on one core, and asks it for its contrast logit; seeded, the caller's random state is left alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Given = Mapping[str, Tensor] | Tensor  # of a model of transformers by name, or of a module of one's own
Floats = NDArray[np.float64]
BATCH: Final = 32
CHUNK: Final = 512


@final
@dataclass(frozen=True, slots=True)
class Recipe:
    """How long, and how fast at most: the rate rises and falls once."""

    epochs: int
    rate: float
    decay: float = 0.01


def train(
    make: Callable[[], nn.Module], inputs: Given, labels: NDArray[np.int64], recipe: Recipe, seed: int
) -> nn.Module:
    """A new classifier, trained on `inputs` (each `[n, ...]`), in evaluation mode."""
    truth, n = torch.from_numpy(labels), len(labels)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        model = make().train()
        optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
        steps = recipe.epochs * -(-n // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=steps)
        for rows in (rows for _ in range(recipe.epochs) for rows in torch.randperm(n).split(BATCH)):
            logits = logits_of(model, _rows(inputs, rows))
            optimiser.zero_grad()
            nn.functional.cross_entropy(logits, truth[rows]).backward()
            optimiser.step()
            schedule.step()
    return model.eval().requires_grad_(False)


def logits_of(model: nn.Module, inputs: Given) -> Tensor:
    """`[n, classes]`."""
    logits: Tensor = model(inputs) if isinstance(inputs, Tensor) else model(**inputs).logits
    return logits


def contrast(model: nn.Module, inputs: Given) -> Floats:
    """Logit of class 1 minus that of class 0, `[n]`."""
    n = len(inputs if isinstance(inputs, Tensor) else next(iter(inputs.values())))
    with torch.inference_mode():
        parts = [logits_of(model, _rows(inputs, rows)) for rows in torch.arange(n).split(CHUNK)]
    logits = torch.cat(parts).double().numpy()
    return np.asarray(logits[:, 1] - logits[:, 0])


def _rows(inputs: Given, rows: Tensor) -> Given:
    return inputs[rows] if isinstance(inputs, Tensor) else {name: each[rows] for name, each in inputs.items()}
