"""Values that `lrp.attribute` returns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

from torch import Tensor

from lrp.html import relevance_html

Target = int | Tensor | tuple[int, int] | None


@final
@dataclass(frozen=True, slots=True)
class TraceEntry:
    """One intercepted operation: its torch function, its kind, the rule that it used and the parameter it belongs to.

    Operations of kind "passes" are linear or homogeneous: the gradient is LRP-0 there. Of kind "keeps" are those right behind a
    float input that change values one by one (normalisation): they leave relevance where it is.
    """

    operation: str
    kind: str
    rule: str
    parameter: str


@final
@dataclass(frozen=True, slots=True)
class Ledger:
    """Where the explained output went, per example: `output` = sum of `entries` + `residual`.

    Every entry is a float64 tensor `[batch]`: `inputs`, `positional` (position and type embeddings), `bias`, `norm` (biases of
    normalisations), `softmax` (what attention weights and softmax absorb), `epsilon` (stabilisers), `dead` (outputs whose rule finds
    nothing to pass relevance to), `constant` (other added constants), `decoder` (the words as a decoder reads them again),
    `state` (initial states of recurrent layers), `condition` (what a condition took away) and `padding` (what a model reads from
    padded positions: 0 unless it is padded on the side where it reads its answer). `layers`: the same by layer, for
    the entries that belong to one.
    """

    output: Tensor
    entries: Mapping[str, Tensor]
    layers: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)

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
@dataclass(frozen=True, slots=True, repr=False)
class Relevance:
    """Relevance of the input for a target.

    `values`: shape of the input; for token ids `[batch, tokens]`, the relevance of the word embedding at each position
    (padding is exactly 0). `output`: the model's logits `[batch, classes]`. `target`: class indices `[batch]`, or
    `[batch, 2]` for a contrast. `composite` says which was used and, for `auto`, why. `positional`: `[batch, tokens]`, what flows
    into position and type embeddings at each token, or None where there are none. `layers`: relevance of the output
    of each module asked for, shape of that output.
    """

    values: Tensor
    output: Tensor
    target: Tensor
    ledger: Ledger
    trace: tuple[TraceEntry, ...]
    composite: str
    positional: Tensor | None = None
    layers: Mapping[str, Tensor] = field(default_factory=dict)

    def __repr__(self) -> str:
        """In one line: shapes, target, composite and how well the ledger closes."""
        shape, target = tuple(self.values.shape), self.target.tolist()
        shown = target if len(target) <= 4 else f"[{', '.join(map(str, target[:3]))}, ...]"
        closure = float(self.ledger.closure.max()) if len(self.ledger.output) else 0.0
        return f"Relevance(values {shape}, target {shown}, composite {self.composite!r}, closure {closure:.1e})"

    def html(self, tokens: Sequence[Sequence[str]] | None = None) -> str:
        """The first examples as HTML: maps of images, tokens of texts in colour (`tokens` of each, or their places)."""
        return relevance_html(self.values, tokens, repr(self))

    def _repr_html_(self) -> str:
        """For notebooks."""
        return self.html()

    @property
    def with_positions(self) -> Tensor:
        """`values` with the relevance of position and type embeddings added at their token (position-aware LRP)."""
        return self.values if self.positional is None else self.values + self.positional.to(self.values)
