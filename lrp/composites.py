"""Composites: which rule each kind of operation uses. To add one, write a function and add one line to `COMPOSITES`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

from lrp.errors import InputError
from lrp.rules import RULES, Epsilon, Rule


@final
@dataclass(frozen=True, slots=True)
class Composite:
    """`rules` maps a kind of operation to its rule; `None` instead of a mapping is the plain gradient (no interception)."""

    name: str
    rules: Mapping[str, Rule] | None


def attn_lrp() -> Composite:
    """AttnLRP (Achtibat et al. 2024): softmax by its gradient, one half to each factor of a product."""
    return Composite("attn_lrp", _TRANSFORMER)


def cp_lrp() -> Composite:
    """CP-LRP (Ali et al. 2022): attention weights are constants, relevance flows through the values only."""
    constant = {"softmax": RULES["constant"], "attention": RULES["values"], "attention_product": RULES["second"]}
    return Composite("cp_lrp", {**_TRANSFORMER, **constant})


def epsilon(epsilon: float = 1e-6) -> Composite:
    """LRP-epsilon (Bach et al. 2015) on every linear operation, attention as in AttnLRP; `epsilon` is absolute."""
    if not epsilon > 0:
        raise InputError(f"epsilon={epsilon!r}: give a number above 0, or use attn_lrp, which has no stabiliser")
    return Composite("epsilon", {**_TRANSFORMER, "linear": Epsilon(epsilon)})


def gradient_x_input() -> Composite:
    """Gradient x input, the baseline: no rule at all."""
    return Composite("gradient_x_input", None)


def auto() -> Composite:
    """AttnLRP: all architectures that the engine covers so far are transformers, where it is the most faithful rule."""
    return Composite("auto: attn_lrp, the default for transformers", _TRANSFORMER)


_TRANSFORMER: Mapping[str, Rule] = {
    "linear": RULES["gradient"],
    "activation": RULES["identity"],
    "norm": RULES["constant_scale"],
    "softmax": RULES["gradient"],
    "attention": RULES["quarters"],
    "product": RULES["halves"],
    "attention_product": RULES["halves"],
    "activation_product": RULES["first"],
}

COMPOSITES: dict[str, Callable[..., Composite]] = {
    "attn_lrp": attn_lrp,
    "cp_lrp": cp_lrp,
    "epsilon": epsilon,
    "gradient_x_input": gradient_x_input,
    "auto": auto,
}


def resolve(composite: str | Composite) -> Composite:
    """The composite itself, or the one of that name with its default parameters."""
    if isinstance(composite, Composite):
        return composite
    if composite not in COMPOSITES:
        raise InputError(f"composite {composite!r} does not exist; choose one of {', '.join(COMPOSITES)}")
    return COMPOSITES[composite]()
