"""The settings of a config one by one, as messages, comparisons and trackers name them."""

from collections.abc import Mapping
from typing import Any


def flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """`a.b` and its value, of every value that is no mapping.

    >>> flat({"a": {"b": 1, "c": {}}, "d": [2]})
    {'a.b': 1, 'd': [2]}
    """
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return found
