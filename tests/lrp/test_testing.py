"""`lrp.testing` passes what is sound, and names what is not by the right check."""

import re
import threading
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.overrides import wrap_torch_function
from transformers import BertConfig, BertForSequenceClassification

import lrp
from lrp.handlers import HANDLERS
from lrp.propagation import Propagated
from lrp.testing import Check, assert_passes, check_model, check_rule


@dataclass(frozen=True)
class Magnitude:
    """R_i = sum_j |w_ij x_i| R_j / sum_k |w_kj x_k|, optionally spoilt."""

    spoil: str = ""
    gives_relevance: ClassVar[bool] = True

    def propagate(self, application, c):
        a, r = application, c * application.y
        z, transpose = a.product(a.x.abs(), a.weight.abs())
        if self.spoil == "nan":
            return Propagated(a.x.abs() * transpose(r / z))
        s = torch.where(z > 0, r / z, 0.0)
        value, dead = a.x.abs() * transpose(s), torch.where(z > 0, 0.0, r)
        if self.spoil == "loses":
            return Propagated(0.9 * value, {"dead": dead})
        if self.spoil == "batch":
            kept = 1 / (1 + a.x.abs().mean())
            return Propagated(kept * value, {"dead": dead, "epsilon": (1 - kept) * value})
        if self.spoil == "layout":
            return Propagated(value.flatten().as_strided(value.shape, a.x.stride()), {"dead": dead})
        if self.spoil == "float32":
            offset = 1e4 * a.x.abs().max()
            return Propagated((value + offset) - offset, {"dead": dead})
        return Propagated(value, {"dead": dead})


def formula(x, w, b, r):
    z = (w * x).abs()
    return (z * torch.where(z.sum(1) > 0, r / z.sum(1), 0.0)[:, None]).sum(0)


def failing(checks):
    return {check.name for check in checks if check.passed is False}


def test_a_sound_rule_of_ones_own_passes():
    checks = check_rule(Magnitude(), oracle=formula)
    assert [(check.name, check.passed) for check in checks] == [
        (name, True) for name in ("finite", "conserved", "float32", "batch = single", "memory layout", "formula")
    ]
    assert_passes(checks)


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        ("loses", {"conserved"}),
        ("nan", {"finite"}),
        ("batch", {"batch = single"}),
        ("layout", {"memory layout"}),
        ("float32", {"float32"}),
    ],
)
def test_a_broken_rule_fails_the_check_of_what_is_broken_and_no_other(spoil, names):
    assert failing(check_rule(Magnitude(spoil))) == names


def test_a_rule_that_is_not_its_formula_is_told_where():
    checks = check_rule(lrp.RULES["epsilon"](epsilon=0.25), oracle=lambda x, w, b, r: formula(x, w, b, r) / 2)
    assert failing(checks) == {"formula"}
    with pytest.raises(
        AssertionError, match=r"1 of 6 checks fail\n  formula: .* where rounding is at most 1e-10: conv2d grouped"
    ):
        assert_passes(checks)


def test_a_formula_that_is_not_a_number_fails():
    assert failing(check_rule(Magnitude(), oracle=lambda x, w, b, r: x / 0)) == {"formula"}


def test_a_rule_that_is_finite_nowhere_is_judged_no_further():
    @dataclass(frozen=True)
    class Nowhere:
        gives_relevance: ClassVar[bool] = True

        def propagate(self, application, c):
            return Propagated(application.x / 0 - application.x / 0)

    assert {check.passed for check in check_rule(Nowhere())} == {False, None}


def test_checking_a_rule_draws_no_random_numbers():
    before = torch.get_rng_state()
    check_rule(Magnitude())
    assert torch.equal(torch.get_rng_state(), before)


def bert(**arguments):
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    return BertForSequenceClassification(BertConfig(**sizes, intermediate_size=32, **arguments))


TEXTS = {
    "input_ids": torch.tensor([[5, 6, 7, 8, 9], [9, 8, 7, 0, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sound_model_passes_every_check(dtype):
    model = bert().to(dtype)
    for target in (None, 1, (1, 0)):
        checks = check_model(model, TEXTS, target)
        assert {check.name: check.passed for check in checks} == dict.fromkeys(
            ("strict", "ledger", "untouched", "batch = single", "padded = unpadded", "output"), True
        )
    assert model.training


def test_what_does_not_apply_is_said():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    x = torch.rand(2, 1, 4, 4)
    assert {check.passed for check in check_model(model, x)[:4]} == {True}
    assert check_model(model, x)[4] == Check("padded = unpadded", None, "no attention mask")
    unpadded = {name: value[:1] for name, value in TEXTS.items()}
    assert check_model(bert(), unpadded)[4] == Check("padded = unpadded", None, "no example is padded")
    half = check_model(model.bfloat16(), x.bfloat16())
    assert [check.passed for check in half] == [True, None, True, None, None, None]
    assert "no bound in torch.bfloat16" in half[1].note


class Counting(nn.Linear):
    """Counts its calls in a buffer."""

    def __init__(self):
        super().__init__(4, 3)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


class Dropping(nn.Module):
    """Draws random numbers in evaluation mode too."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        return self.last(x + 0 * torch.rand_like(x.detach()))


class Gathering(nn.Module):
    """Its examples see each other."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        return self.last(x - x.mean(0))


X = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("model", "trace"), [(Counting, "parameters and buffers"), (Dropping, "random state")])
def test_a_model_that_keeps_a_trace_fails_untouched(model, trace):
    checks = check_model(nn.Sequential(model()), X)
    assert [check for check in checks if check.passed is False] == [Check("untouched", False, trace)]


def test_a_model_that_cannot_be_copied_is_checked_and_keeps_its_flags():
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3))
    model.lock = threading.Lock()
    model[2].eval().weight.requires_grad_(False)
    flags = [module.training for module in model.modules()], [p.requires_grad for p in model.parameters()]
    assert failing(check_model(model, X)) == set()
    assert ([module.training for module in model.modules()], [p.requires_grad for p in model.parameters()]) == flags


def test_a_model_whose_logits_depend_on_the_batch_is_not_blamed_on_the_engine():
    checks = {check.name: check for check in check_model(Gathering().double(), X.double())}
    assert checks["batch = single"].passed is None and "logits depend on the batch" in checks["batch = single"].note


@wrap_torch_function(lambda x: (x,))
def contrast(x):
    """Adds nothing, but its handler below looks at the whole batch on the way back."""
    return x * 1.0


def contrasted(mode, func, args, kwargs):
    result = func(*args, **kwargs)
    if len(result) > 1 and result.requires_grad:
        mode.passed(func)
        result.register_hook(lambda c: c.mean(0, keepdim=True).expand_as(c))
    return result


class Mixing(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.last(torch.relu(contrast(torch.relu(self.first(x)))))


def test_an_own_operation_that_mixes_the_batch_on_the_way_back_is_caught(monkeypatch):
    monkeypatch.setitem(HANDLERS, contrast, contrasted)
    torch.manual_seed(0)
    assert "batch = single" in failing(check_model(Mixing(), X, 0))


def test_an_operation_without_a_rule_fails_strict_with_the_cure():
    checks = check_model(Mixing(), X, 0)
    assert [(check.name, check.passed) for check in checks] == [("strict", False)]
    with pytest.raises(AssertionError, match=re.escape("1 of 1 checks fail\n  strict: contrast in module")):
        assert_passes(checks)


def test_a_model_without_any_relevance_fails_strict():
    dead = nn.Linear(4, 3)
    nn.init.zeros_(dead.weight)
    assert [c.note for c in check_model(dead, X, 0) if c.passed is False] == ["relevance is 0 everywhere"]
