"""The block `relevance`: by which rules or method."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import AfterValidator, Field, JsonValue, WithJsonSchema, model_validator

from audit.config.base import OWN, Block

TEXT_COMPOSITES: Final = ("cp_lrp", "attn_lrp")
IMAGE_COMPOSITES: Final = ("epsilon_plus", "epsilon_gamma_box")
TEXT_WITNESSES: Final[tuple[JsonValue, ...]] = ({"name": "attn_lrp", "gamma": 0.05},)
IMAGE_WITNESSES: Final = ("epsilon_alpha2_beta1",)
LRP: Final = "lrp"
METHODS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({  # the parameters that each takes
    LRP: (), "gradient_x_input": (), "integrated_gradients": ("steps",), "occlusion": (), "kernel_shap": ("samples",),
    "lime": ("samples",),
})  # fmt: skip
DEFAULTS: Final = MappingProxyType({"steps": 50, "samples": 512})


def _named(composite: JsonValue) -> JsonValue:
    if isinstance(composite, str) or (isinstance(composite, dict) and isinstance(composite.get("name"), str)):
        return composite
    raise ValueError("write the name of a composite, or a mapping with its name: {name: attn_lrp, gamma: 0.25}")


def _known_method(method: str) -> str:
    if method in METHODS or re.fullmatch(OWN, method):
        return method
    raise ValueError(f"{method!r:.80} is no method; choose from {', '.join(METHODS)}, or give module:function")


def _default(given: Mapping[str, object], parameter: str) -> int | None:
    """Of a parameter of the chosen method, None where it takes none."""
    return DEFAULTS[parameter] if parameter in METHODS.get(str(given.get("method")), ()) else None


# What lrp.resolving.resolve takes; the engine alone knows its names and parameters, and a config is read without torch.
Composite = Annotated[
    JsonValue,
    AfterValidator(_named),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object", "required": ["name"]}]}),
]


class Relevance(Block):
    """How relevance is computed."""

    method: Annotated[str, AfterValidator(_known_method)] = Field(
        LRP,
        description=f"{', '.join(METHODS)}, or module:function, a map of your own from (model, inputs, target) to a tensor of the "
        "input's shape; found beside the config or installed, with its imports at its top. It is run",
    )
    composites: tuple[Composite, ...] = Field(
        default_factory=lambda given: TEXT_COMPOSITES if given.get("method", LRP) == LRP else (),
        description="of method lrp: names or mappings {name, parameters} or {name, base, rules}; the first gives effect sizes, others "
        f"second opinions; default: {', '.join(TEXT_COMPOSITES)}, for images {', '.join(IMAGE_COMPOSITES)}",
    )
    witnesses: tuple[Composite, ...] = Field(
        default_factory=lambda given: TEXT_WITNESSES if given.get("method", LRP) == LRP else (),
        description="of method lrp: composites without a vote, each asked alone; a finding that one of them does not show is fragile; "
        f"default: attn_lrp with gamma 0.05, for images {', '.join(IMAGE_WITNESSES)}",
    )
    steps: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default_factory=lambda given: _default(given, "steps"),
        description=f"of integrated_gradients, between blank words or the mean colour and the input; default {DEFAULTS['steps']}",
    )
    samples: Annotated[int, Field(ge=16, le=1_000_000)] | None = Field(
        default_factory=lambda given: _default(given, "samples"),
        description="of kernel_shap and lime: inputs with words or cells hidden, at least two for each word or cell; default "
        f"{DEFAULTS['samples']}",
    )

    @model_validator(mode="after")
    def _what_the_method_takes(self) -> "Relevance":
        if self.method == LRP and not self.composites:
            raise ValueError("composites: give at least one")
        for name in DEFAULTS:
            taken = name in METHODS.get(self.method, ())
            if taken != (getattr(self, name) is not None):
                takers = ", ".join(method for method, names in METHODS.items() if name in names)
                raise ValueError(
                    f"{name}: give a number, or leave it out" if taken else f"{name}: only of {takers}; leave it out"
                )
        return self
