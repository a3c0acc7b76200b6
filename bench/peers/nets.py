"""Small nets with the same weights everywhere (from numpy, by parameter name) on which engines are compared; torch and numpy only."""

import zlib
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn

LOW, HIGH, TARGET = -3.0, 3.0, 1


class Add(nn.Module):
    """x + y; zennit needs a module of its own here."""

    def forward(self, pair: Tensor) -> Tensor:
        return pair[..., 0] + pair[..., 1]


class Residual(nn.Module):
    """Two convolutions with normalisation around a skip connection."""

    def __init__(self, channels: int, add: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)
        self.second, self.second_norm = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)
        self.relu, self.add = nn.ReLU(), add()

    def forward(self, x: Tensor) -> Tensor:
        y = self.second_norm(self.second(self.relu(self.first_norm(self.first(x)))))
        z: Tensor = self.relu(self.add(torch.stack([x, y], -1)))
        return z


def plain(add: Callable[[], nn.Module]) -> nn.Module:
    """Strides, groups, padding, pooling, biases."""
    body = [
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2, groups=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
    ]
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(32, 10), nn.ReLU(), nn.Linear(10, 4))


def normalised(add: Callable[[], nn.Module]) -> nn.Module:
    """Batch normalisation behind each convolution, and average pooling."""
    first = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(2)]
    second = [nn.Conv2d(8, 8, 3, groups=2), nn.BatchNorm2d(8), nn.ReLU()]
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(128, 4))


def residual(add: Callable[[], nn.Module]) -> nn.Module:
    """Skip connections and global average pooling."""
    stem = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)]
    return nn.Sequential(*stem, Residual(8, add), Residual(8, add), *head)


NETS: dict[str, Callable[[Callable[[], nn.Module]], nn.Module]] = {
    "plain": plain,
    "normalised": normalised,
    "residual": residual,
}
COMPOSITES: dict[str, dict[str, float]] = {
    "epsilon_plus": {},
    "epsilon_plus_flat": {},
    "epsilon_gamma_box": {"low": LOW, "high": HIGH},
    "epsilon_alpha2_beta1": {},
    "epsilon_alpha2_beta1_flat": {},
}
CASES = tuple(f"{net}.{composite}" for net in NETS for composite in COMPOSITES)


def fill(name: str, tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Values drawn by numpy, seeded by `name` and the tensor's own name, in place; running variances are positive."""
    for key, tensor in tensors:
        drawn = np.random.Generator(np.random.PCG64(zlib.crc32(f"{name}.{key}".encode()))).normal(size=tensor.shape)
        scale = 0.3 if tensor.dim() == 1 else tensor[0].numel() ** -0.5
        tensor.copy_(torch.from_numpy(np.abs(drawn) + 0.5 if key.endswith("running_var") else drawn * scale))


def build(name: str, add: Callable[[], nn.Module] = Add) -> nn.Module:
    """A net in float64 and evaluation mode."""
    net = NETS[name](add).double().eval().requires_grad_(False)
    fill(name, ((key, tensor) for key, tensor in net.state_dict().items() if tensor.is_floating_point()))
    return net


def images() -> Tensor:
    """Two images with a black patch in the first."""
    drawn = np.random.Generator(np.random.PCG64(7)).normal(size=(2, 3, 12, 12)).clip(LOW, HIGH)
    drawn[0, :, 3:6, 3:6] = 0
    return torch.from_numpy(drawn)
