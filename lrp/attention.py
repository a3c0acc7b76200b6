"""Handlers of softmax and of fused attention, and what attention weights absorb."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lrp import operations
from lrp.calls import Function, bind, carries, on_backward
from lrp.nodes import Gate, Operation
from lrp.rules import Factors

if TYPE_CHECKING:
    from lrp.engine import Interceptor


def softmax(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Its own gradient, times the factor of the rule; what it absorbs is booked."""
    if not carries(args[0]):
        return func(*args, **kwargs)
    operation = mode.record(func, "softmax")
    scores = Gate.apply(args[0], operation, 0)  # type: ignore[no-untyped-call]
    result: Tensor = func(scores, *args[1:], **kwargs)
    weights = result.detach()
    layer = operation.layer
    on_backward(result, lambda c: mode.book("softmax", c * weights, layer))
    # <scores, c> = <log weights, c>, because softmax gives c without a component along the ones; 0 log 0 = 0 where masked.
    on_backward(
        scores, lambda c: mode.book("softmax", -_factor(operation, 0) * torch.xlogy(c, weights.to(c.dtype)), layer)
    )
    return result


def attention(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Fused attention stays fused: the factors sit at q, k and v (a quarter, a quarter, one half under AttnLRP)."""
    names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
    query, key, value, mask, dropout, causal = bind(names, args, kwargs)
    if not carries([query, key, value]):
        return func(*args, **kwargs)
    if carries(mask) or not (carries(query) and carries(key) and carries(value)):
        return _written_attention(mode, query, key, value, mask, kwargs, causal=bool(causal))
    operation = mode.record(func, "attention")
    q, k, v = (Gate.apply(t, operation, i) for i, t in enumerate((query, key, value)))  # type: ignore[no-untyped-call]
    rest = {name: kwargs[name] for name in ("scale", "enable_gqa") if name in kwargs}
    result: Tensor = func(q, k, v, attn_mask=mask, dropout_p=dropout or 0.0, is_causal=bool(causal), **rest)
    kept, queries, layer = result.detach(), query.detach(), operation.layer

    # The output is linear in v, so v's own share is exact; <k, c_k> = <q, c_q> = <scores, c>.
    def book_output(c: Tensor) -> None:
        share = 1 - _factor(operation, 2)
        if share:
            mode.book("softmax", share * (c * kept), layer)

    def book_query(c: Tensor) -> None:
        share = _factor(operation, 0) + _factor(operation, 1)
        if share:
            mode.book("softmax", -share * (c * queries), layer)

    on_backward(result, book_output)
    on_backward(q, book_query)
    return result


def _written_attention(
    mode: "Interceptor",
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    kwargs: dict[str, Any],
    *,
    causal: bool,
) -> Tensor:
    """Attention whose mask (a relative position bias times content) or only some of q, k, v carry relevance: written out."""
    scale = kwargs.get("scale") or query.shape[-1] ** -0.5
    if kwargs.get("enable_gqa"):
        key, value = (t.repeat_interleave(query.shape[-3] // t.shape[-3], -3) for t in (key, value))
    with mode:
        scores = torch.matmul(query, key.transpose(-2, -1)) * scale
        if causal:
            above = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(above, float("-inf"))
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype is torch.bool else scores + mask
        return torch.matmul(torch.softmax(scores, -1), value)


def _factor(operation: Operation, position: int) -> float:
    assert isinstance(operation.rule, Factors)
    return operation.rule.factors[position]


HANDLERS: dict[Function, Callable[..., Any]] = {
    F.scaled_dot_product_attention: attention,
    **dict.fromkeys(operations.SOFTMAXES, softmax),
}
