"""Values that `lrp.attribute` returns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from torch import Tensor

Target = int | Tensor | tuple[int, int] | None


@final
@dataclass(frozen=True, slots=True)
class TraceEntry:
    """One intercepted operation: its torch function, its kind, the rule that it used and the parameter it belongs to."""

    operation: str
    kind: str
    rule: str
    parameter: str


@final
@dataclass(frozen=True, slots=True)
class Ledger:
    """Where the explained output went, per example: `output` = sum of `entries` + `residual`.

    Every entry is a float64 tensor `[batch]`: `inputs`, `positional` (position and type embeddings), `bias`, `norm` (biases of
    normalisations), `softmax` (what attention weights and softmax absorb), `epsilon`, `constant` (other added constants), and
    `padding` (what a model reads from padded positions: 0 unless it is padded on the side where it reads its answer).
    """

    output: Tensor
    entries: Mapping[str, Tensor]

    @property
    def residual(self) -> Tensor:
        """What no entry explains, `[batch]`; rounding error when every operation is covered."""
        return self.output - sum(self.entries.values())

    @property
    def closure(self) -> Tensor:
        """|residual| relative to the sum of |terms|, `[batch]`: large terms of opposite sign cancel, so the output is no scale."""
        scale = sum(entry.abs() for entry in self.entries.values()) + self.output.abs()
        return self.residual.abs() / scale.clamp(min=1e-30)


@final
@dataclass(frozen=True, slots=True)
class Relevance:
    """Relevance of the input for a target.

    `values`: shape of the input; for token ids `[batch, tokens]`, the relevance of the word embedding at each position
    (padding is exactly 0). `output`: the model's logits `[batch, classes]`. `target`: class indices `[batch]`, or
    `[batch, 2]` for a contrast. `composite` says which was used and, for `auto`, why.
    """

    values: Tensor
    output: Tensor
    target: Tensor
    ledger: Ledger
    trace: tuple[TraceEntry, ...]
    composite: str
