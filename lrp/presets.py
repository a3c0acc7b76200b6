"""The composites that have a name. To add one, write a function and add one line to `COMPOSITES`.

Where a name agrees with zennit's (Anders et al. 2021) so does the definition.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from lrp.composites import MIXING, WEIGHTED, Composite, Entry
from lrp.errors import InputError
from lrp.input_rules import Flat, WSquare, ZBox
from lrp.nodes import Operation
from lrp.rules import RULES, AlphaBeta, ConstantScale, Epsilon, Gamma, Identity, Rule, Zero, ZPlus

_BASE: Mapping[str, Rule] = MappingProxyType(
    {
        "linear": Zero(),
        "convolution": Zero(),
        "activation": Identity(),
        "norm": ConstantScale(),
        "softmax": RULES["gradient"](),
        "attention": RULES["quarters"](),
        "product": RULES["halves"](),
        "attention_product": RULES["halves"](),
        "activation_product": RULES["first"](),
        # Sigmoid gates (squeeze-excite, GLU) are constants and the signal takes all, as in recurrent networks (Arras et al. 2017);
        # half of the relevance through sigmoid(x) / x would be noise where x is near 0.
        "gate_product": RULES["first"](),
    }
)


def lrp_z() -> Composite:
    """LRP-Z, also called LRP-0 (Bach et al. 2015, eq. 56): no stabiliser, no preference of sign; attention as in AttnLRP."""
    return Composite("lrp_z", _BASE)


def epsilon(epsilon: float = 1e-6) -> Composite:
    """LRP-epsilon (Bach et al. 2015) on every weighted operation, attention as in AttnLRP; `epsilon` is absolute."""
    return Composite("epsilon", {**_BASE, **dict.fromkeys(WEIGHTED, Epsilon(epsilon))})


def epsilon_plus(epsilon: float = 1e-6) -> Composite:
    """z+ in convolutions, epsilon in linear operations (zennit's EpsilonPlus)."""
    return Composite("epsilon_plus", {**_BASE, "convolution": ZPlus(), "linear": Epsilon(epsilon)})


def epsilon_plus_flat(epsilon: float = 1e-6) -> Composite:
    """As `epsilon_plus`, flat in the first weighted operation (zennit's EpsilonPlusFlat)."""
    return _refined("epsilon_plus_flat", epsilon_plus(epsilon), Entry(Flat(), position="first"))


def epsilon_gamma_box(
    low: float | tuple[float, ...], high: float | tuple[float, ...], gamma: float = 0.25, epsilon: float = 1e-6
) -> Composite:
    """z-box in the first convolution, gamma in the others, epsilon in linear operations (zennit's EpsilonGammaBox).

    `low`, `high`: smallest and largest value that a pixel can have after normalisation; numbers, or one per channel.
    """
    base = Composite("", {**_BASE, "convolution": Gamma(gamma), "linear": Epsilon(epsilon)})
    box = ZBox(_numbers(low), _numbers(high))
    return _refined("epsilon_gamma_box", base, Entry(box, kind="convolution", position="first"))


def epsilon_alpha2_beta1(epsilon: float = 1e-6) -> Composite:
    """alpha 2, beta 1 in convolutions, epsilon in linear operations (zennit's EpsilonAlpha2Beta1)."""
    return Composite("epsilon_alpha2_beta1", {**_BASE, "convolution": AlphaBeta(), "linear": Epsilon(epsilon)})


def epsilon_alpha2_beta1_flat(epsilon: float = 1e-6) -> Composite:
    """As `epsilon_alpha2_beta1`, flat in the first weighted operation (zennit's EpsilonAlpha2Beta1Flat)."""
    return _refined("epsilon_alpha2_beta1_flat", epsilon_alpha2_beta1(epsilon), Entry(Flat(), position="first"))


def deep_taylor(
    low: float | tuple[float, ...] | None = None, high: float | tuple[float, ...] | None = None
) -> Composite:
    """Deep Taylor decomposition (Montavon et al. 2017): z+ without bias; first z-box when bounds are given, else w^2."""
    if (low is None) != (high is None):
        raise InputError(f"deep_taylor low={low!r}, high={high!r}: give both bounds of the pixels or neither")
    first = WSquare() if low is None or high is None else ZBox(_numbers(low), _numbers(high))
    base = Composite("", {**_BASE, **dict.fromkeys(WEIGHTED, ZPlus(bias=False))})
    return _refined("deep_taylor", base, Entry(first, position="first"))


def attn_lrp(gamma: float | None = None) -> Composite:
    """AttnLRP (Achtibat et al. 2024): softmax by its gradient, one half to each factor of a product.

    `gamma`: the gamma rule on linear operations and convolutions, as the paper advises for vision transformers.
    """
    if gamma is None:
        return Composite("attn_lrp", _BASE)
    return Composite("attn_lrp", {**_BASE, **dict.fromkeys(WEIGHTED, Gamma(gamma))})


def cp_lrp() -> Composite:
    """CP-LRP (Ali et al. 2022): attention weights are constants, relevance flows through the values only."""
    constant = {"softmax": RULES["constant"](), "attention": RULES["values"](), "attention_product": RULES["second"]()}
    return Composite("cp_lrp", {**_BASE, **constant})


def gradient_x_input() -> Composite:
    """Gradient x input, the baseline: no rule at all."""
    return Composite("gradient_x_input", None)


def auto() -> Composite:
    """Chosen by architecture after the forward pass, as measured by flipping (docs/design/002-every-rule.md).

    Without convolutions AttnLRP; with convolutions alone gamma 0.25 on every weighted operation; with attention or recurrence
    beside them gamma 0.25 in the convolutions and AttnLRP elsewhere.
    """
    return Composite("auto", _BASE, choose=_chosen)


def _chosen(operations: Sequence[Operation]) -> Composite:
    kinds = [operation.kind for operation in operations]
    if "convolution" not in kinds:
        where = "transformers" if {"attention", "attention_product"} & {*kinds} else "networks without convolutions"
        return replace(attn_lrp(), name=f"auto: attn_lrp, the default for {where}")
    mixing = next((i for i, kind in enumerate(kinds) if kind in MIXING), len(kinds))
    if "linear" not in kinds[mixing:]:
        return replace(attn_lrp(0.25), name="auto: attn_lrp(gamma=0.25), the default for convolutional networks")
    what = "attn_lrp with gamma 0.25 in convolutions, the default for attention or recurrence with convolutions"
    return Composite(f"auto: {what}", {**_BASE, "convolution": Gamma(0.25)})


COMPOSITES: dict[str, Callable[..., Composite]] = {
    "lrp_z": lrp_z,
    "epsilon": epsilon,
    "epsilon_plus": epsilon_plus,
    "epsilon_plus_flat": epsilon_plus_flat,
    "epsilon_gamma_box": epsilon_gamma_box,
    "epsilon_alpha2_beta1": epsilon_alpha2_beta1,
    "epsilon_alpha2_beta1_flat": epsilon_alpha2_beta1_flat,
    "deep_taylor": deep_taylor,
    "attn_lrp": attn_lrp,
    "cp_lrp": cp_lrp,
    "gradient_x_input": gradient_x_input,
    "auto": auto,
}


def _refined(name: str, base: Composite, *entries: Entry) -> Composite:
    return Composite(name, base.rules, entries)


def _numbers(bounds: float | Sequence[float]) -> float | tuple[float, ...]:
    return tuple(bounds) if isinstance(bounds, Sequence) else bounds
