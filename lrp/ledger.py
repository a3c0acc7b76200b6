"""The ledger's arithmetic: a constant leaks its value times its modified gradient, example by example."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor


@final
@dataclass(slots=True)
class Account:
    """Collects the entries of one backward pass; `batch` is the number of examples."""

    batch: int
    entries: dict[str, Tensor] = field(
        default_factory=lambda: defaultdict(lambda: torch.zeros((), dtype=torch.float64))
    )

    def add(self, entry: str, terms: Tensor) -> None:
        """Add `terms`, of any shape whose leading axis is the batch (or a multiple of it), summed per example.

        Terms without a batch axis cannot be split and stay in the residual.
        """
        if terms.dim() == 0 or terms.shape[0] == 0 or terms.shape[0] % self.batch:
            return
        self.entries[entry] = self.entries[entry] + terms.reshape(self.batch, -1).sum(1).double().cpu()

    def add_constant(self, entry: str, coefficient: Tensor, constant: Tensor | float, axis: int = -1) -> None:
        """Add `<coefficient, constant>`; a vector constant lies along `axis` of the coefficient (the last, or 1 of a convolution)."""
        if isinstance(constant, Tensor) and constant.dim() == 1 and coefficient.shape[axis] == constant.shape[0]:
            if coefficient.shape[0] % self.batch == 0:
                moved = coefficient.movedim(axis, -1).reshape(self.batch, -1, constant.shape[0])
                self.entries[entry] = self.entries[entry] + (moved.sum(1) @ constant).double().cpu()
            return
        terms = coefficient * constant
        self.add(entry, terms.nan_to_num() if isinstance(constant, Tensor) else terms)
