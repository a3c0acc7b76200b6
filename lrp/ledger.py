"""The ledger's arithmetic: a constant leaks its value times its modified gradient, example by example and layer by layer."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from lrp.stabilize import precision
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

        Terms without a batch axis are spread evenly; the ledger is then split by a pass per example (`attribution`).
        """
        if terms.numel() == 0:
            return
        if terms.dim() == 0 or terms.shape[0] % self.batch:
            terms = (terms.sum() / self.batch).expand(self.batch)
        if entry == "positional" and terms.shape[:2] == self.positions:
            by_token = terms.flatten(2).sum(2) if terms.dim() > 2 else terms
            self.positional = by_token if self.positional is None else self.positional + by_token
        # R of a complex number is Re(x* c), so that the parts of a pair add up.
        real = terms.real if terms.is_complex() else terms
        wide = precision(real.dtype)  # sums of float16 overflow
        self.terms[entry, layer] = (
            self.terms[entry, layer] + real.reshape(self.batch, -1).sum(1, dtype=wide).double().cpu()
        )

    def add_constant(
        self, entry: str, coefficient: Tensor, constant: Tensor | float, axis: int = -1, layer: str = ""
    ) -> None:
        """Add `<coefficient, constant>`; a vector constant lies along `axis` of the coefficient."""
        vector = isinstance(constant, Tensor) and constant.dim() == 1 and coefficient.shape[axis] == len(constant)
        if isinstance(constant, Tensor) and vector and coefficient.numel() and entry != "positional":
            moved = coefficient.movedim(axis, -1).reshape(len(coefficient), -1, len(constant))
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


def joined(ledgers: Sequence[Ledger]) -> Ledger:
    """The ledgers of consecutive examples as one."""

    def join(each: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        names = dict.fromkeys(name for entries in each for name in entries)
        none = torch.zeros(1, dtype=torch.float64)
        return {name: torch.cat([entries.get(name, none).reshape(1) for entries in each]) for name in names}

    layers = dict.fromkeys(layer for ledger in ledgers for layer in ledger.layers)
    return Ledger(
        torch.cat([ledger.output for ledger in ledgers]),
        join([ledger.entries for ledger in ledgers]),
        {layer: join([ledger.layers.get(layer, {}) for ledger in ledgers]) for layer in layers},
    )
