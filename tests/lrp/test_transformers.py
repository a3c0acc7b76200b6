"""The engine on the sequence classifiers of the installed transformers release, unmodified, built small with random weights."""

import copy
import gc

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    LlamaConfig,
    RobertaConfig,
)

import lrp
from lrp.nodes import Operation

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
COMMON = {"vocab_size": 100, "num_labels": 3, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
CONFIGS = {
    "bert": lambda: BertConfig(**COMMON, **SMALL),
    "distilbert": lambda: DistilBertConfig(dim=32, n_layers=2, n_heads=4, hidden_dim=64, **COMMON),
    "roberta": lambda: RobertaConfig(max_position_embeddings=64, **COMMON, **SMALL),
    "electra": lambda: ElectraConfig(embedding_size=16, **COMMON, **SMALL),
    "gpt2": lambda: GPT2Config(n_embd=32, n_layer=2, n_head=4, **COMMON),
    "llama": lambda: LlamaConfig(num_key_value_heads=2, **COMMON, **SMALL),
}
COMPOSITES = ["attn_lrp", "cp_lrp", "epsilon"]
LEFT_PADDED = ["gpt2", "llama"]


def build(name: str, attention: str) -> nn.Module:
    """Random weights, biases and gains too, so that every entry of the ledger is used; float64."""
    torch.manual_seed(4)
    config = CONFIGS[name]()
    config._attn_implementation = attention
    model = AutoModelForSequenceClassification.from_config(config).double()
    for parameter in model.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    return model


def batch(side: str = "right") -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 100, (3, 9), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    span = slice(6, None) if side == "right" else slice(0, 3)
    ids[1, span], mask[1, span] = 0, 0
    return {"input_ids": ids, "attention_mask": mask}


def tolerance(name: str) -> dict[str, float]:
    """Llama's RMSNorm computes in float32 whatever the model's type."""
    return {"rtol": 1e-4, "atol": 1e-5} if name == "llama" else {"rtol": 1e-8, "atol": 1e-10}


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", CONFIGS)
def test_ledger_closes_strictly_on_an_unmodified_model(name, attention, composite):
    relevance = lrp.attribute(build(name, attention), batch(), (0, 1), composite)
    assert relevance.ledger.closure.max() < (1e-5 if name == "llama" else 1e-12)
    assert not any(entry.kind == "uncovered" for entry in relevance.trace)
    torch.testing.assert_close(relevance.values.double().sum(1), relevance.ledger.entries["inputs"])


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("name", CONFIGS)
def test_fused_attention_equals_eager(name, composite):
    eager, fused = (
        lrp.attribute(build(name, attention), batch(), (0, 1), composite) for attention in ("eager", "sdpa")
    )
    torch.testing.assert_close(eager.values, fused.values, **tolerance(name))


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", CONFIGS)
def test_padding_is_exactly_zero_and_changes_nothing(name, side):
    model = build(name, "sdpa")
    inputs = batch(side)
    real = inputs["attention_mask"][1] == 1
    alone = {key: value[1:2, real] for key, value in inputs.items()}
    if side == "left" and name == "gpt2":
        # GPT-2 numbers positions from the first column unless told otherwise; Llama's rotary positions are relative.
        inputs["position_ids"] = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
    padded = lrp.attribute(model, inputs, 0, "attn_lrp")
    assert (padded.values[inputs["attention_mask"] == 0] == 0).all()
    assert padded.ledger.closure.max() < (1e-5 if name == "llama" else 1e-12)
    if side == "left" and name not in LEFT_PADDED:
        # An encoder reads its answer from the first column, here padding: the ledger says what went there.
        assert padded.ledger.entries["padding"][1] != 0
        return
    assert "padding" not in padded.ledger.entries or padded.ledger.entries["padding"].abs().max() == 0
    alone_values = lrp.attribute(model, alone, 0, "attn_lrp").values
    torch.testing.assert_close(padded.values[1:2, real], alone_values, **tolerance(name))


@pytest.mark.parametrize("name", CONFIGS)
def test_batch_equals_single(name):
    model = build(name, "sdpa")
    inputs = batch()
    together = lrp.attribute(model, inputs, None, "attn_lrp")
    for i in range(3):
        single = lrp.attribute(model, {k: v[i : i + 1] for k, v in inputs.items()}, None, "attn_lrp")
        torch.testing.assert_close(single.values[0], together.values[i], **tolerance(name))
        torch.testing.assert_close(single.ledger.output[0], together.ledger.output[i], **tolerance(name))


@pytest.mark.parametrize("name", CONFIGS)
def test_composites_in_one_forward_pass_equal_one_by_one(name):
    model = build(name, "eager")
    names = [*COMPOSITES, "gradient_x_input", "auto"]
    for composite, shared in zip(names, lrp.attribute_each(model, batch(), (2, 0), names), strict=True):
        alone = lrp.attribute(model, batch(), (2, 0), composite)
        torch.testing.assert_close(shared.values, alone.values, **tolerance(name))
        torch.testing.assert_close(shared.ledger.residual, alone.ledger.residual, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_gradient_x_input_is_the_plain_gradient(name):
    model = build(name, "sdpa").eval()
    inputs = batch()
    embedded = model.get_input_embeddings()(inputs["input_ids"]).detach().requires_grad_()
    if name in LEFT_PADDED:
        inputs = {k: v[:1] for k, v in inputs.items()}
        embedded = embedded[:1].detach().requires_grad_()
    positions = {"position_ids": torch.arange(9).expand(len(embedded), -1) + 1} if name == "roberta" else {}
    if name == "roberta":
        inputs = {"input_ids": inputs["input_ids"][:1], "attention_mask": inputs["attention_mask"][:1]}
        embedded, positions = embedded[:1].detach().requires_grad_(), {"position_ids": torch.arange(1, 10)[None]}
    logits = model(inputs_embeds=embedded, attention_mask=inputs["attention_mask"], **positions).logits
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), embedded)
    expected = (embedded * gradient).sum(-1).masked_fill(inputs["attention_mask"] == 0, 0)
    torch.testing.assert_close(lrp.attribute(model, inputs, 0, "gradient_x_input").values, expected, **tolerance(name))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["bert", "gpt2", "llama"])
def test_leaves_no_trace_on_the_model(name, training):
    model = build(name, "sdpa").train(training)
    model.get_input_embeddings().weight.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    flags = [p.requires_grad for p in model.parameters()]
    modes = [m.training for m in model.modules()]
    generator = torch.get_rng_state()
    lrp.attribute_each(model, batch(), (0, 1), ["attn_lrp", "cp_lrp", "epsilon", "gradient_x_input"])
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert [p.requires_grad for p in model.parameters()] == flags
    assert [m.training for m in model.modules()] == modes
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), generator)
    assert not any(m._forward_hooks or m._backward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("name", CONFIGS)
def test_the_graph_is_freed_without_the_garbage_collector(name):
    model = build(name, "eager")
    gc.collect()
    gc.disable()
    before = {
        id(o) for o in gc.get_objects() if type(o) is Operation
    }  # of a test whose backward pass failed inside torch
    try:
        lrp.attribute_each(model, batch(), 0, ["attn_lrp", "epsilon"])
        alive = [o for o in gc.get_objects() if type(o) is Operation and id(o) not in before]
    finally:
        gc.enable()
    assert alive == []


def test_a_failure_inside_the_model_leaves_no_trace_either():
    model = build("bert", "sdpa").train()
    with pytest.raises(IndexError, match="out of range"):
        lrp.attribute(model, {"input_ids": torch.tensor([[5, 1000]])})
    assert model.training and all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_bfloat16_is_close_to_float32(name):
    model = build(name, "sdpa").float()
    exact = lrp.attribute(model, batch(), 0, "attn_lrp").values
    rough = lrp.attribute(model.bfloat16(), batch(), 0, "attn_lrp").values.float()
    assert torch.cosine_similarity(exact.flatten(), rough.flatten(), dim=0) > 0.98


def test_the_tokenizers_mapping_and_no_grad_callers_are_accepted():
    from collections import UserDict

    model = build("bert", "sdpa")
    with torch.no_grad():
        inside = lrp.attribute(model, UserDict(batch()), 0, "attn_lrp")
    torch.testing.assert_close(inside.values, lrp.attribute(model, batch(), 0, "attn_lrp").values)
    assert not inside.values.requires_grad and not inside.output.requires_grad


def test_trace_names_the_rule_of_every_operation():
    trace = lrp.attribute(build("bert", "eager"), batch(), 0, "cp_lrp").trace
    kinds = [entry.kind for entry in trace]
    assert kinds.count("attention_product") == kinds.count("softmax") == 2
    assert kinds.count("norm") == 5
    assert {e.rule for e in trace if e.kind == "attention_product"} == {"Factors(factors=(0.0, 1.0))"}
    assert "bert.encoder.layer.1.output.dense.weight" in {entry.parameter for entry in trace}
    gpt2 = lrp.attribute(build("gpt2", "sdpa"), batch(), 0, "attn_lrp").trace
    assert [entry.kind for entry in gpt2].count("activation_product") == 2


class Custom(torch.autograd.Function):
    """A user's own autograd function, which a mode cannot see."""

    @staticmethod
    def forward(ctx, x):
        return x.sin()

    @staticmethod
    def backward(ctx, g):
        return g


UNCOVERED = {
    "lgamma": (
        lambda x: torch.lgamma(x),
        r"lgamma in module .* carries relevance.*Cure: say which operation it is like",
    ),
    "atan2": (lambda x: torch.atan2(x, x + 1), "atan2"),
    "custom autograd function": (lambda x: Custom.apply(x), "CustomBackward"),
    "max": (lambda x: x.cummax(-1)[0], "cummax"),
}


class Wrapped(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize("name", UNCOVERED)
def test_an_operation_without_a_rule_raises_and_names_the_cure(name):
    function, message = UNCOVERED[name]
    model, x = Wrapped(function), torch.randn(2, 3)
    with pytest.raises(lrp.UncoveredOperation, match=message):
        lrp.attribute(model, x, 0, "attn_lrp")
    loose = lrp.attribute(model, x, 0, "attn_lrp", strict=False)
    assert any(entry.kind == "uncovered" for entry in loose.trace)


def test_cover_refuses_what_has_no_rule_itself():
    with pytest.raises(lrp.InputError, match="like=lgamma: the engine has no rule for it"):
        lrp.cover(torch.digamma, like=torch.lgamma)


def test_a_compiled_model_is_explained_as_the_module_it_was_made_from():
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)), torch.randn(3, 4)
    expected = lrp.attribute(model, x, 0)
    inside = nn.Sequential(torch.compile(model[0], backend="eager"), model[1], model[2])
    for compiled in (torch.compile(model, backend="aot_eager"), inside):
        compiled(x)
        found = lrp.attribute(compiled, x, 0)
        assert torch.equal(found.values, expected.values)
        assert [entry.operation for entry in found.trace] == [entry.operation for entry in expected.trace]


BAD = {
    "class too large": ({"target": 3}, r"classes 0 to 2"),
    "negative class": ({"target": -1}, r"classes 0 to 2"),
    "target of a wrong shape": ({"target": torch.zeros(7, dtype=torch.long)}, r"target of shape \(7,\)"),
    "target by name": ({"target": "cat"}, "give class indices, not names"),
    "layers as one name": ({"layers": "bert"}, "give a sequence of names"),
    "condition as a number": ({"condition": {"bert.pooler.dense": 1}}, "channels 1; give one or more from 0 to"),
    "unknown composite": ({"composite": "lrp"}, r"'lrp' does not exist; choose one of lrp_z"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_are_named(name):
    arguments, message = BAD[name]
    with pytest.raises(lrp.InputError, match=message):
        lrp.attribute(build("bert", "sdpa"), batch(), **arguments)


UNUSABLE = {
    "no module": (torch.sigmoid, torch.ones(2, 3), "give a torch.nn.Module"),
    "no logits in a mapping": (Wrapped(lambda x: {"scores": x}), torch.ones(2, 3), r"not a mapping with \['scores'\]"),
    "logits per pixel": (Wrapped(lambda x: x[..., None]), torch.ones(2, 3), r"not \(2, 3, 1\)"),
    "no examples": (Wrapped(lambda x: x), torch.ones(0, 3), "at least one example"),
    "NaN": (Wrapped(lambda x: x), torch.tensor([[1.0, 2.0], [torch.nan, 0.0]]), "1 of 2 examples, the first is 1"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_model_or_an_input_that_cannot_be_explained_is_named(name):
    model, x, message = UNUSABLE[name]
    with pytest.raises(lrp.InputError, match=message):
        lrp.attribute(model, x, 0)


def test_inputs_without_anything_to_explain_are_named():
    with pytest.raises(lrp.InputError, match="give a float tensor, or a mapping with 'input_ids'"):
        lrp.attribute(nn.Linear(3, 2), torch.ones(2, 3, dtype=torch.long))
    with pytest.raises(lrp.InputError, match="epsilon=0"):
        lrp.COMPOSITES["epsilon"](epsilon=0)
