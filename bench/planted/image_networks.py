"""Two small image classifiers, `[n, 1, 16, 16]` to two logits: convolutions with normalisation and a skip, and a transformer."""

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """Two convolutions with batch normalisation beside a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(self.first(x)))


class Encoder(nn.Module):
    """Attention and a hidden layer, each behind LayerNorm and beside a skip."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(size), nn.LayerNorm(size)
        self.joint, self.out = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.hidden = nn.Sequential(nn.Linear(size, 2 * size), nn.GELU(), nn.Linear(2 * size, size))

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, size = x.shape
        query, key, value = (
            part.view(n, tokens, self.heads, -1).transpose(1, 2) for part in self.joint(self.before(x)).chunk(3, -1)
        )
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        x = x + self.out(mixed.transpose(1, 2).reshape(n, tokens, size))
        return x + self.hidden(self.after(x))


class Transformer(nn.Module):
    """Patches of 4 x 4 as tokens, two encoders, mean over the tokens."""

    def __init__(self, size: int = 32, heads: int = 2) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, size, 4, stride=4)
        self.positions = nn.Parameter(0.02 * torch.randn(1, 16, size))
        self.encoders = nn.Sequential(Encoder(size, heads), Encoder(size, heads))
        self.norm, self.classifier = nn.LayerNorm(size), nn.Linear(size, 2)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        logits: Tensor = self.classifier(self.norm(self.encoders(tokens)).mean(1))
        return logits


def cnn() -> nn.Module:
    """Convolutions with batch normalisation and a residual block."""
    return nn.Sequential(
        *(nn.Conv2d(1, 12, 5, padding=2), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(12, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), Residual(24)),
        *(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(24, 2)),
    )


def vit() -> nn.Module:
    """A vision transformer of two layers."""
    return Transformer()
