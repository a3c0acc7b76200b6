"""Relevance at modules' outputs and conditions on their channels: what must hold for every composite and kind of layer."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, BertConfig

import lrp

COMPOSITES = ("auto", "lrp_z", "attn_lrp", "epsilon", "epsilon_plus", "epsilon_plus_flat", "epsilon_alpha2_beta1")


class Normalise(nn.Module):
    """(x - 0.3) / 0.2, written out."""

    def forward(self, x: Tensor) -> Tensor:
        return (x - 0.3) / 0.2


class Last(nn.Module):
    """Channels last, as in Swin."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.act = nn.Linear(3, 4), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.linear(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


class Twice(nn.Module):
    """One block called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.block, self.head = nn.Linear(6, 6), nn.Sequential(nn.Linear(6, 6), nn.ReLU()), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(self.block(self.enter(x))))


def head(width: int) -> list[nn.Module]:
    return [nn.Flatten(), nn.Linear(width, 2)]


# Name -> model, shape of one input, a module that every path crosses, and its axis of channels.
Case = tuple[Callable[[], nn.Module], tuple[int, ...], str, int]
CASES: dict[str, Case] = {
    "convolution before a normalisation": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), *head(64)),
        (3, 6, 6),
        "0",
        1,
    ),
    "normalisation behind a convolution": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), *head(64)),
        (3, 6, 6),
        "1",
        1,
    ),
    "bare convolution": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), *head(64)), (3, 6, 6), "0", 1),
    "in-place ReLU": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(True), *head(64)), (3, 6, 6), "1", 1),
    "layer normalisation": (
        lambda: nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.GELU(), nn.Flatten(), nn.Linear(18, 2)),
        (3, 5),
        "1",
        2,
    ),
    "linear before an in-place ReLU": (
        lambda: nn.Sequential(nn.Linear(5, 6), nn.ReLU(True), nn.Linear(6, 4), *head(12)),
        (3, 5),
        "0",
        2,
    ),
    "group normalisation": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.SiLU(), *head(64)),
        (3, 6, 6),
        "2",
        1,
    ),
    "preamble": (lambda: nn.Sequential(Normalise(), nn.Conv2d(3, 4, 3), nn.ReLU(), *head(64)), (3, 6, 6), "0", 1),
    "first normalisation": (
        lambda: nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.ReLU(), *head(64)),
        (3, 6, 6),
        "0",
        1,
    ),
    "first pool": (lambda: nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(3, 4, 3), *head(64)), (3, 12, 12), "0", 1),
    "ReLU behind a convolution in one dimension": (
        lambda: nn.Sequential(nn.Conv1d(3, 4, 3), nn.ReLU(), *head(24)),
        (3, 8),
        "1",
        1,
    ),
    "channels last": (lambda: nn.Sequential(Last(), *head(4 * 36)), (3, 6, 6), "0.act", 3),
    "normalisation of tokens": (
        lambda: nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4), nn.ReLU(), *head(16)),
        (4, 8),
        "0",
        2,
    ),
    "normalisation behind a transposed convolution in groups": (
        lambda: nn.Sequential(nn.ConvTranspose1d(4, 4, 3, groups=2), nn.BatchNorm1d(4), nn.ReLU(), *head(40)),
        (4, 8),
        "0",
        1,
    ),
    "called twice": (Twice, (6,), "block", 1),
}


def built(name: str) -> tuple[nn.Module, Tensor, str, int]:
    make, shape, layer, axis = CASES[name]
    torch.manual_seed(0)
    model, x = make().double().eval(), torch.rand(2, *shape, dtype=torch.float64)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.3, 3)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm):
            nn.init.uniform_(module.weight, 0.3, 2)
            nn.init.normal_(module.bias)
    return model, x, layer, axis


every_case = pytest.mark.parametrize("composite", COMPOSITES)
every_layer = pytest.mark.parametrize("name", CASES)


@every_case
@every_layer
def test_conditions_on_parts_of_the_channels_add_up_and_close(name, composite):
    model, x, layer, axis = built(name)
    whole = lrp.attribute(model, x, 0, composite, layers=(layer,))
    count = whole.layers[layer].shape[axis]
    parts = [
        lrp.attribute(model, x, 0, composite, layers=(layer,), condition={layer: channels})
        for channels in ([0], list(range(1, count)), [], torch.arange(count))
    ]
    assert all(part.ledger.closure.max() < 1e-10 for part in [whole, *parts])
    first, rest, none, every = parts
    assert not none.values.any() and not none.layers[layer].any()
    torch.testing.assert_close(every.values, whole.values, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(first.values + rest.values, whole.values, rtol=1e-10, atol=1e-12)
    kept = first.layers[layer].movedim(axis, 0)
    torch.testing.assert_close(kept[0], whole.layers[layer].movedim(axis, 0)[0])
    assert not kept[1:].any()


@every_case
@every_layer
def test_an_empty_condition_books_the_whole_relevance_of_the_layer(name, composite):
    model, x, layer, _ = built(name)
    whole = lrp.attribute(model, x, 0, composite, layers=(layer,))
    none = lrp.attribute(model, x, 0, composite, condition={layer: []})
    torch.testing.assert_close(none.ledger.entries["condition"], whole.layers[layer].flatten(1).sum(1))


@every_case
@every_layer
def test_watching_changes_nothing(name, composite):
    model, x, layer, _ = built(name)
    found = lrp.attribute(model, x, 0, composite, layers=(layer,))
    assert torch.equal(found.values, lrp.attribute(model, x, 0, composite).values)


# Composites whose rules do not depend on what is in front of the rest of the network.
@pytest.mark.parametrize("composite", ["lrp_z", "attn_lrp", "epsilon", "epsilon_plus", "epsilon_alpha2_beta1"])
@pytest.mark.parametrize("name", [name for name in CASES if name not in ("called twice", "channels last")])
def test_relevance_at_a_layer_is_that_of_the_rest_of_the_network(name, composite):
    model, x, layer, _ = built(name)
    folded = name == "convolution before a normalisation" and composite not in ("lrp_z", "attn_lrp")
    behind = int(layer) + 1 + folded
    with torch.no_grad():
        activation = model[:behind](x)
    found = lrp.attribute(model, x, 0, composite, layers=(layer,))
    expected = lrp.attribute(model[behind:], activation, 0, composite).values
    if isinstance(
        model[behind], nn.BatchNorm1d | nn.BatchNorm2d
    ):  # a normalisation of the input itself takes no share: LRP-0 by hand
        leaf = activation.clone().requires_grad_()
        expected = activation * torch.autograd.grad(model[behind:](leaf)[:, 0].sum(), leaf)[0]
    torch.testing.assert_close(found.layers[layer], expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("composite", ["auto", "epsilon", "epsilon_plus", "epsilon_alpha2_beta1"])
def test_a_convolution_and_the_normalisation_that_its_rule_takes_in_have_the_same_relevance(composite):
    model, x, _, _ = built("convolution before a normalisation")
    layers = lrp.attribute(model, x, 0, composite, layers=("0", "1")).layers
    torch.testing.assert_close(layers["0"], layers["1"])
    masked = [lrp.attribute(model, x, 0, composite, condition={name: [1, 2]}).values for name in ("0", "1")]
    torch.testing.assert_close(*masked)


@every_case
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_a_layer_holds_the_output_minus_what_is_booked_behind_it(composite, bias):
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 4, 3, bias=bias), nn.ReLU(), nn.Conv2d(4, 5, 3, bias=bias), nn.ReLU()]
    model = nn.Sequential(*body, nn.Flatten(), nn.Linear(20, 2, bias=bias)).double()
    x, names = torch.rand(2, 3, 6, 6, dtype=torch.float64), ("5", "3", "2", "1", "0")
    relevance = lrp.attribute(model, x, 0, composite, layers=names)
    assert tuple(relevance.layers) == names
    for name, values in relevance.layers.items():
        behind = [sum(entries.values()) for layer, entries in relevance.ledger.layers.items() if layer > name]
        torch.testing.assert_close(
            values.flatten(1).sum(1), relevance.output[:, 0] - sum(behind), rtol=1e-9, atol=1e-12
        )
        if composite == "lrp_z" and not bias:
            torch.testing.assert_close(values.flatten(1).sum(1), relevance.output[:, 0])


@pytest.mark.parametrize("composite", ["auto", "lrp_z", "epsilon"])
@pytest.mark.parametrize("layer", ["bert.encoder.layer.0", "bert.encoder.layer.0.intermediate", "bert.embeddings"])
def test_conditions_on_a_token_model_add_up_and_close(layer, composite):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, num_labels=2
    )
    model = AutoModelForSequenceClassification.from_config(config).double().eval()
    tokens = {"input_ids": torch.randint(5, 50, (2, 7))}
    whole = lrp.attribute(model, tokens, 0, composite, layers=(layer,))
    count = whole.layers[layer].shape[2]
    parts = [
        lrp.attribute(model, tokens, 0, composite, layers=(layer,), condition={layer: list(channels)})
        for channels in (range(3), range(3, count), ())
    ]
    first, rest, none = (part.values for part in parts)
    assert not parts[0].layers[layer][..., 3:].any()
    # Around an intermediate layer relevance takes the skip connection, whatever the condition.
    torch.testing.assert_close(first + rest - none, whole.values, rtol=1e-9, atol=1e-11)
    assert none.any() == layer.endswith("intermediate")
    assert max(part.ledger.closure.max() for part in parts) < 1e-10


def test_the_last_call_of_a_module_counts():
    model, x, _, _ = built("called twice")
    with torch.no_grad():
        once = model.block(model.enter(x))
    rest = nn.Sequential(model.head)
    expected = lrp.attribute(rest, model.block(once).detach(), 0, "lrp_z").values
    torch.testing.assert_close(lrp.attribute(model, x, 0, "lrp_z", layers=("block",)).layers["block"], expected)


class Unused(nn.Module):
    """A branch that is computed and thrown away, and a module that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.wasted, self.idle = nn.Linear(4, 2), nn.Linear(4, 3), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        F.relu(self.wasted(x))
        return self.used(x)


def test_a_layer_that_no_relevance_reaches_is_zero():
    found = lrp.attribute(Unused(), torch.ones(2, 4), 0, "lrp_z", layers=("wasted",))
    assert torch.equal(found.layers["wasted"], torch.zeros(2, 3))


REFUSED = {
    "misspelt": ({"layers": ("usd",)}, "module 'usd' does not exist; did you mean 'used'"),
    "never runs": ({"layers": ("idle",)}, "module 'idle' did not run"),
    "condition as a list": ({"condition": ["used"]}, "condition is a list: give a mapping"),
    "condition as a tensor": ({"condition": torch.ones(2)}, "condition is a Tensor: give a mapping"),
    "negative channel": ({"condition": {"used": [-1]}}, r"channels \[-1\]; give one or more from 0 to 1"),
    "channels of a wrong type": ({"condition": {"used": torch.tensor([0.5])}}, "give one or more from 0 to 1"),
    "a truth value": ({"condition": {"used": [True]}}, r"channels \[True\]; give one or more from 0 to 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_layers_and_conditions_that_cannot_be_meant_are_refused(name):
    arguments, message = REFUSED[name]
    with pytest.raises(lrp.InputError, match=message):
        lrp.attribute(Unused(), torch.ones(2, 4), 0, "lrp_z", **arguments)
