"""Which channels of a layer carry the relevance inside a region or on a group's words (concept relevance, Achtibat et al. 2023).

Relevance at a layer's output is summed over the places of a feature; of photographs the mask is pooled to the layer's size. Cost: one
explanation an example.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audit.errors import ConfigError
from audit.relevance.explainer import Explainer, attribute
from audit.relevance.halving import in_halves
from audit.tables import FloatArray

if TYPE_CHECKING:
    from torch import Tensor

Batch = tuple[
    Any, NDArray[np.bool_]
]  # inputs, and the places of each feature: [batch, features, H, W], or [.., tokens]


def by_channel(explainer: Explainer[Any], batches: Iterator[Batch], layers: Sequence[str]) -> dict[str, FloatArray]:
    """By layer, `[examples, features, channels]`: relevance inside each feature over sum |R| of the layer, first composite.

    ConfigError for a layer whose output has no places that a mask could tell apart.
    """
    found: dict[str, list[FloatArray]] = {layer: [] for layer in layers}

    def add(places: Sequence[int]) -> None:
        (result,) = attribute(
            explainer.model, _some(inputs, places), explainer.target, [explainer.first], layers=layers
        )
        for layer in layers:
            found[layer].append(_inside(result.layers[layer], masks[list(places)], layer))

    for inputs, masks in batches:  # noqa: B007 - `add` sees them
        in_halves(range(len(masks)), add)
    return {layer: np.concatenate(parts) for layer, parts in found.items()}


def _some(inputs: Any, places: Sequence[int]) -> Any:
    """Of a batch."""
    wanted = list(places)
    return {name: each[wanted] for name, each in inputs.items()} if isinstance(inputs, Mapping) else inputs[wanted]


def _inside(relevance: "Tensor", masks: NDArray[np.bool_], layer: str) -> FloatArray:
    import torch

    places = torch.from_numpy(masks).to(relevance)
    if masks.ndim == relevance.ndim == 4:  # channels first
        pooled = torch.nn.functional.adaptive_avg_pool2d(places, (relevance.shape[2], relevance.shape[3]))
        sums = torch.einsum("nchw,nfhw->nfc", relevance, pooled)
    elif masks.ndim == relevance.ndim == 3 and places.shape[-1] == relevance.shape[1]:  # tokens
        sums = torch.einsum("ntc,nft->nfc", relevance, places)
    else:
        shape = tuple(relevance.shape)
        raise ConfigError(
            f"{layer!r} gives {shape}, in which no region or word has a place; name a layer that keeps places, "
            "[batch, channels, height, width] of a photograph or [batch, tokens, channels] of a text"
        )
    total = relevance.abs().flatten(1).sum(1).clamp(min=1e-30)
    return np.asarray((sums / total[:, None, None]).double().cpu().numpy())
