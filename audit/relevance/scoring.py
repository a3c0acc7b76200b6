"""Logits of photographs by forward passes only."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.parts import Advance
from audit.relevance.explainer import Explainer, Read, logits
from audit.tables import FloatArray


def score_images(
    explainer: Explainer[Any], inputs: Iterable[NDArray[np.float32]], *, size: int, advance: Advance = lambda n: None,
    read: Read = logits,
) -> FloatArray:  # fmt: skip
    """`[images, classes]` of inputs `[channels, H, W]`, `size` in one pass; or what else is read of each forward pass."""
    import torch

    scores, stream = [], iter(inputs)
    device = next(explainer.model.parameters()).device
    while batch := list(islice(stream, size)):
        with torch.inference_mode():
            scores.append(read(explainer.model(torch.from_numpy(np.stack(batch)).to(device))))
        advance(len(batch))
    return np.concatenate(scores) if scores else np.zeros((0, 0))
