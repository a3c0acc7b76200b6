"""Every rule of weighted operations against its formula in float64, over a dense matrix that holds the operation's Jacobian."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import lrp
from lrp.composites import Composite, Entry
from lrp.presets import lrp_z
from lrp.rules import RULES
from lrp.testing import EXACT, assert_passes, check_rule
from lrp.trials import BEHIND, HIGH, INPUTS, LAYERS, LOW, conservation_gap, formula_gap, random_layer, sample, tried


def shares(relevance, z, sums):
    """z in parts of `sums`, each part times the relevance of its output; 0 where nothing contributes."""
    return z * torch.where(sums.abs() > 1e-12, relevance / sums, 0.0)[:, None]


def oracle_zero(x, w, b, r):
    z = w * x
    return shares(r, z, z.sum(1) + b).sum(0)


def oracle_epsilon(x, w, b, r, epsilon=0.25):
    z = w * x
    y = z.sum(1) + b
    return (z * (r / (y + torch.where(y < 0, -epsilon, epsilon)))[:, None]).sum(0)


def oracle_gamma(x, w, b, r, gamma=0.4):
    relevance = torch.zeros_like(x)
    for z, bias, arriving in zip(w * x, b, r, strict=True):
        y = z.sum() + bias
        sign = {"min": 0.0} if y > 0 else {"max": 0.0}
        weighed = z + gamma * z.clamp(**sign)
        relevance += shares(arriving[None], weighed[None], weighed.sum() + bias + gamma * bias.clamp(**sign))[0]
    return relevance


def oracle_z_plus(x, w, b, r):
    z = (w * x).clamp(min=0)
    return shares(r, z, z.sum(1) + b.clamp(min=0)).sum(0)


def oracle_alpha_beta(x, w, b, r):
    up, down = (w * x).clamp(min=0), (w * x).clamp(max=0)
    positive = shares(r, up, up.sum(1) + b.clamp(min=0))
    negative = shares(r, down, down.sum(1) + b.clamp(max=0))
    return (2 * positive - negative).sum(0)


def oracle_z_box(x, w, b, r):
    z = w * x - w.clamp(min=0) * LOW - w.clamp(max=0) * HIGH
    return shares(r, z, z.sum(1)).sum(0)


def oracle_flat(x, w, b, r):
    seen = (w != 0).double()
    return shares(r, seen, seen.sum(1)).sum(0)


def oracle_w_square(x, w, b, r):
    return shares(r, w**2, (w**2).sum(1)).sum(0)


ORACLES = {
    "zero": (RULES["zero"](), oracle_zero),
    "epsilon": (RULES["epsilon"](epsilon=0.25), oracle_epsilon),
    "gamma": (RULES["gamma"](gamma=0.4), oracle_gamma),
    "z_plus": (RULES["z_plus"](), oracle_z_plus),
    "alpha_beta": (RULES["alpha_beta"](), oracle_alpha_beta),
    "z_box": (RULES["z_box"](low=LOW, high=HIGH), oracle_z_box),
    "flat": (RULES["flat"](), oracle_flat),
    "w_square": (RULES["w_square"](), oracle_w_square),
}


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, y):
        return self.function(y)


def relu_on_a_part(y):
    y = y.clone() if y.is_leaf else y
    y[:, 1:].relu_()
    return y


class Product(nn.Module):
    """x W written as a matrix product with a parameter, and b + x W as GPT-2 does."""

    def __init__(self, bias):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 3))
        self.bias = nn.Parameter(torch.zeros(3)) if bias else None

    def forward(self, x):
        return x @ self.weight if self.bias is None else torch.addmm(self.bias, x, self.weight)


OPERATIONS = {
    **LAYERS,
    "matmul": (lambda: Product(False), (4,)),
    "addmm": (lambda: Product(True), (4,)),
}
FOLLOWED = {
    **BEHIND,
    "relu in place": lambda: nn.ReLU(inplace=True),
    "leaky": nn.LeakyReLU,
}


CLIPPED = {
    "relu6": nn.ReLU6,
    "relu6 in place": lambda: nn.ReLU6(inplace=True),
    "hardtanh": nn.Hardtanh,
    "hardtanh in place": lambda: nn.Hardtanh(inplace=True),
    "hardtanh from 0": lambda: nn.Hardtanh(0, 2, inplace=True),
    "threshold below 0": lambda: nn.Threshold(-0.5, 0.0),
    "threshold above 0": lambda: nn.Threshold(0.2, 0.0, inplace=True),
    "clamp_min below 0": lambda: Function(lambda y: y.clamp_min(-0.5)),
    "clamp": lambda: Function(lambda y: y.clamp(-1, 1)),
    "clamp at 0": lambda: Function(lambda y: torch.clamp(y, min=0)),
    "clamp_min_ at 0": lambda: Function(lambda y: y.clone().clamp_min_(0)),
    "relu of a part in place": lambda: Function(relu_on_a_part),
}


def check(name, layer, x, behind):
    rule, oracle = ORACLES[name]
    trial = tried(rule, layer, x, behind())
    assert formula_gap(trial, oracle) < EXACT
    assert conservation_gap(trial) < 1e-12


def test_every_rule_of_weighted_operations_has_an_oracle():
    assert set(ORACLES) == {name for name, made in RULES.items() if hasattr(made, "propagate")}


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("name", ORACLES)
def test_rule_equals_its_formula_on_every_kind_of_layer(name, operation, inputs):
    made, shape = OPERATIONS[operation]
    for behind in FOLLOWED:
        check(name, random_layer(made), sample(inputs, shape), FOLLOWED[behind])


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("behind", CLIPPED)
@pytest.mark.parametrize("name", ["gamma", "z_plus", "alpha_beta", "epsilon"])
def test_rule_equals_its_formula_whatever_clips_the_output(name, behind, inputs):
    for operation in ("linear", "conv2d"):
        made, shape = OPERATIONS[operation]
        check(name, random_layer(made), 3 * sample(inputs, shape), CLIPPED[behind])


@pytest.mark.parametrize("name", ORACLES)
def test_rule_passes_what_rules_of_third_parties_must_pass(name):
    rule, oracle = ORACLES[name]
    assert_passes(check_rule(rule, oracle=oracle))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(st.data())
def test_rules_equal_their_formulas_over_shapes_of_convolutions(data):
    draw = data.draw
    groups = draw(st.integers(1, 3))
    channels, outputs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    kernel, stride, padding = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(0, 2))
    torch.manual_seed(draw(st.integers(0, 99)))
    operation = nn.Conv2d(
        channels, outputs, kernel, stride, padding, draw(st.integers(1, 2)), groups, bias=draw(st.booleans())
    )
    size = 2 * (kernel - 1) + 1 + draw(st.integers(0, 2))
    x = sample(draw(st.sampled_from(INPUTS)), (channels, size, size), draw(st.integers(0, 99)))
    check(
        draw(st.sampled_from(sorted(ORACLES))), operation.double(), x, FOLLOWED[draw(st.sampled_from(sorted(FOLLOWED)))]
    )


class Stack(nn.Module):
    """Two convolutions with normalisation; `skip`: the first convolution feeds a second reader, so nothing may be folded."""

    def __init__(self, skip=False):
        super().__init__()
        torch.manual_seed(1)
        self.skip = skip
        self.first, self.second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3)
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(2))
        for norm in self.norms:
            for tensor in (norm.running_mean, norm.weight.data, norm.bias.data):
                tensor.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)

    def forward(self, x):
        y = self.first(x)
        h = F.relu(self.norms[0](y) + (y if self.skip else 0))
        return F.relu_(self.norms[1](self.second(h))).mean((2, 3))


def merged(model: Stack) -> nn.Module:
    """The same function with each normalisation merged into the convolution in front of it."""
    layers = []
    for conv, norm in zip((model.first, model.second), model.norms, strict=True):
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        copy = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, padding=conv.padding).double()
        copy.weight.data = (conv.weight * scale[:, None, None, None]).detach()
        copy.bias.data = ((conv.bias - norm.running_mean) * scale + norm.bias).detach()
        layers += [copy, nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


COMPOSITES = {
    name: ({"low": -4.0, "high": 4.0} if name == "epsilon_gamma_box" else {})
    for name in lrp.COMPOSITES
    if name not in ("gradient_x_input",)
}


@pytest.mark.parametrize("name", COMPOSITES)
def test_batch_normalisation_is_folded_into_the_convolution_in_front(name):
    model = Stack().double().eval()
    x = torch.randn(2, 2, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).clamp(-4, 4)
    composite = lrp.COMPOSITES[name](**COMPOSITES[name])
    separate, together = (lrp.attribute(m, x, 1, composite) for m in (model, merged(model)))
    torch.testing.assert_close(separate.values, together.values, rtol=1e-9, atol=1e-12)
    assert separate.ledger.closure.max() < 1e-12


@pytest.mark.parametrize("name", COMPOSITES)
def test_a_convolution_with_two_readers_is_not_folded(name):
    model = Stack(skip=True).double().eval()
    x = torch.randn(2, 2, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).clamp(-4, 4)
    relevance = lrp.attribute(model, x, 1, lrp.COMPOSITES[name](**COMPOSITES[name]))
    assert relevance.ledger.closure.max() < 1e-12
    assert "norm" in relevance.ledger.entries


def overwritten(x, write):
    write(x)
    return x


PREAMBLES = {
    "none": lambda x: x,
    "pad": lambda x: F.pad(x, (1, 1, 1, 1)),
    "permute": lambda x: x.permute(0, 1, 3, 2),
    "normalise": lambda x: (x - torch.tensor([0.3, -0.2], dtype=x.dtype).view(1, 2, 1, 1)) / 0.7,
    "in place": lambda x: x.sub_(0.3).div_(0.7),
    "pad with ones": lambda x: F.pad(x, (1, 1, 1, 1), value=1.0),
    "pad with other values": lambda x: F.pad(x, (2, 0, 1, 1), value=-2.0),
    "reflect": lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
    "assign": lambda x: overwritten(x, lambda x: x[:, :, :2].fill_(0.4)),
    "assign zeros": lambda x: overwritten(x, lambda x: x.__setitem__((slice(None), 0), 0)),
    "assign a crop": lambda x: overwritten(x, lambda x: x.__setitem__((..., slice(0, 2)), x[..., 2:4].clone())),
    "mask": lambda x: x.masked_fill(x > 1, 0.5),
    "mask in place": lambda x: x.masked_fill_(x > 1, 0.5),
    "scale a channel in place": lambda x: overwritten(x, lambda x: x[:, 0].mul_(3)),
    "batch norm": lambda x: F.batch_norm(x, torch.tensor([0.1, 0.2]).to(x), torch.tensor([0.5, 2.0]).to(x)),
    "resize": lambda x: F.interpolate(x, scale_factor=2),
    "pool": lambda x: F.max_pool2d(x, 2),
    "average": lambda x: F.avg_pool2d(x, 2),
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False),
}


@pytest.mark.parametrize("rule", [Entry(RULES["flat"](), position="first"), Entry(RULES["w_square"](), position="first"),
                                  Entry(RULES["z_box"](low=-9.0, high=9.0), position="first")])  # fmt: skip
@pytest.mark.parametrize("name", PREAMBLES)
def test_relevance_at_black_pixels_is_exact_behind_any_preparation_of_the_input(name, rule):
    torch.manual_seed(0)
    core = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)).double().eval()
    x = torch.randn(2, 2, 6, 6, dtype=torch.float64)
    x[0, :, 2:4, 2:4] = 0
    prepare = PREAMBLES[name]
    prepared = prepare(x.clone())
    core(prepared)
    composite = Composite("under test", lrp_z().rules, (rule,))
    inside = lrp.attribute(core, prepared, 0, composite)

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.core = core

        def forward(self, x):
            return self.core(prepare(x))

    own = Whole()(x.clone()).detach()
    whole = lrp.attribute(Whole(), x, 0, composite)
    assert (whole.values[0, :, 2:4, 2:4] != 0).any()
    assert whole.ledger.closure.max() < 1e-12
    torch.testing.assert_close(whole.output, own)
    replaced = sum(whole.ledger.entries.get(entry, 0) for entry in ("padding", "constant"))
    reached = whole.values.flatten(1).sum(1) + replaced
    torch.testing.assert_close(reached, inside.values.flatten(1).sum(1), rtol=1e-10, atol=1e-12)
    if whole.values.shape == inside.values.shape and not name.startswith(("assign", "mask")):
        straight = inside.values.permute(0, 1, 3, 2) if name == "permute" else inside.values
        torch.testing.assert_close(whole.values, straight, rtol=1e-10, atol=1e-12)


def test_a_box_that_does_not_hold_the_pixels_is_named():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.LazyLinear(2))
    x = torch.full((1, 1, 4, 4), 5.0)
    model(x)
    with pytest.raises(
        lrp.InputError, match=r"z-box low=0, high=1: the first weighted operation sees values from 5 to 5"
    ):
        lrp.attribute(model, x, 0, lrp.COMPOSITES["epsilon_gamma_box"](low=0, high=1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", COMPOSITES)
def test_low_precision_is_close_to_float64(name, dtype):
    model = Stack().double().eval()
    x = torch.randn(4, 2, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).clamp(-4, 4)
    x[0, :, 2:4, 2:4] = 0
    composite = lrp.COMPOSITES[name](**COMPOSITES[name])
    exact = lrp.attribute(model, x, 1, composite).values
    rough = lrp.attribute(model.to(dtype), x.to(dtype), 1, composite).values
    assert rough.dtype is dtype and rough.isfinite().all()
    assert F.cosine_similarity(exact.flatten(), rough.double().flatten(), dim=0) > (
        0.999999 if dtype is torch.float32 else 0.99
    )


@pytest.mark.parametrize("name", COMPOSITES)
def test_autocast_is_close_to_float32(name):
    model = Stack().eval()
    x = torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(0)).clamp(-4, 4)
    composite = lrp.COMPOSITES[name](**COMPOSITES[name])
    exact = lrp.attribute(model, x, 1, composite).values
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = lrp.attribute(model, x, 1, composite).values
    assert F.cosine_similarity(exact.flatten(), rough.float().flatten(), dim=0) > 0.99
