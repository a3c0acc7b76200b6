"""From what a config says to a composite: a name, a mapping that names one with parameters, or one that describes an own one."""

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any

from lrp.composites import CONDITIONS, Composite, Entry
from lrp.errors import InputError
from lrp.presets import COMPOSITES
from lrp.rules import RULES


def resolve(composite: "str | Mapping[str, Any] | Composite") -> Composite:
    """The composite itself, the one of that name with its default parameters, or the one that a mapping describes.

    A mapping (from YAML) names a composite and its parameters, `{name: epsilon_gamma_box, low: -2, high: 2}`, or an own one
    on a `base`, `{name: mine, base: attn_lrp, rules: [{kind: convolution, position: first, rule: gamma, gamma: 0.1}]}`.
    """
    if isinstance(composite, Composite):
        return composite
    if isinstance(composite, str):
        return _composite(composite, {})
    if not isinstance(composite, Mapping):
        called = " (it is a function or class: call it)" if callable(composite) else ""
        raise InputError(
            f"composite {composite!r}{called}: give one of the names {', '.join(COMPOSITES)}, a mapping with a name, or what "
            "lrp.COMPOSITES[name](...) returns"
        )
    given = dict(composite)
    name, entries = given.pop("name", None), given.pop("rules", None)
    if entries is None:
        if "base" in given:
            raise InputError(f"composite {name!r} has a base and no rules; give rules, a list of mappings")
        return _composite(name, given)
    if name in COMPOSITES and "base" not in given:
        raise InputError(f"composite {name!r} has rules of its own: give base: {name}, and a name that is not taken")
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
    conditions = {name: given[name] for name in CONDITIONS if name in given}
    if "depth" in conditions:
        conditions["depth"] = _number(conditions["depth"])
    parameters = {name: value for name, value in given.items() if name not in conditions and name != "rule"}
    return Entry(_call(RULES, "rule", given.get("rule"), parameters), **conditions)


def _call(table: Mapping[str, Callable[..., Any]], what: str, name: object, parameters: Mapping[str, Any]) -> Any:
    if not isinstance(name, str) or name not in table:
        own = "; an own composite needs base and rules" if what == "composite" and parameters else ""
        raise InputError(f"{what} {name!r} does not exist; choose one of {', '.join(table)}{own}")
    known = {key: parameter for key, parameter in signature(table[name]).parameters.items() if key != "factors"}
    allowed = ", ".join(known) or "none"
    conditions = f"; conditions: {', '.join(CONDITIONS)}" if what == "rule" else ""
    unknown = [key for key in parameters if key not in known]
    if unknown:
        raise InputError(f"{what} {name!r} has no parameter {unknown[0]!r}; its parameters: {allowed}{conditions}")
    missing = [key for key, each in known.items() if each.default is Parameter.empty and key not in parameters]
    if missing:
        raise InputError(f"{what} {name!r} lacks {', '.join(missing)}; its parameters: {allowed}{conditions}")
    return table[name](**{key: _number(value) for key, value in parameters.items()})


def _number(value: Any) -> Any:
    """Lists as tuples; and numbers that YAML 1.1 takes for text (1e-6) as numbers."""
    if isinstance(value, list | tuple):
        return tuple(_number(item) for item in value)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
