"""Own composites in Python and YAML, relevance inside the model, positions, and what never passes silently."""

import pytest
import torch
import yaml
from torch import nn
from transformers import AutoModelForSequenceClassification, BertConfig

import lrp
from lrp.composites import Composite, Entry
from lrp.presets import lrp_z
from lrp.resolving import resolve
from lrp.rules import RULES


def convnet() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(16, 2)
    ).double()


X = torch.randn(3, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
OWN = """
name: mine
base: epsilon_plus
rules:
  - {kind: convolution, position: first, rule: flat}
  - {parameter: "2.*", rule: gamma, gamma: 0.1}
  - {position: last, rule: epsilon, epsilon: 0.25}
"""


def test_an_own_composite_from_yaml_equals_the_one_in_python_and_gives_its_rules():
    written = resolve(yaml.safe_load(OWN))
    entries = (
        Entry(RULES["flat"](), kind="convolution", position="first"),
        Entry(RULES["gamma"](gamma=0.1), parameter="2.*"),
        Entry(RULES["epsilon"](epsilon=0.25), position="last"),
    )
    built = Composite("mine", lrp.COMPOSITES["epsilon_plus"]().rules, entries)
    assert written == built
    relevance = lrp.attribute(convnet(), X, 0, yaml.safe_load(OWN))
    used = {entry.parameter: entry.rule for entry in relevance.trace if entry.kind in ("convolution", "linear")}
    assert used == {"0.weight": "Flat()", "2.weight": "Gamma(gamma=0.1)", "5.weight": "Epsilon(epsilon=0.25)"}
    assert relevance.composite == "mine"


def test_depth_runs_from_the_first_weighted_operation_to_the_last():
    composite = Composite("mine", lrp_z().rules, (Entry(RULES["z_plus"](), depth=(0.4, 0.6)),))
    trace = lrp.attribute(convnet(), X, 0, composite).trace
    assert [e.parameter for e in trace if e.rule.startswith("ZPlus")] == ["2.weight"]


BAD = {
    "matches nothing": ({"name": "m", "rules": [{"rule": "flat", "parameter": "nowhere*"}]}, "it matches no operation of this model"),
    "shadowed": (
        {"name": "m", "rules": [{"rule": "flat", "position": "first"}, {"rule": "w_square", "parameter": "0.*"}]},
        "earlier entries take all that it matches",
    ),
    "tie": (
        {"name": "m", "rules": [{"rule": "flat", "position": "first"}, {"rule": "w_square", "position": "first"}]},
        "two entries tie, both with position='first'",
    ),
    "unknown rule": ({"name": "m", "rules": [{"rule": "flatt"}]}, "rule 'flatt' does not exist; choose one of"),
    "unknown parameter": ({"name": "m", "rules": [{"rule": "gamma", "gama": 1}]}, "rule 'gamma' has no parameter 'gama'"),
    "rule of another kind": ({"name": "m", "rules": [{"rule": "halves"}]}, "does not fit operations of kind 'linear'"),
    "unknown kind": ({"name": "m", "rules": [{"rule": "flat", "kind": "conv"}]}, "kind 'conv' does not exist"),
    "depth": ({"name": "m", "rules": [{"rule": "flat", "depth": [0.5, 2]}]}, "give two numbers from 0"),
    "negative gamma": ({"name": "attn_lrp", "gamma": -1}, "gamma=-1: give a number above 0"),
    "box without bounds": ("epsilon_gamma_box", "composite 'epsilon_gamma_box' lacks low, high"),
    "one bound": ({"name": "deep_taylor", "low": 0}, "give both bounds of the pixels or neither"),
    "base without rules": ({"name": "m", "base": "gradient_x_input", "rules": []}, "a composite with rules"),
    "entries that are no mappings": ({"name": "a", "rules": [3]}, "a list of mappings"),
    "no entries": ({"name": "a", "rules": []}, "a list of mappings"),
    "one depth": ({"name": "a", "rules": [{"rule": "gamma", "depth": 1}]}, "two numbers from 0"),
    "an unknown condition": ({"name": "a", "rules": [{"rule": "gamma", "knd": "x"}]}, "'knd'; its parameters: gamma; conditions: kind"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_composite_that_cannot_be_meant_is_refused(name):
    composite, message = BAD[name]
    with pytest.raises(lrp.InputError, match=message):
        lrp.attribute(convnet(), X, 0, composite)


class Attending(nn.Module):
    """Patches, attention, and a convolution behind it."""

    def __init__(self):
        super().__init__()
        self.patches, self.attention = nn.Conv2d(1, 4, 2, 2), nn.MultiheadAttention(4, 2, batch_first=True)
        self.behind, self.head = nn.Conv1d(4, 4, 3), nn.Linear(4, 2)

    def forward(self, x):
        tokens = self.patches(x).flatten(2).mT
        tokens, _ = self.attention(tokens, tokens, tokens)
        return self.head(self.behind(tokens.mT).mean(2))


def test_auto_says_what_it_chose_and_why():
    name = "auto: attn_lrp(gamma=0.25), the default for convolutional networks"
    assert lrp.attribute(convnet(), X, 0).composite == name
    mlp = nn.Sequential(nn.Flatten(), nn.Linear(36, 2)).double()
    assert "networks without convolutions" in lrp.attribute(mlp, X, 0).composite


def test_auto_has_rules_of_its_own_for_every_convolution_around_attention_whatever_else_is_asked():
    torch.manual_seed(1)
    model = Attending().double().eval()
    relevance = lrp.attribute(model, X, 0)
    rules = {entry.parameter: entry.rule for entry in relevance.trace if entry.kind in ("linear", "convolution")}
    assert relevance.composite.startswith("auto: attn_lrp with gamma 0.25 in convolutions")
    assert {rules["patches.weight"], rules["behind.weight"]} == {"Gamma(gamma=0.25)"}
    assert {rule for name, rule in rules.items() if name not in ("patches.weight", "behind.weight")} == {"Zero()"}
    together = lrp.attribute_each(model, X, 0, ("epsilon", "auto"))[1]
    assert torch.allclose(together.values, relevance.values, rtol=1e-12, atol=0)
    assert relevance.ledger.closure.max() < 1e-12


def test_relevance_at_a_layer_is_what_arrives_there():
    model = convnet()
    relevance = lrp.attribute(model, X, 0, "lrp_z", layers=("3", "5"))
    torch.testing.assert_close(relevance.layers["5"][:, 0], relevance.output[:, 0])
    head = nn.Sequential(*model[4:])
    expected = lrp.attribute(head, model[:4](X).detach(), 0, "lrp_z").values
    torch.testing.assert_close(relevance.layers["3"], expected)


def test_concepts_partition_the_relevance_of_a_layer():
    model = convnet()
    whole = lrp.attribute(model, X, 0, "epsilon_plus")
    parts = [lrp.attribute(model, X, 0, "epsilon_plus", condition={"2": [i]}) for i in range(4)]
    torch.testing.assert_close(sum(part.values for part in parts), whole.values)
    assert all(part.ledger.closure.max() < 1e-12 and "condition" in part.ledger.entries for part in parts)


def test_unknown_modules_and_channels_are_named():
    with pytest.raises(lrp.InputError, match="module 'nowhere' does not exist"):
        lrp.attribute(convnet(), X, 0, layers=("nowhere",))
    with pytest.raises(lrp.InputError, match=r"channels \[9\]; give one or more from 0 to 3"):
        lrp.attribute(convnet(), X, 0, condition={"2": [9]})


def test_positions_are_reported_at_their_token_and_add_up_to_the_ledger():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, num_labels=2
    )
    model = AutoModelForSequenceClassification.from_config(config).double().eval()
    ids = torch.randint(5, 50, (2, 7))
    relevance = lrp.attribute(model, {"input_ids": ids}, 0, "attn_lrp")
    assert relevance.positional.shape == ids.shape
    torch.testing.assert_close(relevance.positional.sum(1), relevance.ledger.entries["positional"])
    torch.testing.assert_close(relevance.with_positions, relevance.values + relevance.positional)


def test_the_ledger_by_layer_adds_up_to_its_totals():
    ledger = lrp.attribute(convnet(), X, 0, "epsilon_plus").ledger
    assert set(ledger.layers) == {"0", "2", "5"}
    torch.testing.assert_close(sum(entries["bias"] for entries in ledger.layers.values()), ledger.entries["bias"])


class Scripted(nn.Module):
    """TorchScript: its nodes have ordinary names, and no mode sees the call."""

    def __init__(self):
        super().__init__()
        self.scripted = torch.jit.trace(lambda x: torch.sigmoid(x) * x, torch.ones(2, 3))

    def forward(self, x):
        return self.scripted(x)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning", "ignore:.*torch.jit.*:FutureWarning")
def test_torchscript_never_passes_silently():
    with pytest.raises(lrp.UncoveredOperation, match="TorchScript"):
        lrp.attribute(Scripted(), torch.randn(2, 3), 0, "attn_lrp")


class Checkpointed(nn.Module):
    """Reentrant checkpointing computes again in backward, where no mode is."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)

    def forward(self, x):
        return torch.utils.checkpoint.checkpoint(lambda v: torch.tanh(self.inner(v)), x, use_reentrant=True)


def test_reentrant_checkpointing_never_passes_silently():
    with pytest.raises(lrp.UncoveredOperation, match="CheckpointFunctionBackward"):
        lrp.attribute(Checkpointed(), torch.randn(2, 3), 0, "attn_lrp")


class Layers(nn.Module):
    def __init__(self, kind, packed, **arguments):
        super().__init__()
        torch.manual_seed(0)
        self.packed = packed
        self.body = kind(4, 5, batch_first=True, **arguments)
        self.head = nn.Linear(5 * (1 + self.body.bidirectional), 2)

    def forward(self, x):
        if not self.packed:
            return self.head(self.body(x)[0].mean(1))
        packed = nn.utils.rnn.pack_padded_sequence(
            x, torch.tensor([3, 6, 4])[: len(x)], batch_first=True, enforce_sorted=False
        )
        return self.head(nn.utils.rnn.pad_packed_sequence(self.body(packed)[0], batch_first=True)[0].mean(1))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers_by_steps_give_the_fused_output_and_close(kind, both, packed):
    model = Layers(kind, packed, num_layers=2, bidirectional=both).double().eval()
    x = torch.randn(3, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    relevance = lrp.attribute(model, x, 0, "attn_lrp")
    torch.testing.assert_close(relevance.output, model(x).detach(), rtol=1e-9, atol=1e-12)
    assert relevance.ledger.closure.max() < 1e-12
    if packed:
        assert (relevance.values[0, 3:] == 0).all()


def test_a_bias_free_lstm_gives_its_whole_logit_to_the_words():
    model = Layers(nn.LSTM, packed=False, bias=False).double().eval()
    model.head.bias.data.zero_()
    x = torch.randn(3, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    relevance = lrp.attribute(model, x, 0, "attn_lrp")
    torch.testing.assert_close(relevance.values.sum((1, 2)), relevance.output[:, 0])


OVERWRITING = {
    "add to the output": lambda c, x: c(x).add_(1.0),
    "add to the input afterwards": lambda c, x: (c(x), x.add_(1.0))[0],
    "relu with a second reader": lambda c, x: (lambda y: y + 1 + y.relu())(c(x)),
    "relu in place with an earlier reader": lambda c, x: (lambda y: (y * 2).sum((2, 3), keepdim=True) + y.relu_())(
        c(x)
    ),
}


@pytest.mark.parametrize("name", OVERWRITING)
def test_what_the_model_overwrites_is_kept_for_the_rules(name):
    torch.manual_seed(0)
    first, conv = nn.Conv2d(1, 2, 1).double(), nn.Conv2d(2, 2, 3).double()
    apply = OVERWRITING[name]

    class Net(nn.Module):
        def __init__(self, *, copies):
            super().__init__()
            self.first, self.conv, self.copies = first, conv, copies

        def forward(self, x):
            h = self.first(x) + 0.5
            if not self.copies:
                return apply(self.conv, h).flatten(1)
            return apply(lambda v: self.conv(v.clone()).clone(), h).flatten(1)

    results = [lrp.attribute(Net(copies=copies), X, 0, "epsilon_plus") for copies in (False, True)]
    torch.testing.assert_close(results[0].values, results[1].values)
    assert results[0].ledger.closure.max() < 1e-12


def test_relevance_of_a_unit_that_only_its_bias_switches_on_is_booked_as_dead():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    with torch.no_grad():
        model[2].weight[0], model[2].bias[0] = -1.0, 9.0
    ledger = lrp.attribute(model, torch.rand(2, 3).double(), 0, "deep_taylor").ledger
    assert (ledger.entries["dead"].abs() > 1).all()
    assert ledger.closure.max() < 1e-12
