"""The ledger's arithmetic: a constant leaks its value times its modified gradient, example by example and layer by layer."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from lrp.types import Ledger


def _zero() -> Tensor:
    return torch.zeros((), dtype=torch.float64)


@final
@dataclass(slots=True)
class Account:
    """Collects the entries of one backward pass; `batch` is the number of examples.

    `positions`: the shape `[batch, tokens]` by which positional relevance is kept too, or None.
    """

    batch: int
    positions: torch.Size | None = None
    terms: dict[tuple[str, str], Tensor] = field(default_factory=lambda: defaultdict(_zero))
    positional: Tensor | None = None

    def add(self, entry: str, terms: Tensor, layer: str = "") -> None:
        """Add `terms`, of any shape whose leading axis is the batch (or a multiple of it), summed per example.

        Terms without a batch axis cannot be split and stay in the residual.
        """
        if terms.dim() == 0 or terms.shape[0] == 0 or terms.shape[0] % self.batch:
            return
        if entry == "positional" and terms.shape[:2] == self.positions:
            by_token = terms.flatten(2).sum(2) if terms.dim() > 2 else terms
            self.positional = by_token if self.positional is None else self.positional + by_token
        real = terms.real if terms.is_complex() else terms
        self.terms[entry, layer] = self.terms[entry, layer] + real.reshape(self.batch, -1).sum(1).double().cpu()

    def add_constant(
        self, entry: str, coefficient: Tensor, constant: Tensor | float, axis: int = -1, layer: str = ""
    ) -> None:
        """Add `<coefficient, constant>`; a vector constant lies along `axis` of the coefficient."""
        if isinstance(constant, Tensor) and constant.dim() == 1 and coefficient.shape[axis] == constant.shape[0]:
            if coefficient.shape[0] % self.batch == 0 and entry != "positional":
                moved = coefficient.movedim(axis, -1).reshape(len(coefficient), -1, constant.shape[0])
                self.add(entry, moved.sum(1) @ constant.to(moved.dtype), layer)
                return
        terms = coefficient * constant
        self.add(entry, terms.nan_to_num() if isinstance(constant, Tensor) else terms, layer)

    def ledger(self, output: Tensor) -> Ledger:
        """The ledger of `output` `[batch]`: totals, and the same by layer."""
        totals: dict[str, Tensor] = defaultdict(_zero)
        layers: dict[str, dict[str, Tensor]] = defaultdict(dict)
        for (entry, layer), value in self.terms.items():
            totals[entry] = totals[entry] + value
            if layer:
                layers[layer][entry] = value
        return Ledger(output, dict(totals), dict(layers))
