"""Composites: which rule each operation uses. To add one, write a function and add one line to `COMPOSITES`.

A composite maps kinds of operation to rules, and refines the map by entries that match a place or a parameter's name. Where a
name agrees with zennit's (Anders et al. 2021) so does the definition.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from inspect import signature
from typing import Any, Literal, final

from lrp.errors import InputError
from lrp.nodes import Operation
from lrp.rules import (
    RULES,
    AlphaBeta,
    ConstantScale,
    Epsilon,
    Factors,
    Flat,
    Gamma,
    Identity,
    Rule,
    WeightedRule,
    WSquare,
    ZBox,
    Zero,
    ZPlus,
)

WEIGHTED = ("linear", "convolution")
# Kinds behind which values at one place come from other places by weights that depend on the input.
MIXING = ("attention", "softmax", "recurrent")
# Kind of operation -> the rules that fit it.
KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(WEIGHTED, (WeightedRule,)),
    "activation": (Identity, Factors),
    "norm": (ConstantScale,),
    "softmax": (Factors,),
    "attention": (Factors,),
    "product": (Factors,),
    "attention_product": (Factors,),
    "activation_product": (Factors,),
    "gate_product": (Factors,),
}


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """`rule` for the operations that meet every condition given.

    `kind`: a kind of operation (default: both weighted kinds). `parameter`: a pattern (`*`, `?`, `[..]`) of the name of the
    operation's parameter. `position`: "first" (no weighted operation before it on any path from the input) or "last".
    `depth`: from and to, 0 (first weighted operation called) to 1 (last). A number or a tuple of rules per kind is no
    rule; write one entry each.
    """

    rule: Rule
    kind: str | None = None
    parameter: str | None = None
    position: Literal["first", "last"] | None = None
    depth: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in KINDS:
            raise InputError(f"kind {self.kind!r} does not exist; choose one of {', '.join(KINDS)}")
        if self.position not in (None, "first", "last"):
            raise InputError(f"position {self.position!r} does not exist; choose first or last")
        pair = isinstance(self.depth, tuple) and len(self.depth) == 2
        if self.depth is not None and not (pair and 0 <= self.depth[0] <= self.depth[1] <= 1):
            raise InputError(f"depth {self.depth!r}: give two numbers from 0 (first) to 1 (last), the smaller first")
        for kind in (self.kind,) if self.kind else WEIGHTED:
            _check_fits(self.rule, kind)

    def matches(self, operation: Operation) -> bool:
        """Whether the operation meets every condition."""
        return (
            (operation.kind == self.kind if self.kind else operation.kind in WEIGHTED)
            and (self.parameter is None or fnmatchcase(operation.parameter, self.parameter))
            and (self.position is None or (operation.first if self.position == "first" else operation.last))
            and (self.depth is None or self.depth[0] <= operation.depth <= self.depth[1])
        )

    @property
    def conditions(self) -> str:
        """In words, for messages."""
        named = {name: getattr(self, name) for name in CONDITIONS}
        return ", ".join(f"{name}={value!r}" for name, value in named.items() if value is not None) or "no condition"


CONDITIONS = tuple(field.name for field in fields(Entry) if field.name != "rule")


@final
@dataclass(frozen=True, slots=True)
class Composite:
    """`rules` maps a kind of operation to its rule; `None` instead of a mapping is the plain gradient (no interception).

    `entries` refine it: the first that matches an operation gives its rule. Every entry must give at least one, so that none
    is there in vain, and two with the same conditions are refused. `choose`: picks the composite after the forward pass.
    """

    name: str
    rules: Mapping[str, Rule] | None
    entries: tuple[Entry, ...] = ()
    choose: Callable[[Sequence[Operation]], "Composite"] | None = None

    def __post_init__(self) -> None:
        for kind, rule in (self.rules or {}).items():
            _check_fits(rule, kind)
        for i, entry in enumerate(self.entries):
            for other in self.entries[:i]:
                if entry.conditions == other.conditions:
                    raise InputError(
                        f"composite {self.name!r}: two entries tie, both with {entry.conditions}; remove one or narrow it"
                    )

    @property
    def weighted(self) -> bool:
        """Whether a weighted operation may get another rule than LRP-0, so that it needs a node of its own."""
        rules = [self.rules[kind] for kind in WEIGHTED] if self.rules is not None else []
        chosen = [entry.rule for entry in self.entries if isinstance(entry.rule, WeightedRule)]
        return self.choose is not None or any(not isinstance(rule, Zero) for rule in [*rules, *chosen])

    def assign(self, operations: Iterable[Operation]) -> None:
        """Give every operation its rule. Raises `InputError` for an entry that gives none."""
        used: set[int] = set()
        met: set[int] = set()
        for operation in operations:
            if operation.fixed or self.rules is None:
                continue
            matching = [i for i, entry in enumerate(self.entries) if entry.matches(operation)]
            met.update(matching)
            used.update(matching[:1])
            if not matching and operation.kind not in self.rules:
                raise InputError(
                    f"composite {self.name!r}: no rule for kind {operation.kind!r} ({operation.function}); "
                    f"it has rules for {', '.join(self.rules)}"
                )
            operation.rule = self.entries[matching[0]].rule if matching else self.rules[operation.kind]
        for i, entry in enumerate(self.entries):
            if i not in used:
                why = (
                    "earlier entries take all that it matches" if i in met else "it matches no operation of this model"
                )
                raise InputError(
                    f"composite {self.name!r}: the entry with {entry.conditions} is never used, since {why}; "
                    "see Relevance.trace for the operations, kinds and parameter names, or remove the entry"
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


_BASE: Mapping[str, Rule] = {
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


def resolve(composite: "str | Mapping[str, Any] | Composite") -> Composite:
    """The composite itself, the one of that name with its default parameters, or the one that a mapping describes.

    A mapping (from YAML) names a composite and its parameters, `{name: epsilon_gamma_box, low: -2, high: 2}`, or an own one
    on a `base`, `{name: mine, base: attn_lrp, rules: [{kind: convolution, position: first, rule: gamma, gamma: 0.1}]}`.
    """
    if isinstance(composite, Composite):
        return composite
    if isinstance(composite, str):
        return _composite(composite, {})
    given = dict(composite)
    name, entries = given.pop("name", None), given.pop("rules", None)
    if entries is None:
        return _composite(name, given)
    base = resolve(given.pop("base", "lrp_z"))
    listed = isinstance(entries, Sequence) and all(isinstance(entry, Mapping) for entry in entries)
    if given or not (isinstance(name, str) and listed and entries) or base.rules is None or base.choose is not None:
        raise InputError(
            f"composite {dict(composite)!r}: give name, base (a composite with rules, not auto or gradient_x_input) and "
            "rules, a list of mappings such as {kind: linear, position: last, rule: epsilon}"
        )
    own = tuple(_entry(entry) for entry in entries)
    kept = [entry for entry in base.entries if entry.conditions not in {mine.conditions for mine in own}]
    return Composite(name, base.rules, (*own, *kept))


def _composite(name: object, parameters: Mapping[str, Any]) -> Composite:
    made: Composite = _call(COMPOSITES, "composite", name, parameters)
    return made


def _entry(given: Mapping[str, Any]) -> Entry:
    conditions = {name: _numbers(given[name]) for name in CONDITIONS if name in given}
    parameters = {name: value for name, value in given.items() if name not in conditions and name != "rule"}
    return Entry(_call(RULES, "rule", given.get("rule"), parameters), **conditions)


def _call(table: Mapping[str, Callable[..., Any]], what: str, name: object, parameters: Mapping[str, Any]) -> Any:
    if name not in table:
        raise InputError(f"{what} {name!r} does not exist; choose one of {', '.join(table)}")
    try:
        return table[str(name)](**{key: _numbers(value) for key, value in parameters.items()})
    except TypeError as error:
        allowed = ", ".join(signature(table[str(name)]).parameters) or "none"
        conditions = f"; conditions: {', '.join(CONDITIONS)}" if what == "rule" else ""
        raise InputError(f"{what} {name!r}: {error}; its parameters: {allowed}{conditions}") from error


def _numbers(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _refined(name: str, base: Composite, *entries: Entry) -> Composite:
    return Composite(name, base.rules, entries)


def _check_fits(rule: Rule, kind: str) -> None:
    if not isinstance(rule, KINDS[kind]):
        fitting = (
            [name for name, made in RULES.items() if hasattr(made, "propagate")] if kind in WEIGHTED else KINDS[kind]
        )
        raise InputError(
            f"rule {rule!r} does not fit operations of kind {kind!r}; rules that do: {', '.join(map(str, fitting))}"
        )
