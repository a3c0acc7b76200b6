"""Every rule against a second implementation in float64, written from the papers' formulas with explicit loops over R."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import lrp
from lrp.composites import Composite
from lrp.presets import attn_lrp, cp_lrp, epsilon
from lrp.rules import RULES, Factors

N = 5


class Readout(nn.Module):
    """Logit = <function(x), v>, so that relevance arrives at y as y v."""

    def __init__(self, function, size):
        super().__init__()
        self.function = function
        self.v = nn.Parameter(torch.linspace(-1.0, 2.0, size, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return (self.function(x).flatten(1) * self.v).sum(1, keepdim=True)


GAIN = np.random.default_rng(1).normal(size=N)


def attention(x):
    q, k, v = x.view(-1, 3, 1, 3, 2).unbind(1)
    return nn.functional.scaled_dot_product_attention(q, k, v)


def written_attention(x):
    q, k, v = x.view(-1, 3, 3, 2).unbind(1)
    return torch.softmax(q @ k.transpose(1, 2) / 2**0.5, -1) @ v


def oracle_identity(x, v):
    y = torch.nn.functional.gelu(torch.tensor(x)).numpy()
    return y * v


def oracle_constant_scale(x, v):
    mean, scale = x.mean(), 1 / np.sqrt(x.var() + 1e-5)
    y = (x - mean) * scale * GAIN
    relevance = np.zeros(N)
    for i in range(N):
        for j in range(N):
            weight = ((i == j) - 1 / N) * scale * GAIN[j]
            relevance[i] += x[i] * weight * (y[j] * v[j]) / y[j]
    return relevance


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def oracle_softmax(x, v):
    """AttnLRP eq. 13: R_i = x_i (R_i - s_i sum_j R_j), with R_j = s_j v_j."""
    s = softmax(x)
    r = s * v
    return x * (r - s * r.sum())


def oracle_nothing(x, v):
    return np.zeros_like(x)


def oracle_halves(x, v):
    a, b = x[:N], x[N:]
    r = a * b * v
    return np.concatenate([r / 2, r / 2])


def oracle_first(x, v):
    return np.concatenate([x[:N] * x[N:] * v, np.zeros(N)])


def oracle_second(x, v):
    return np.concatenate([np.zeros(N), x[:N] * x[N:] * v])


def attention_parts(x, v):
    """Relevance at weights and at values: each output entry o_id = sum_j p_ij v_jd passes R to both factors in full."""
    q, k, values = x.reshape(3, 3, 2)
    v = v.reshape(3, 2)
    scores = q @ k.T / np.sqrt(2)
    p = np.stack([softmax(row) for row in scores])
    r_weights, r_values = np.zeros((3, 3)), np.zeros((3, 2))
    for i in range(3):
        for j in range(3):
            for d in range(2):
                part = p[i, j] * values[j, d] * v[i, d]
                r_weights[i, j] += part
                r_values[j, d] += part
    return q, k, scores, p, r_weights, r_values


def oracle_quarters(x, v):
    q, k, scores, p, r_weights, r_values = attention_parts(x, v)
    half = r_weights / 2
    r_scores = scores * (half - p * half.sum(1, keepdims=True))
    r_q, r_k = np.zeros((3, 2)), np.zeros((3, 2))
    for i in range(3):
        for j in range(3):
            for d in range(2):
                part = q[i, d] * k[j, d] / np.sqrt(2) / scores[i, j] * r_scores[i, j] / 2
                r_q[i, d] += part
                r_k[j, d] += part
    return np.concatenate([r_q.ravel(), r_k.ravel(), (r_values / 2).ravel()])


def oracle_values(x, v):
    *_, r_values = attention_parts(x, v)
    return np.concatenate([np.zeros(12), r_values.ravel()])


def plain(**rules) -> Composite:
    return Composite("under test", {**attn_lrp().rules, **{kind: RULES[name]() for kind, name in rules.items()}})


PRODUCT = (lambda x: x[:, :N] * x[:, N:], 2 * N, N)
ORACLES = {
    "gradient": (lambda x: torch.softmax(x, -1), N, N, attn_lrp(), oracle_softmax),
    "constant": (lambda x: torch.softmax(x, -1), N, N, plain(softmax="constant"), oracle_nothing),
    "halves": (*PRODUCT, attn_lrp(), oracle_halves),
    "first": (*PRODUCT, plain(product="first"), oracle_first),
    "second": (*PRODUCT, plain(product="second"), oracle_second),
    "quarters": (attention, 18, 6, attn_lrp(), oracle_quarters),
    "values": (attention, 18, 6, cp_lrp(), oracle_values),
    "identity": (nn.functional.gelu, N, N, attn_lrp(), oracle_identity),
    "constant_scale": (
        lambda x: nn.functional.layer_norm(x, (N,), torch.tensor(GAIN)), N, N, attn_lrp(), oracle_constant_scale,
    ),
}  # fmt: skip


def test_every_rule_has_an_oracle():
    """Those of weighted operations have theirs in test_weighted.py."""
    assert set(ORACLES) == {name for name, made in RULES.items() if not hasattr(made, "propagate")}


@pytest.mark.parametrize("name", ORACLES)
def test_rule_equals_its_formula(name):
    function, size, outputs, composite, oracle = ORACLES[name]
    model = Readout(function, outputs)
    x = torch.randn(3, size, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    if oracle is oracle_nothing:
        # A logit beside the constant, so that a gradient exists at all.
        model.function = lambda x: function(x) + 0 * x
    relevance = lrp.attribute(model, x, 0, composite)
    expected = np.stack([oracle(row, model.v.detach().numpy()) for row in x.numpy()])
    np.testing.assert_allclose(relevance.values.numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("composite", [attn_lrp(), cp_lrp(), epsilon()])
def test_fused_attention_equals_the_written_one(composite):
    x = torch.randn(4, 18, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    fused, written = (lrp.attribute(Readout(f, 6), x, 0, composite) for f in (attention, written_attention))
    torch.testing.assert_close(fused.values, written.values, rtol=1e-10, atol=1e-12)
    for entry in ("softmax", "inputs"):
        zero = torch.zeros(4, dtype=torch.float64)
        torch.testing.assert_close(fused.ledger.entries.get(entry, zero), written.ledger.entries.get(entry, zero))


def in_place(x, write):
    y = 1.0 * x
    write(y)
    return y


WRITTEN_OUT = {
    "gelu_new": lambda x: 0.5 * x * (1.0 + torch.tanh(0.79788456 * (x + 0.044715 * torch.pow(x, 3.0)))),
    "gelu_erf": lambda x: x * 0.5 * (1.0 + torch.erf(x / 2**0.5)),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "mish": lambda x: x * torch.tanh(nn.functional.softplus(x)),
    "relu squared": lambda x: torch.square(nn.functional.relu(x)),
    "silu in place": lambda x: in_place(x, lambda y: y.mul_(y.sigmoid())),
    "silu of a copy": lambda x: x.clone() * torch.sigmoid(x),
    "relu squared in place": lambda x: in_place(x, lambda y: y.relu_().pow_(2)),
}


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_written_out_activation_gets_the_identity_rule(name):
    function = WRITTEN_OUT[name]
    model = Readout(function, N)
    x = torch.randn(3, N, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    relevance = lrp.attribute(model, x, 0, "attn_lrp")
    torch.testing.assert_close(relevance.values, function(x) * model.v.detach(), rtol=1e-10, atol=1e-12)


def test_a_gate_of_two_different_inputs_is_not_taken_for_an_activation():
    x = torch.randn(2, 2 * N, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for gate in (torch.tanh, nn.functional.silu):
        model = Readout(lambda x, gate=gate: x[:, :N] * gate(x[:, N:]), N)
        relevance = lrp.attribute(model, x, 0, "attn_lrp")
        torch.testing.assert_close(relevance.values[:, :N], x[:, :N] * gate(x[:, N:]) * model.v.detach() / 2)


@pytest.mark.parametrize("gated", [
    lambda x: x[:, :N] * torch.sigmoid(x[:, N:]),
    lambda x: nn.functional.hardsigmoid(x[:, N:]) * x[:, :N],
    lambda x: nn.functional.glu(x, 1),
])  # fmt: skip
def test_the_signal_takes_all_from_a_sigmoid_gate(gated):
    model = Readout(gated, N)
    x = torch.randn(2, 2 * N, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    relevance = lrp.attribute(model, x, 0, "attn_lrp")
    torch.testing.assert_close(relevance.values[:, :N], gated(x) * model.v.detach())
    assert (relevance.values[:, N:] == 0).all()


def test_quotient_and_written_rms_norm_hold_the_scale_constant():
    written = Readout(lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6), N)
    fused = Readout(lambda x: nn.functional.rms_norm(x, (N,), eps=1e-6), N)
    divided = Readout(lambda x: x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt(), N)
    powered = Readout(lambda x: x * (x.square().mean(-1, keepdim=True) + 1e-6).pow(-0.5), N)
    x = torch.randn(3, N, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    scale = (x.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt()
    for model in (written, fused, divided, powered):
        torch.testing.assert_close(lrp.attribute(model, x, 0, "attn_lrp").values, x * scale * model.v.detach())


def test_x_gradient_identity_on_a_bias_free_relu_net():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8, bias=False), nn.ReLU(), nn.Linear(8, 3, bias=False)).double()
    x = torch.randn(5, 6, dtype=torch.float64)
    results = [lrp.attribute(model, x, 1, composite) for composite in ("attn_lrp", "cp_lrp", "gradient_x_input")]
    for result in results:
        torch.testing.assert_close(result.values, results[-1].values)
        torch.testing.assert_close(result.values.sum(1), result.output[:, 1])


def test_contrast_is_seeded_with_each_logits_own_value():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    x = torch.randn(5, 6, dtype=torch.float64)
    first, second, contrast = (lrp.attribute(model, x, t, "attn_lrp") for t in (0, 2, (0, 2)))
    torch.testing.assert_close(contrast.values, first.values - second.values)
    torch.testing.assert_close(contrast.ledger.output, (first.output[:, 0] - first.output[:, 2]))
    pairs = torch.tensor([[0, 2], [2, 0], [0, 2], [1, 0], [0, 2]])
    each = lrp.attribute(model, x, pairs, "attn_lrp")
    torch.testing.assert_close(each.values[0], contrast.values[0])
    torch.testing.assert_close(each.values[1], -contrast.values[1])


def test_factors_are_data():
    assert Factors((0.5, 0.5)) == RULES["halves"]()


@pytest.mark.parametrize("activation", [nn.SiLU, nn.GELU, nn.Mish, nn.ELU])
def test_in_place_activations_equal_the_others(activation):
    x = torch.randn(3, N, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    kinds = [{}] if activation is nn.GELU else [{}, {"inplace": True}]
    for arguments in kinds:
        model = Readout(nn.Sequential(nn.Identity(), activation(**arguments)), N)
        scaled = Readout(lambda x, inner=model.function: inner(2 * x), N)
        expected = activation()(2 * x) * scaled.v.detach()
        torch.testing.assert_close(lrp.attribute(scaled, x, 0, "attn_lrp").values, expected)


def test_products_given_by_keyword_are_products():
    x = torch.randn(3, 2 * N, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    positional, keyword = (Readout(f, N) for f in (PRODUCT[0], lambda x: torch.mul(input=x[:, :N], other=x[:, N:])))
    results = [lrp.attribute(model, x, 0, "attn_lrp").values for model in (positional, keyword)]
    torch.testing.assert_close(*results)


def test_no_function_is_in_two_tables():
    from lrp import operations

    subsets = ("MOVES", "AVERAGES", "PADS", "REPLACES", "FILLS", "MATRIX_PRODUCTS")  # of PASSES, JOINS and PRODUCTS
    tables = [value for name, value in vars(operations).items() if isinstance(value, set) and name not in subsets]
    assert [f for table in tables for f in table if sum(f in other for other in tables) > 1] == []


def test_one_composite_object_may_be_asked_for_twice():
    model, composite = Readout(nn.functional.gelu, N), attn_lrp()
    x = torch.randn(2, N, dtype=torch.float64)
    first, second = lrp.attribute_each(model, x, 0, (composite, composite))
    torch.testing.assert_close(first.values, second.values)
