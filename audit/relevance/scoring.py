"""Logits of photographs by forward passes only."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.parts import Advance
from audit.relevance.explainer import Explainer, Read, logits
from audit.relevance.halving import in_halves
from audit.tables import FloatArray


def score_images(
    explainer: Explainer[Any], inputs: Iterable[NDArray[np.float32]], *, size: int, advance: Advance = lambda n: None,
    read: Read = logits,
) -> FloatArray:  # fmt: skip
    """`[images, classes]` of inputs `[channels, H, W]`, `size` in one pass; or what else is read of each forward pass."""
    import torch

    scores, stream = list[FloatArray](), iter(inputs)
    device = next(explainer.model.parameters()).device

    def add(places: Sequence[int]) -> None:
        pixels = torch.from_numpy(np.stack([batch[i] for i in places])).to(device)
        with torch.inference_mode():
            scores.append(read(explainer.model(pixels)))

    while batch := list(islice(stream, size)):
        in_halves(range(len(batch)), add)
        advance(len(batch))
    return np.concatenate(scores) if scores else np.zeros((0, 0))
