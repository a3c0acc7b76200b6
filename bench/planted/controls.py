"""Maps that know nothing of what a model has learnt, as methods of relevance: an audit that finds something by them finds too much.

Each takes the model, its inputs and the target as `lrp.attribute` does, and returns a tensor of the shape of the input.
"""

import hashlib
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

import lrp
from audit.models.twins import reinitialised


def random_map(model: nn.Module, inputs: Any, target: Any) -> Tensor:
    """Normal noise, drawn by the content of each input."""
    return torch.stack([_noise(each) for each in _explained(inputs)])


def input_size(model: nn.Module, inputs: Any, target: Any) -> Tensor:
    """The size of each pixel, or of each token's embedding."""
    if isinstance(inputs, Mapping):
        table: Any = model.get_input_embeddings()  # type: ignore[operator]
        return table(inputs["input_ids"]).norm(dim=-1).detach()  # type: ignore[no-any-return]
    return inputs.abs()  # type: ignore[no-any-return]


def edges(model: nn.Module, inputs: Any, target: Any) -> Tensor:
    """The size of the Laplacian of the pixels; of texts, how much a token's embedding differs from its neighbours'."""
    if isinstance(inputs, Mapping):
        table: Any = model.get_input_embeddings()  # type: ignore[operator]
        embedded = table(inputs["input_ids"]).detach()
        return (2 * embedded - embedded.roll(1, 1) - embedded.roll(-1, 1)).norm(dim=-1)  # type: ignore[no-any-return]
    channels = inputs.shape[1]
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).to(inputs).expand(channels, 1, 3, 3)
    padded = nn.functional.pad(inputs, (1, 1, 1, 1), mode="replicate")
    return nn.functional.conv2d(padded, kernel, groups=channels).abs()


def reinitialised_model(model: nn.Module, inputs: Any, target: Any) -> Tensor:
    """LRP of a copy with random weights."""
    if model not in _COPIES:
        _COPIES[model] = reinitialised(model, 1, () if isinstance(inputs, Mapping) else (inputs,))
    return lrp.attribute(_COPIES[model], inputs, target).values


_COPIES: WeakKeyDictionary[nn.Module, nn.Module] = WeakKeyDictionary()


def _explained(inputs: Any) -> Tensor:
    return inputs["input_ids"] if isinstance(inputs, Mapping) else inputs  # type: ignore[no-any-return]


def _noise(each: Tensor) -> Tensor:
    seed = int.from_bytes(hashlib.sha256(each.contiguous().cpu().numpy().tobytes()).digest()[:7], "big")
    return torch.randn(each.shape, generator=torch.Generator().manual_seed(seed))
