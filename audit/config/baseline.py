"""The block `baseline`: a run that this one must not be worse than, and by how much."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue, WithJsonSchema

from audit.config.base import Block


def _margins(given: JsonValue) -> JsonValue:
    numbers = list(given.values()) if isinstance(given, Mapping) else [given]
    if not numbers:
        raise ValueError("names no question; write a number, or a mapping: {outcome: 0.05}")
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int | float) or number <= 0:
            raise ValueError(f"{number!r:.80} is no margin; give a number above 0, or a mapping: {{outcome: 0.05}}")
    return given


Margins = Annotated[
    JsonValue,
    AfterValidator(_margins),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {
                    "type": "object",
                    "minProperties": 1,
                    "additionalProperties": {"type": "number", "exclusiveMinimum": 0},
                },
            ]
        }
    ),
]


class Baseline(Block):
    """A gate against an earlier run: no finding may lie further from no difference than there by more than a margin."""

    run: str = Field(description="folder of the run, relative to the config")
    worse_by: Margins = Field(
        description="question: by how much larger than there a difference may be, in the question's unit; one number: that of every gate"
    )
