"""Handlers of embeddings: that of the token ids is the input to explain."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lrp.calls import Function, bind, name_of, storage_of

if TYPE_CHECKING:
    from lrp.engine import Interceptor


def embedding(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The embedding of the token ids becomes the leaf; all others are constants."""
    result: Tensor = func(*args, **kwargs)
    weight, indices = bind(("weight", "indices"), args, kwargs)
    if mode.token_ids is not None and mode.embedded is None:
        mode.alignment = _alignment(indices, mode.token_ids)
        if mode.alignment is not None:
            mode.embedded, mode.table = result.detach().requires_grad_(), storage_of(weight)
            return mode.embedded.clone()  # which the model may overwrite
    mode.constants.mark(result, "decoder" if storage_of(weight) == mode.table else "positional")
    return result


def _alignment(indices: Tensor, ids: Tensor) -> Callable[[Tensor], Tensor] | None:
    """How values at `indices` belong to the token ids: the same places, transposed, or padded at the end."""
    if storage_of(indices) == storage_of(ids) or (indices.shape == ids.shape and torch.equal(indices, ids)):
        return lambda values: values.reshape(ids.shape)
    if ids.dim() != 2 or indices.dim() != 2:
        return None
    if indices.shape == ids.T.shape and torch.equal(indices, ids.T):
        return lambda values: values.transpose(0, 1)
    length = ids.shape[1]
    if len(indices) == len(ids) and indices.shape[1] > length and torch.equal(indices[:, :length], ids):
        return lambda values: values[:, :length]
    return None


def embedding_bag(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Sums or means of embeddings, written out. Maxima and weights per sample are not covered."""
    names = ("weight", "indices", "offsets", "scale", "mode", "sparse", "weights", "last", "padding")
    weight, indices, offsets, _, kind, _, weights, last, padding = bind(names, args, kwargs)
    if mode.token_ids is None or storage_of(indices) != storage_of(mode.token_ids):
        return func(*args, **kwargs)
    if kind == 2 or weights is not None or last:
        mode.uncovered(f"{name_of(func)} with maxima, weights or a last offset")
    rows = embedding(mode, torch.embedding, (weight, indices), {})
    bags = torch.searchsorted(offsets, torch.arange(len(indices), device=indices.device), right=True) - 1
    counted = (indices != (-1 if padding is None else padding)).to(rows.dtype)
    sizes = rows.new_zeros(len(offsets)).index_add(0, bags, counted)
    with mode:
        sums = rows.new_zeros(len(offsets), rows.shape[1]).index_add(0, bags, rows * counted.unsqueeze(1))
        return (sums / sizes.clamp(min=1).unsqueeze(1) if kind == 1 else sums), None, None, None


HANDLERS: dict[Function, Callable[..., Any]] = {
    torch.embedding: embedding,
    torch.embedding_bag: embedding_bag,
}
