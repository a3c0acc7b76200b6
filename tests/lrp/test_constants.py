"""Constants that join values which carry relevance leak what is theirs; functions that are no sum of the two are refused."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import lrp

N = 8
ONE = torch.full((2, N), 0.3, dtype=torch.float64)
LATE = torch.linspace(-0.5, 0.5, N, dtype=torch.float64)


class Hidden(nn.Module):
    """`change` between two linear layers."""

    def __init__(self, change):
        super().__init__()
        torch.manual_seed(0)
        self.change, self.hidden, self.last = change, nn.Linear(6, N), nn.Linear(N, 2)

    def forward(self, x):
        return self.last(self.change(self.hidden(x)))


def features():
    return torch.randn(2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def explained(change, composite="lrp_z"):
    return lrp.attribute(Hidden(change).double().eval(), features(), 0, composite)


def assigned(y, value):
    y = y.clone()
    y[:, 1:3] = value
    return y


UPPER = torch.ones(2, N, dtype=torch.bool).triu()
PLACES = torch.tensor([[0, 1], [3, 2]])
JOINS = {
    "maximum": lambda y: torch.maximum(y, ONE),
    "minimum": lambda y: ONE.minimum(y),
    "max of two": lambda y: torch.max(y, other=ONE),
    "min of two": lambda y: y.min(ONE),
    "maximum with ties": lambda y: torch.maximum(y, y.detach().clone()),
    "maximum with a row": lambda y: torch.maximum(y, LATE),
    "max along an axis": lambda y: y + y.max(1, keepdim=True)[0],
    "max of all": lambda y: y + y.max(),
    "__setitem__": lambda y: assigned(y, 0.7),
    "__setitem__ with a tensor": lambda y: assigned(y, ONE[:, :2]),
    "masked_scatter": lambda y: y.masked_scatter(UPPER, ONE),
    "masked_scatter_": lambda y: y.clone().masked_scatter_(UPPER, ONE),
    "into masked_scatter": lambda y: ONE.masked_scatter(UPPER, y),
    "index_copy": lambda y: y.index_copy(1, torch.tensor([0, 1]), ONE[:, :2]),
    "index_put_": lambda y: y.clone().index_put_((torch.tensor([0, 1]), torch.tensor([2, 3])), ONE[0, :2]),
    "index_add": lambda y: ONE.index_add(1, torch.tensor([0, 1]), y[:, :2], alpha=2),
    "index_fill": lambda y: y.index_fill(1, torch.tensor([0, 1]), 0.7),
    "scatter a number": lambda y: y.scatter(1, PLACES, 0.9),
    "scatter_": lambda y: y.clone().scatter_(1, PLACES, ONE),
    "scatter_add": lambda y: ONE.scatter_add(1, PLACES, y[:, :2]),
    "scatter_reduce amax": lambda y: ONE.scatter_reduce(1, PLACES, y[:, :2], "amax", include_self=False),
    "scatter_reduce mean": lambda y: ONE.scatter_reduce(1, PLACES, y[:, :2], "mean"),
    "masked_fill": lambda y: y.masked_fill(y > 0, 0.7),
    "masked_fill_": lambda y: y.clone().masked_fill_(y > 0, 0.7),
    "where": lambda y: torch.where(y > 0, 0.7, y),
    "pad": lambda y: F.pad(y[:, 2:], (1, 1), value=2.0),
    "constant_pad_nd": lambda y: torch.constant_pad_nd(y[:, 2:], (1, 1), 2.0),
    "cat": lambda y: torch.cat([y[:, :4], ONE[:, :4]], 1),
    "copy_": lambda y: torch.zeros_like(y).copy_(ONE) + y,
    "add with alpha": lambda y: torch.add(ONE, y, alpha=2),
    "add a constant with alpha": lambda y: torch.add(y, ONE, alpha=3),
    "rsub": lambda y: 1 - y,
    "clamp to tensors": lambda y: y.clamp(min=LATE, max=LATE + 0.4),
    "clamp to a tensor": lambda y: torch.clamp(y, min=ONE),
}


@pytest.mark.parametrize("composite", ["lrp_z", "epsilon"])
@pytest.mark.parametrize("name", JOINS)
def test_what_a_constant_brings_is_booked(name, composite):
    relevance = explained(JOINS[name], composite)
    assert relevance.ledger.closure.max() < 1e-12, relevance.ledger.entries


@pytest.mark.parametrize("name", ["maximum", "masked_scatter", "pad", "masked_fill_", "clamp to a tensor"])
def test_the_entry_is_what_the_logit_loses_without_the_constant(name):
    """y = x or a constant, place by place, so that the constants' share is their part of the last layer's sum."""
    model = Hidden(JOINS[name]).double().eval()
    relevance = lrp.attribute(model, features(), 0, "lrp_z")
    y = model.hidden(features()).detach()
    constant = (JOINS[name](y) == JOINS[name](y + 1e-9)).double() if name != "maximum" else (y < ONE).double()
    expected = (JOINS[name](y) * constant) @ model.last.weight[0].detach()
    if name == "clamp to a tensor":  # the identity rule: f(0) is the constant
        expected = ONE @ model.last.weight[0].detach()
    torch.testing.assert_close(relevance.ledger.entries["constant"], expected)


PRODUCTS = {
    "scatter_reduce": lambda y: y.scatter_reduce(1, PLACES, y[:, :2], "prod", include_self=False),
    "scatter with multiply": lambda y: ONE.scatter(1, PLACES, y, reduce="multiply"),
    "segment_reduce": lambda y: torch.segment_reduce(y.T, "prod", lengths=torch.tensor([4, 4])).T.repeat(1, 4),
    "amax with a constant": lambda y: ONE.scatter_reduce(1, PLACES, y[:, :2], "amax"),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_reductions_that_are_not_linear_are_refused(name):
    what = "with the largest or smallest of values and constants" if "amax" in name else "with a product"
    with pytest.raises(lrp.UncoveredOperation, match=what):
        explained(PRODUCTS[name])


def test_a_constant_that_the_model_changes_later_is_booked_as_it_was():
    def change(y):
        constant = torch.ones(2, N, dtype=y.dtype)
        y = y + constant
        constant.mul_(5)
        return y

    assert explained(change).ledger.closure.max() < 1e-12


@pytest.mark.parametrize("composite", ["lrp_z", "epsilon_plus_flat"])
@pytest.mark.parametrize("first", [
    lambda one, x: torch.add(one, other=x), lambda one, x: torch.mul(one, other=x), lambda one, x: torch.sub(one, other=x, alpha=2),
    lambda one, x: torch.add(input=one, other=x), lambda one, x: torch.div(x, other=one + 1),
])  # fmt: skip
def test_the_input_may_come_by_keyword(first, composite):
    model = Hidden(nn.Identity()).double()
    whole = Hidden(nn.Identity()).double()
    whole.forward = lambda x: model(first(torch.ones(1, dtype=x.dtype), x))
    relevance = lrp.attribute(whole, features(), 0, composite)
    torch.testing.assert_close(relevance.output, whole(features()).detach())
    assert relevance.ledger.closure.max() < 1e-12


class Free(nn.Module):
    """Adds or multiplies a tensor that wants a gradient and is no parameter."""

    def __init__(self, use):
        super().__init__()
        torch.manual_seed(0)
        self.hidden, self.last, self.use = nn.Linear(6, N), nn.Linear(N, 2), use
        self.free = [torch.randn(N, N, dtype=torch.float64, requires_grad=True)]

    def forward(self, x):
        return self.last(self.use(self.hidden(x), self.free[0]))


@pytest.mark.parametrize("composite", ["lrp_z", "epsilon"])
@pytest.mark.parametrize("use", [
    lambda y, free: y + free[0], lambda y, free: F.linear(y, free, free[0]), lambda y, free: torch.cat([y[:, :4], free[:2, :4]], 1),
    lambda y, free: torch.addmm(free[0], y, free), lambda y, free: y * free[0], lambda y, free: y @ free,
    lambda y, free: F.layer_norm(y, (N,), free[0], free[1]), lambda y, free: F.prelu(y, free[0, :1]),
])  # fmt: skip
def test_a_free_tensor_that_wants_a_gradient_is_a_constant(use, composite):
    given, fixed = (Free(use).double().eval() for _ in range(2))
    fixed.free = [fixed.free[0].detach()]
    first, second = (lrp.attribute(model, features(), 0, composite) for model in (given, fixed))
    assert first.ledger.closure.max() < 1e-12, first.ledger.entries
    torch.testing.assert_close(first.values, second.values)
    torch.testing.assert_close(dict(first.ledger.entries), dict(second.ledger.entries))
    assert given.free[0].requires_grad and given.free[0].grad is None
