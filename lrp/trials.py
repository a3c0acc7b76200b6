"""Kinds of layer and of input on which a rule is tried, and a layer as the dense matrix that formulas in papers are written for.

Everything is small and in float64: one trial costs about a millisecond and its matrix another.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from lrp.attribution import attribute
from lrp.composites import WEIGHTED, Composite
from lrp.errors import BrokenRelevance
from lrp.presets import lrp_z
from lrp.propagation import WeightedRule
from lrp.types import Relevance

LOW, HIGH = -3.0, 3.0  # every input lies between, so that rules for bounded inputs can be tried
BATCH = 3

Oracle = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
Layer = Callable[[], nn.Module]

LAYERS: dict[str, tuple[Layer, tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(4, 3), (4,)),
    "linear without bias": (lambda: nn.Linear(4, 3, bias=False), (4,)),
    "linear on tokens": (lambda: nn.Linear(4, 3), (2, 4)),
    "conv1d": (lambda: nn.Conv1d(2, 3, 3, padding=1), (2, 5)),
    "conv1d same": (lambda: nn.Conv1d(2, 3, 3, padding="same", dilation=2), (2, 5)),
    "conv2d": (lambda: nn.Conv2d(2, 3, 2), (2, 3, 4)),
    "conv2d without bias": (lambda: nn.Conv2d(2, 3, 2, bias=False), (2, 3, 4)),
    "conv2d strided, padded, dilated": (lambda: nn.Conv2d(2, 3, 2, stride=2, padding=1, dilation=2), (2, 5, 4)),
    "conv2d grouped": (lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2), (4, 3, 3)),
    "depthwise": (lambda: nn.Conv2d(3, 3, 3, padding=1, groups=3, bias=False), (3, 3, 3)),
    "conv3d": (lambda: nn.Conv3d(1, 2, 2), (1, 3, 3, 3)),
    "conv_transpose1d": (lambda: nn.ConvTranspose1d(2, 3, 3, stride=2), (2, 4)),
    "conv_transpose2d grouped": (lambda: nn.ConvTranspose2d(4, 4, 2, stride=2, groups=2), (4, 3, 3)),
    "conv_transpose3d": (lambda: nn.ConvTranspose3d(2, 2, 2), (2, 2, 2, 2)),
}
SIGNED, POSITIVE, SOME_ZERO, ALL_ZERO = INPUTS = ("any sign", "not negative", "zeros", "all zero")
BEHIND: dict[str, Layer] = {"nothing": nn.Identity, "relu": nn.ReLU}


@final
class Readout(nn.Module):
    """Logit = <v, behind(layer(x))>, so that the relevance of y = layer(x) is behind(y) v."""

    def __init__(self, layer: nn.Module, behind: nn.Module) -> None:
        super().__init__()
        self.layer, self.behind = layer, behind

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, 1]`."""
        return self.arriving(self.layer(x).flatten(1)).sum(1, keepdim=True)

    def arriving(self, y: Tensor) -> Tensor:
        """Relevance of y, shape of y `[batch, outputs]`."""
        return self.behind(y) * torch.linspace(-1.0, 2.0, y.shape[1], dtype=y.dtype)  # type: ignore[no-any-return]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A rule on one layer and one batch: the relevance that the engine gives. `place`: layer and input in words."""

    rule: WeightedRule
    model: Readout
    x: Tensor
    place: str
    relevance: Relevance


def tried(rule: WeightedRule, layer: nn.Module, x: Tensor, behind: nn.Module, place: str = "") -> Trial:
    """The trial of a rule on a layer, both in float64; `behind` is what follows the layer."""
    model = Readout(layer, behind).double().eval()
    return Trial(rule, model, x, place, explained(rule, model, x))


def explained(rule: WeightedRule, model: Readout, x: Tensor) -> Relevance:
    """Relevance of x with `rule` on every weighted operation."""
    rules = {**(lrp_z().rules or {}), **dict.fromkeys(WEIGHTED, rule)}
    try:
        return attribute(model, x, 0, Composite("rule under test", rules))
    except BrokenRelevance as error:
        found: Relevance = error.relevance
        return found


def trials(rule: WeightedRule) -> Iterator[Trial]:
    """The rule on every kind of layer, of input, and of what follows; last, outputs that are exactly 0."""
    for name, (made, shape) in LAYERS.items():
        for inputs in INPUTS:
            for behind, follow in BEHIND.items():
                place = f"{name}, inputs {inputs}, followed by {behind}"
                yield tried(rule, random_layer(made), sample(inputs, shape), follow(), place)
    cancelling = random_layer(lambda: nn.Linear(4, 3, bias=False))
    with torch.no_grad():
        next(cancelling.parameters())[0] = torch.tensor([1.0, -1.0, 1.0, -1.0])
    x = torch.ones(BATCH, 4, dtype=torch.float64)
    yield tried(rule, cancelling, x, nn.Identity(), "linear without bias, contributions that cancel to 0")


def random_layer(made: Layer) -> nn.Module:
    """The layer in float64 with random weights and biases, the same in every run; torch's random state stays as it is."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad(), torch.random.fork_rng(devices=()):
        layer = made().double()
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return layer


def sample(inputs: str, shape: tuple[int, ...], seed: int = 5) -> Tensor:
    """A batch `[3, *shape]` of one kind of `INPUTS`."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(BATCH, *shape, dtype=torch.float64, generator=generator).clamp(LOW, HIGH)
    if inputs == ALL_ZERO:
        return torch.zeros_like(x)
    if inputs == POSITIVE:
        return x.relu()
    return x * (torch.rand(x.shape, generator=generator) < 0.7) if inputs == SOME_ZERO else x


def dense(layer: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """The layer on examples like `x` `[1, ...]` as a matrix `[outputs, inputs]` and a bias `[outputs]`."""
    weight = torch.autograd.functional.jacobian(lambda v: layer(v).flatten(), x)
    return weight.flatten(1), layer(torch.zeros_like(x)).detach().flatten()


def formula_gap(trial: Trial, oracle: Oracle) -> float:
    """Largest |difference| / (1 + |value|) between the engine and the formula.

    An example with an output that is 0 by cancellation is left out: most formulas are 0 / 0 there.
    """
    w, b = dense(trial.model.layer, trial.x[:1])
    gaps = [0.0]
    for example, found in zip(trial.x, trial.relevance.values, strict=True):
        x = example.flatten()
        y = w @ x + b
        if ((y == 0) & (w * x != 0).any(1)).any():
            continue
        arriving = trial.model.arriving(y.clone()[None]).detach()[0]
        gaps.append(gap_at(found.flatten(), oracle(x, w, b, arriving)))
    return largest(gaps)


def conservation_gap(trial: Trial) -> float:
    """What no ledger entry explains, relative to the sum of |R| or 1."""
    scale = 1 + trial.relevance.values.abs().flatten(1).sum(1)
    return float((trial.relevance.ledger.residual.abs() / scale).max())


def float32_gap(trial: Trial) -> float:
    """Of relevance in float32, relative to the largest value."""
    single = copy.deepcopy(trial.model).float()
    return gap(explained(trial.rule, single, trial.x.float()).values.double(), trial.relevance.values)


def batch_gap(trial: Trial) -> float:
    """Of each example alone."""
    alone = [explained(trial.rule, trial.model, row[None]).values for row in trial.x]
    return gap_at(torch.cat(alone), trial.relevance.values)


def layout_gap(trial: Trial) -> float:
    """Of the same values in another order in memory."""
    turned = trial.x.movedim(0, -1).contiguous().movedim(-1, 0)
    return gap_at(explained(trial.rule, trial.model, turned).values, trial.relevance.values)


def largest(gaps: Sequence[float]) -> float:
    """NaN if any is."""
    return float(torch.tensor(gaps, dtype=torch.float64).max())


def gap_at(found: Tensor, expected: Tensor) -> float:
    """Largest |difference| / (1 + |value|)."""
    return float(((found - expected).abs() / (1 + expected.abs())).max())


def gap(found: Tensor, expected: Tensor) -> float:
    """Largest difference relative to the largest value."""
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
