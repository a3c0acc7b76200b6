"""Wrappers that turn what classifiers return into one logit a class."""

from typing import final

import torch
from torch import Tensor, nn


@final
class Logits(nn.Module):
    """A model of transformers as a function from pixels to logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        """`[batch, classes]`."""
        logits: Tensor = self.network(pixel_values=pixels).logits
        return logits


@final
class OneLabel(nn.Module):
    """Output `index` z of a model as the two logits [0, z]: absent, present."""

    def __init__(self, network: nn.Module, index: int) -> None:
        super().__init__()
        self.network = network
        self.index = index

    def forward(self, pixels: Tensor) -> Tensor:
        """`[batch, 2]`."""
        z = self.network(pixels)[:, self.index : self.index + 1]
        return torch.cat([torch.zeros_like(z), z], 1)
