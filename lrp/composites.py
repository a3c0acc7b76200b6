"""Composites: which rule each operation uses (the named ones are in `lrp.presets`).

A composite maps kinds of operation to rules, and refines the map by entries that match a place or a parameter's name. Where a
name agrees with zennit's (Anders et al. 2021) so does the definition.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from functools import partial
from types import MappingProxyType
from typing import Literal, final

from lrp.errors import InputError
from lrp.nodes import Operation
from lrp.propagation import WeightedRule
from lrp.rules import RULES, ConstantScale, Factors, Identity, Rule, Zero

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
    `depth`: from and to, 0 (first weighted operation called) to 1 (last).
    """

    rule: Rule
    kind: str | None = None
    parameter: str | None = None
    position: Literal["first", "last"] | None = None
    depth: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.kind is not None and (not isinstance(self.kind, str) or self.kind not in KINDS):
            raise InputError(f"kind {self.kind!r} does not exist; choose one of {', '.join(KINDS)}")
        if self.position not in (None, "first", "last"):
            raise InputError(f"position {self.position!r} does not exist; choose first or last")
        if self.parameter is not None and not isinstance(self.parameter, str):
            raise InputError(f"parameter {self.parameter!r}: give a pattern of a parameter's name, such as 'layer4.*'")
        numbers = isinstance(self.depth, tuple) and [type(end) for end in self.depth if type(end) in (int, float)]
        if self.depth is not None and not (
            numbers and len(numbers) == len(self.depth) == 2 and 0 <= self.depth[0] <= self.depth[1] <= 1
        ):
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
        if self.rules is not None and not isinstance(self.rules, Mapping):
            raise InputError(f"composite {self.name!r}: rules is {self.rules!r}; give a mapping from kind to rule")
        if self.rules is not None:
            object.__setattr__(self, "rules", MappingProxyType(dict(self.rules)))
        if not isinstance(self.entries, tuple) or not all(isinstance(entry, Entry) for entry in self.entries):
            raise InputError(f"composite {self.name!r}: entries is {self.entries!r}; give a tuple of lrp.Entry")
        for kind, rule in (self.rules or {}).items():
            if kind not in KINDS:
                raise InputError(
                    f"composite {self.name!r}: kind {kind!r} does not exist; choose one of {', '.join(KINDS)}"
                )
            _check_fits(rule, kind)
        for i, entry in enumerate(self.entries):
            for other in self.entries[:i]:
                if entry.conditions == other.conditions:
                    raise InputError(
                        f"composite {self.name!r}: two entries tie, both with {entry.conditions}; remove one or narrow it"
                    )

    def __reduce__(self) -> tuple[object, ...]:
        """For pickles and copies, which a read-only mapping does not allow."""
        rules = None if self.rules is None else dict(self.rules)
        return Composite, (self.name, rules, self.entries, self.choose)

    @property
    def weighted(self) -> bool:
        """Whether a weighted operation may get another rule than LRP-0, so that it needs a node of its own."""
        rules = [self.rules[kind] for kind in WEIGHTED if kind in self.rules] if self.rules is not None else []
        chosen = [entry.rule for entry in self.entries if isinstance(entry.rule, WeightedRule)]
        return self.choose is not None or any(not isinstance(rule, Zero) for rule in [*rules, *chosen])

    def assign(self, operations: Sequence[Operation]) -> None:
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
                    f"it has rules for {', '.join(self.rules)}; start from those of lrp.COMPOSITES['lrp_z']().rules"
                )
            operation.rule = self.entries[matching[0]].rule if matching else self.rules[operation.kind]
        for i, entry in enumerate(self.entries):
            if i not in used:
                why = (
                    "earlier entries take all that it matches" if i in met else "it matches no operation of this model"
                )
                raise InputError(
                    f"composite {self.name!r}: the entry with {entry.conditions} is never used, since {why}; "
                    f"the model has {_listed(operations)}; correct the entry or remove it"
                )


def _listed(operations: Sequence[Operation], most: int = 6) -> str:
    """Kinds of operation with some of their parameters."""
    kinds = dict.fromkeys(operation.kind for operation in operations if operation.kind in KINDS)
    named = {kind: [op.parameter for op in operations if op.kind == kind and op.parameter] for kind in kinds}
    return ", ".join(
        kind + (f" ({', '.join(names[:most])}{', ...' if len(names) > most else ''})" if names else "")
        for kind, names in named.items()
    )


def _check_fits(rule: object, kind: str) -> None:
    if isinstance(rule, type):
        raise InputError(f"rule {rule.__name__} is a class: give one of it, {rule.__name__}()")
    if not isinstance(rule, KINDS[kind]):
        weighted = kind in WEIGHTED
        fitting = [
            name
            for name, made in RULES.items()
            if (hasattr(made, "propagate") if weighted else getattr(made, "func", made) in KINDS[kind])
        ]
        known = next(
            (repr(name) for name, made in RULES.items() if isinstance(made, partial) and made() == rule), repr(rule)
        )
        raise InputError(f"rule {known} does not fit operations of kind {kind!r}; rules that do: {', '.join(fitting)}")
