"""Plain torch classifiers of the zoo on numbers and images, as people write them, all small."""

from collections import OrderedDict
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.lrp.specimens import LABELS

WIDTH = 16


class Sum(nn.Module):
    """x + body(x), added in place or not."""

    def __init__(self, *body: nn.Module, shortcut: nn.Module | None = None, inplace: bool = False) -> None:
        super().__init__()
        self.body, self.shortcut, self.inplace = nn.Sequential(*body), shortcut or nn.Identity(), inplace

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        if self.inplace:
            y += self.shortcut(x)
            return y
        return y + self.shortcut(x)


class Branches(nn.Module):
    """Parallel branches, concatenated along the channels."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class Excite(nn.Module):
    """Squeeze and excitation: x times a gate per channel."""

    def __init__(self, channels: int, gate: nn.Module) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, 4, 1), nn.ReLU(), nn.Conv2d(4, channels, 1), gate
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


class Lambda(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def conv(
    into: int, out: int, kernel: int = 3, stride: int = 1, act: nn.Module | None = None, **kwargs
) -> nn.Sequential:
    """Convolution, batch normalisation, activation."""
    layer = nn.Conv2d(into, out, kernel, stride, kernel // 2, bias=False, **kwargs)
    return nn.Sequential(layer, nn.BatchNorm2d(out), act or nn.ReLU(inplace=True))


def head(channels: int = WIDTH) -> nn.Sequential:
    """Global average pooling and a linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, LABELS))


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(12, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, LABELS)
    )


def activations() -> nn.Module:
    """Every elementwise activation of torch.nn side by side, each behind its own linear layer."""
    kinds = "ReLU ReLU6 ELU SELU CELU GELU SiLU Mish Softplus Softsign Tanh Tanhshrink Softshrink Hardshrink Hardtanh Hardswish "
    kinds += "Hardsigmoid LeakyReLU LogSigmoid Sigmoid PReLU RReLU"
    acts = [
        *(getattr(nn, kind)() for kind in kinds.split()),
        nn.Threshold(0.1, 0.0),
        nn.GELU("tanh"),
        nn.ReLU(inplace=True),
    ]
    branches = Branches(*(nn.Sequential(nn.Linear(12, 4), act) for act in acts))
    return nn.Sequential(nn.Linear(12, 12), branches, nn.Linear(4 * len(acts), LABELS))


def vgg() -> nn.Module:
    def block(into: int, out: int) -> list[nn.Module]:
        return [nn.Conv2d(into, out, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)]

    tail = [nn.Flatten(), nn.Linear(WIDTH * 16, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, LABELS)]
    return nn.Sequential(*block(3, 8), *block(8, WIDTH), *block(WIDTH, WIDTH), *tail)


def resnet(inplace: bool = False) -> nn.Module:
    def block(into: int, stride: int) -> list[nn.Module]:
        body = [conv(into, WIDTH, 3, stride), nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False), nn.BatchNorm2d(WIDTH)]
        shortcut = None if stride == 1 else nn.Sequential(nn.Conv2d(into, WIDTH, 1, stride), nn.BatchNorm2d(WIDTH))
        return [Sum(*body, shortcut=shortcut, inplace=inplace), nn.ReLU()]

    return nn.Sequential(conv(3, 8, 7, 2), nn.MaxPool2d(3, 2, 1), *block(8, 2), *block(WIDTH, 1), head())


def batch_norm_first() -> nn.Module:
    body = [nn.BatchNorm2d(WIDTH), nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 3, padding=1)]
    return nn.Sequential(
        nn.BatchNorm2d(3), nn.Conv2d(3, WIDTH, 3), Sum(*body), nn.BatchNorm2d(WIDTH), nn.ReLU(), head()
    )


class Overwriting(nn.Module):
    """Prepares its input in place, and assigns constants to parts of a hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(3, WIDTH, 3, padding=1), head()

    def forward(self, x: Tensor) -> Tensor:
        x = x.clone()
        x[:, :, :2] = 0
        x[:, 0].mul_(2).sub_(0.1)
        h = self.first(F.pad(x.clamp_(-2, 2), (1, 1), value=1.0))
        h[:, 0] = torch.maximum(h[:, 0], h.new_tensor(0.2))
        h[..., -1].fill_(0.3)
        h *= h.sigmoid()
        return self.head(h.masked_fill_(h > 3, 3.0))


def densenet() -> nn.Module:
    grow = [
        Branches(nn.Identity(), nn.Sequential(nn.BatchNorm2d(c), nn.ReLU(), nn.Conv2d(c, 4, 3, padding=1)))
        for c in (8, 12)
    ]
    return nn.Sequential(conv(3, 8), *grow, nn.AvgPool2d(2), conv(16, WIDTH), head())


def inception() -> nn.Module:
    pool = nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), conv(8, 4, 1))
    branches = Branches(
        conv(8, 4, 1), nn.Sequential(conv(8, 4, 1), conv(4, 4, 5)), nn.Sequential(nn.MaxPool2d(3, 1, 1)), pool
    )
    return nn.Sequential(conv(3, 8), branches, conv(20, WIDTH), head())


def squeeze_excite() -> nn.Module:
    return nn.Sequential(conv(3, 8), Excite(8, nn.Sigmoid()), conv(8, WIDTH), Excite(WIDTH, nn.Hardsigmoid()), head())


def mobilenet(act: type[nn.Module] = nn.ReLU6) -> nn.Module:
    def block(channels: int) -> nn.Module:
        wide = 3 * channels
        last = [nn.Conv2d(wide, channels, 1, bias=False), nn.BatchNorm2d(channels)]
        return Sum(conv(channels, wide, 1, act=act()), conv(wide, wide, 3, act=act(), groups=wide), *last)

    return nn.Sequential(conv(3, WIDTH, 3, 2, act=act()), block(WIDTH), block(WIDTH), head())


class UNet(nn.Module):
    """Down, up by transposed convolution, interpolation and pixel shuffle, with skips, pooled to classes."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([conv(3, 8), conv(8, 12), conv(12, WIDTH)])
        self.up = nn.ConvTranspose2d(WIDTH, 12, 2, stride=2)
        self.merge, self.shuffle = conv(24, 32), conv(8, 8)
        self.last = nn.Conv2d(24, LABELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.down[0](x)
        b = self.down[1](F.max_pool2d(a, 2))
        c = self.up(self.down[2](F.avg_pool2d(b, 2)))
        d = self.shuffle(F.pixel_shuffle(self.merge(torch.cat([b, c], 1)), 2))
        e = F.interpolate(b[:, :8], scale_factor=2, mode="bilinear", align_corners=False)
        return self.last(torch.cat([a, d, e], 1)).mean((2, 3))


def cnn1d() -> nn.Module:
    first = [nn.Conv1d(2, 8, 5, 2, dilation=2), nn.BatchNorm1d(8), nn.LeakyReLU(0.1), nn.MaxPool1d(2)]
    second = [nn.Conv1d(8, WIDTH, 3, padding="same", padding_mode="circular"), nn.ELU(), nn.AvgPool1d(2)]
    return nn.Sequential(*first, *second, nn.AdaptiveMaxPool1d(2), nn.Flatten(), nn.Linear(2 * WIDTH, LABELS))


def cnn3d() -> nn.Module:
    first = [nn.Conv3d(1, 4, 3, padding=1), nn.BatchNorm3d(4), nn.ReLU(), nn.MaxPool3d(2)]
    second = [nn.Conv3d(4, 8, 3, groups=2), nn.ReLU(), nn.AdaptiveAvgPool3d(1)]
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(8, LABELS))


def normed(norm: Callable[[int], nn.Module], act: Callable[[], nn.Module] = nn.SiLU) -> nn.Module:
    """A residual net whose blocks use another normalisation."""
    body = [nn.Conv2d(WIDTH, WIDTH, 3, padding=1), norm(WIDTH), act()]
    return nn.Sequential(
        nn.Conv2d(3, WIDTH, 3, padding=1), norm(WIDTH), act(), Sum(*body), nn.AvgPool2d(4), Sum(*body[:1]), head()
    )


def gated_convolution() -> nn.Module:
    layers = [nn.Conv1d(2, 16, 3, padding=1), nn.GLU(1), nn.Conv1d(8, 16, 3, padding=1), nn.GLU(1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, LABELS))


def mixer() -> nn.Module:
    """MLP-Mixer: token mixing and channel mixing."""
    patches = [nn.Conv2d(3, WIDTH, 8, 8), nn.Flatten(2), Lambda(lambda x: x.transpose(1, 2))]
    swap = Lambda(lambda x: x.transpose(1, 2))
    tokens = Sum(nn.LayerNorm(WIDTH), swap, nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16), swap)
    channels = Sum(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 32), nn.GELU(), nn.Linear(32, WIDTH))
    return nn.Sequential(*patches, tokens, channels, Lambda(lambda x: x.mean(1)), nn.Linear(WIDTH, LABELS))


def reparametrised() -> nn.Module:
    """Weight normalisation and spectral normalisation: weights that are computed in the forward pass."""
    weight_norm, spectral_norm = nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm
    return nn.Sequential(
        weight_norm(nn.Conv2d(3, WIDTH, 3)), nn.ReLU(), spectral_norm(nn.Conv2d(WIDTH, WIDTH, 3)), nn.ReLU(), head()
    )


class RmsNorm(nn.Module):
    """Root mean square normalisation, written out."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6))


class LayerNorm(RmsNorm):
    """Layer normalisation, written out."""

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-6)


def written_norms() -> nn.Module:
    hidden = [nn.Linear(12, WIDTH), RmsNorm(), nn.GELU(), nn.Linear(WIDTH, WIDTH), LayerNorm(), nn.RMSNorm(WIDTH)]
    return nn.Sequential(OrderedDict((f"layer{i}", m) for i, m in enumerate([*hidden, nn.Linear(WIDTH, LABELS)])))


def swiglu() -> nn.Module:
    """Gates written as products of halves."""
    gate = Lambda(lambda x: F.silu(x.chunk(2, -1)[0]) * x.chunk(2, -1)[1])
    sigmoid = Lambda(lambda x: x[..., :16].sigmoid() * x[..., 16:])
    return nn.Sequential(nn.Linear(12, 32), gate, nn.Linear(WIDTH, 32), sigmoid, nn.Linear(WIDTH, LABELS))
