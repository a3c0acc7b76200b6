"""Calls that overwrite their input, wherever they stand: the model that is explained is the model itself, and its ledger closes."""

import gc

import pytest
import torch
from torch import nn

import lrp
from lrp.nodes import Operation
from lrp.testing import check_model
from tests.lrp.zoo_plain import Overwriting

COMPOSITES = ("lrp_z", "epsilon", "epsilon_plus_flat", "gradient_x_input")


class First(nn.Module):
    """`prepare` overwrites a float input, then two linear layers."""

    def __init__(self, prepare):
        super().__init__()
        torch.manual_seed(0)
        self.prepare, self.hidden, self.last = prepare, nn.Linear(48, 8), nn.Linear(8, 2)

    def forward(self, x):
        x = x.clone()
        self.prepare(x)
        return self.last(torch.relu(self.hidden(x.flatten(1))))


def images():
    return torch.rand(2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.2


def assign(x):
    x[:, 0] = 0


def assign_value(x):
    x[:, 1] = 0.7


def assign_tensor(x):
    x[:, 1] = torch.full((4, 4), 0.3, dtype=x.dtype)


def assign_itself(x):
    x[:, 0] = x[:, 1] * x[:, 2]


def subtract_in_a_channel(x):
    x[:, 0] -= 0.5


def scale_a_view(x):
    x[:, 1].mul_(3)


def squash_a_view(x):
    x.view(2, -1).tanh_()


def squash_a_channel(x):
    x[:, 1].tanh_()


def mask_a_view(x):
    x.view(2, -1)[:, 5:20].masked_fill_(torch.ones((), dtype=torch.bool), 0.4)


def shift_a_view(x):
    x[:, 1].sigmoid_()


def fill_a_constant(x):
    constant = torch.full_like(x.detach(), 0.2)
    constant[:, :2] = x[:, :2]
    x.copy_(constant)


def add_to_a_constant(x):
    constant = torch.full_like(x.detach(), 0.2)
    constant[:, 1:].add_(x[:, 1:])
    constant *= x.flip(1)
    x.copy_(constant)


OVERWRITES = {
    "assign": assign,
    "assign a value": assign_value,
    "assign a tensor": assign_tensor,
    "assign itself": assign_itself,
    "clamp_": lambda x: x.clamp_(0, 0.3),
    "relu_, tanh_": lambda x: x.relu_().tanh_(),
    "subtract in a channel": subtract_in_a_channel,
    "add_ itself": lambda x: x.add_(x.flip(1)),
    "masked_fill_": lambda x: x.masked_fill_(x > 0.5, 0.0),
    "masked_fill_ with a value": lambda x: x.masked_fill_(x > 0.5, 0.7),
    "normalise": lambda x: x.sub_(0.5).div_(2),
    "square": lambda x: x.pow_(2),
    "times itself": lambda x: x.mul_(x.sigmoid()),
    "scale a view": scale_a_view,
    "squash a view": squash_a_view,
    "squash a channel": squash_a_channel,
    "mask a view": mask_a_view,
    "shift a view": shift_a_view,
    "zero_": lambda x: x[:, 2].zero_(),
    "fill_": lambda x: x[:, 2].fill_(0.6),
    "fill a constant": fill_a_constant,
    "add to a constant": add_to_a_constant,
    "copy_": lambda x: x[:, 2].copy_(x[:, 0].tanh()),
}


def assert_explains(model, x, composite):
    """The model's own logits are explained, and the books close."""
    with torch.no_grad():
        own = model(x.clone())
    relevance = lrp.attribute(model, x, 0, composite)
    torch.testing.assert_close(relevance.output, own, rtol=1e-12, atol=1e-12)
    if composite != "gradient_x_input":
        assert relevance.ledger.closure.max() < 1e-12, relevance.ledger.entries
    return relevance


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("name", OVERWRITES)
def test_the_model_that_overwrites_its_float_input_is_the_one_explained(name, composite):
    model, x = First(OVERWRITES[name]).double().eval(), images()
    before = x.clone()
    assert_explains(model, x, composite)
    assert torch.equal(x, before)


class Hidden(nn.Module):
    """`change` may overwrite a hidden layer; it returns the tensor to go on with."""

    def __init__(self, change):
        super().__init__()
        torch.manual_seed(0)
        self.change, self.hidden, self.last = change, nn.Linear(48, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.last(self.change(self.hidden(x.flatten(1))))


@pytest.mark.parametrize("composite", ["lrp_z", "epsilon", "auto"])
@pytest.mark.parametrize("name", OVERWRITES)
def test_the_ledger_closes_where_a_hidden_layer_is_overwritten(name, composite):
    def change(h):
        h = torch.cat([h, h * 0.5, h - 0.1, h, h, h], 1).view(2, 3, 4, 4)
        OVERWRITES[name](h)
        return h.flatten(1)[:, :8] + h.flatten(1)[:, 8:].mean(1, keepdim=True)

    assert_explains(Hidden(change).double().eval(), images(), composite)


class Late(First):
    """Overwrites its input after it was read, and then reads it again."""

    def forward(self, x):
        y = self.hidden(x.flatten(1))
        x = x.mul_(2).relu_() if self.prepare else (x * 2).relu()
        return self.last(y + self.hidden(x.flatten(1)))


@pytest.mark.parametrize("composite", ["lrp_z", "epsilon", "epsilon_plus_flat"])
def test_an_input_that_is_overwritten_after_it_was_read_keeps_what_was_read(composite):
    written, plain = (assert_explains(Late(flag).double().eval(), images(), composite) for flag in (True, False))
    torch.testing.assert_close(written.values, plain.values, rtol=1e-12, atol=1e-12)


def test_a_model_whose_output_is_not_its_own_fails_a_check():
    class Counting(First):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return super().forward(x) * self.calls

    checks = check_model(Counting(OVERWRITES["clamp_"]).double().eval(), images(), target=0)
    assert "output" in {check.name for check in checks if check.passed is False}


@pytest.mark.parametrize("composite", COMPOSITES)
def test_parts_that_autograd_cannot_follow_are_named(composite):
    def overwrite_a_part(x):
        x.unbind(1)[0].mul_(2)

    with pytest.raises(lrp.InputError, match=r"a part that chunk, split or unbind returned.*clone the part first"):
        lrp.attribute(First(overwrite_a_part).double().eval(), images(), 0, composite)


def test_a_model_that_overwrites_what_autograd_saved_costs_no_memory_from_its_second_explanation_on() -> None:
    model, x = Overwriting().eval(), torch.randn(2, 3, 16, 16)
    counts = []
    for _ in range(4):
        lrp.attribute(model, x, 0)
        gc.collect()
        counts.append(sum(type(o) is Operation for o in gc.get_objects()))
    assert counts[1:] == counts[:1] * 3
