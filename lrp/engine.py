"""The engine: one `TorchFunctionMode` sees every torch function that a model calls and puts the rules' nodes around it.

Rules act in backward only, and are assigned after the forward pass, when the whole graph is known. Cost: about 2 µs for each
call that is seen, and one elementwise pass over the output of each operation that has a rule or a ledger entry.
"""

import sys
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.overrides import TorchFunctionMode

from lrp import operations
from lrp.composites import Composite
from lrp.errors import UncoveredOperation
from lrp.ledger import Account
from lrp.rules import EpsilonRule, Factors, Gate, IdentityRule, LayerNormRule, Operation
from lrp.types import TraceEntry

Function = Callable[..., Any]
_OWN_NODES = frozenset({"GateBackward", "IdentityRuleBackward", "LayerNormRuleBackward", "EpsilonRuleBackward"})


def carries(value: object) -> bool:
    """Whether relevance reaches `value`: parameters are constants here, so whatever requires grad hangs on the input."""
    if isinstance(value, Tensor):
        return value.requires_grad
    return isinstance(value, tuple | list) and any(carries(item) for item in value)


def on_backward(y: Tensor, book: Callable[[Tensor], None]) -> None:
    """Call `book(c)` when the coefficient of `y` arrives; a cut branch (c undefined) books nothing."""

    def hook(c: Tensor | None) -> None:
        if c is not None:
            book(c)

    y.register_hook(hook)


@final
class Interceptor(TorchFunctionMode):
    """Records one forward pass. `token_ids`: the index tensor whose embeddings are the input, or None for a float input.

    `plain=True` intercepts nothing but that embedding: gradient x input.
    """

    def __init__(
        self, *, model: nn.Module, token_ids: Tensor | None, plain: bool, strict: bool, stabilised: bool
    ) -> None:
        super().__init__()
        self.token_ids, self.plain, self.strict, self.stabilised = token_ids, plain, strict, stabilised
        self.model = model
        self.embedded: Tensor | None = None
        self.operations: list[Operation] = []
        self.account: Account | None = None
        self.names = {parameter.untyped_storage().data_ptr(): name for name, parameter in model.named_parameters()}
        self.positional: set[int] = set()

    def __torch_function__(
        self, func: Function, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call `func`, with the nodes of its kind around it."""
        keywords = dict(kwargs or {})
        if not args and "input" in keywords:
            args = (keywords.pop("input"),)
        handler = HANDLERS.get(func)
        if handler is not None and (handler is _embedding or not self.plain):
            return handler(self, func, args, keywords)
        opened = _opened(func)
        if opened is not None:
            with self:
                return opened(*args, **keywords)
        result = func(*args, **keywords)
        if not self.plain and carries(result) and func not in operations.PASSES:
            self.uncovered(_name(func))
        return result

    def record(self, func: Function, kind: str, *tensors: Any) -> Operation:
        """A new operation of the trace, named by the first parameter among `tensors`."""
        parameters = (self.names.get(t.untyped_storage().data_ptr()) for t in tensors if isinstance(t, Tensor))
        operation = Operation(_name(func), kind, next((name for name in parameters if name), ""))
        self.operations.append(operation)
        return operation

    def uncovered(self, name: str) -> None:
        """Raise, or list the operation when not strict."""
        if self.strict:
            where = _module_path(self.model)
            raise UncoveredOperation(
                f"{name} in {where} carries relevance and has no rule, so its plain gradient would be silently wrong. "
                "Cure: pass strict=False to accept the gradient there (the trace then lists it as 'uncovered'), or add the "
                "operation to a table of lrp.operations."
            )
        self.operations.append(Operation(name, "uncovered", fixed=True))

    def hook_constant(self, y: Tensor, entry: str, constant: Tensor | float, axis: int = -1) -> None:
        """Book `<constant, c_y>` when the backward pass reaches `y`."""

        on_backward(y, lambda c: self.open_account.add_constant(entry, c, constant, axis))

    def book(self, entry: str, terms: Tensor) -> None:
        """Add terms to the open account."""
        self.open_account.add(entry, terms)

    @property
    def open_account(self) -> Account:
        """The account of the backward pass that runs."""
        assert self.account is not None, "backward ran outside lrp.attribute"
        return self.account

    def resolve(self, output: Tensor) -> None:
        """After the forward pass: find attention weights and written-out activations among the products; check the graph."""
        for operation in self.operations:
            if operation.kind == "product":
                _classify_product(operation)
        if self.plain:
            return
        for node in _walk(output.grad_fn):
            name = node.name()
            if name.endswith("Backward") and name not in _OWN_NODES:
                self.uncovered(f"autograd node {name} (a custom autograd.Function, TorchScript or compiled region)")

    def assign(self, composite: Composite) -> None:
        """Give every operation the composite's rule for its kind."""
        if composite.rules is None:
            return
        for operation in self.operations:
            if not operation.fixed:
                operation.rule = composite.rules[operation.kind]

    def trace(self, composite: Composite) -> tuple[TraceEntry, ...]:
        """What was intercepted, in order, with the rule each used."""
        return tuple(
            TraceEntry(op.function, op.kind, "gradient" if op.kind == "uncovered" else repr(op.rule), op.parameter)
            for op in self.operations
        )


def _embedding(mode: Interceptor, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The embedding of the token ids becomes the leaf; all others are constants."""
    result: Tensor = func(*args, **kwargs)
    indices = kwargs.get("indices", args[1] if func is torch.embedding and len(args) > 1 else args[0])
    if mode.token_ids is not None and mode.embedded is None and _same_storage(indices, mode.token_ids):
        mode.embedded = result.detach().requires_grad_()
        return mode.embedded
    mode.positional.add(result.untyped_storage().data_ptr())
    return result


def _linear(mode: Interceptor, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result: Tensor = func(*args, **kwargs)
    if not carries(result):
        return result
    addmm = func in (torch.addmm, Tensor.addmm)
    weight, bias = (args[2], args[0]) if addmm else _bind(("input", "weight", "bias"), args, kwargs)[1:]
    if carries(weight) or (addmm and carries(bias)):
        mode.uncovered(f"{_name(func)} with a weight or bias that depends on the input")
    operation = mode.record(func, "linear", weight)
    if bias is not None:
        mode.hook_constant(result, "bias", bias, axis=-1 if addmm or func is F.linear else 1)
    if not mode.stabilised:
        return result
    operation.ledger = mode.book
    return EpsilonRule.apply(result, operation)  # type: ignore[no-untyped-call]


def _addition(mode: Interceptor, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result: Tensor = func(*args, **kwargs)
    if not carries(result):
        if any(isinstance(a, Tensor) and a.untyped_storage().data_ptr() in mode.positional for a in args):
            mode.positional.add(result.untyped_storage().data_ptr())
        return result
    left, right = args[0], args[1] if len(args) > 1 else kwargs["other"]
    constant, carried_first = (right, True) if carries(left) else (left, False)
    if carries(constant):
        return result
    name = _name(func)
    sign = -1.0 if ("rsub" not in name and "sub" in name) == carried_first and "sub" in name else 1.0
    scale = sign * float(kwargs.get("alpha", 1)) if carried_first else sign
    positional = isinstance(constant, Tensor) and constant.untyped_storage().data_ptr() in mode.positional
    value = constant if scale == 1 else constant * scale
    mode.hook_constant(result, "positional" if positional else "constant", value)
    return result


def _activation(mode: Interceptor, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    x = args[0]
    if not carries(x):
        return func(*args, **kwargs)
    mode.record(func, "activation")
    return IdentityRule.apply(x, lambda value: func(value, *args[1:], **kwargs))  # type: ignore[no-untyped-call]


def _layer_norm(mode: Interceptor, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    x, shape, weight, bias, eps = _bind(("input", "normalized_shape", "weight", "bias", "eps"), args, kwargs)
    if not carries(x):
        return func(*args, **kwargs)
    mode.record(func, "norm", weight)
    result = LayerNormRule.apply(x, list(shape), weight, bias, 1e-5 if eps is None else eps)  # type: ignore[no-untyped-call]
    if bias is not None:
        mode.hook_constant(result, "norm", bias)
    return result


def _rms_norm(mode: Interceptor, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    x, shape, weight, eps = _bind(("input", "normalized_shape", "weight", "eps"), args, kwargs)
    if not carries(x):
        return func(*args, **kwargs)
    mode.record(func, "norm", weight)
    axes = tuple(range(-len(shape), 0))
    inverse = torch.rsqrt(
        x.detach().pow(2).mean(axes, keepdim=True) + (torch.finfo(x.dtype).eps if eps is None else eps)
    )
    return x * inverse if weight is None else x * inverse * weight


def _softmax(mode: Interceptor, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not carries(args[0]):
        return func(*args, **kwargs)
    operation = mode.record(func, "softmax")
    scores = Gate.apply(args[0], operation, 0)  # type: ignore[no-untyped-call]
    result: Tensor = func(scores, *args[1:], **kwargs)
    weights = result.detach()
    on_backward(result, lambda c: mode.book("softmax", c * weights))
    # <scores, c> = <log weights, c>, because softmax gives c without a component along the ones; 0 log 0 = 0 where masked.
    on_backward(scores, lambda c: _book_absorbed(mode, operation, torch.xlogy(c, weights)))
    return result


def _book_absorbed(mode: Interceptor, operation: Operation, terms: Tensor) -> None:
    assert isinstance(operation.rule, Factors)
    mode.book("softmax", -operation.rule.factors[0] * terms)


def _attention(mode: Interceptor, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Fused attention stays fused: the factors sit at q, k and v (a quarter, a quarter, one half under AttnLRP)."""
    names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
    query, key, value, mask, dropout, causal = _bind(names, args, kwargs)
    if not carries([query, key, value]):
        return func(*args, **kwargs)
    if carries(mask) or not (carries(query) and carries(key) and carries(value)):
        mode.uncovered("scaled_dot_product_attention whose mask depends on the input, or only some of q, k, v do")
    operation = mode.record(func, "attention")
    q, k, v = (Gate.apply(t, operation, i) for i, t in enumerate((query, key, value)))  # type: ignore[no-untyped-call]
    rest = {name: kwargs[name] for name in ("scale", "enable_gqa") if name in kwargs}
    result: Tensor = func(q, k, v, attn_mask=mask, dropout_p=dropout or 0.0, is_causal=bool(causal), **rest)
    kept, queries = result.detach(), query.detach()

    # The output is linear in v, so v's own share is exact; <k, c_k> = <q, c_q> = <scores, c>.
    def book_output(c: Tensor) -> None:
        share = 1 - _factor(operation, 2)
        if share:
            mode.book("softmax", share * (c * kept))

    def book_query(c: Tensor) -> None:
        share = _factor(operation, 0) + _factor(operation, 1)
        if share:
            mode.book("softmax", -share * (c * queries))

    on_backward(result, book_output)
    on_backward(q, book_query)
    return result


def _factor(operation: Operation, position: int) -> float:
    assert isinstance(operation.rule, Factors)
    return operation.rule.factors[position]


def _product(mode: Interceptor, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    positions = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
    if func is torch.einsum and isinstance(args[1], tuple | list):
        args = (args[0], *args[1])
        positions = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
    if len(positions) < 2:
        return func(*args, **kwargs)
    if len(positions) > 2:
        mode.uncovered(f"{_name(func)} of more than two inputs that carry relevance")
    operation = mode.record(func, "product")
    gated = list(args)
    for side, position in enumerate(positions):
        gated[position] = Gate.apply(args[position], operation, side)  # type: ignore[no-untyped-call]
    operation.gates = tuple(gated[position].grad_fn for position in positions)
    return func(*gated, **kwargs)


def _quotient(mode: Interceptor, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The denominator is a constant."""
    divisor = args[1] if len(args) > 1 else kwargs.pop("other")
    if carries(divisor):
        mode.record(func, "quotient").fixed = True
        divisor = divisor.detach()
    return func(args[0], divisor, *args[2:], **kwargs)


def _power(mode: Interceptor, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """x^n is a product of n equal factors, each with 1 / n of the relevance: the gradient over n."""
    if not carries(args[0]):
        return func(*args, **kwargs)
    exponent = 2 if func in (torch.square, Tensor.square) else (args[1] if len(args) > 1 else kwargs["exponent"])
    if isinstance(exponent, Tensor) and exponent.numel() > 1:
        mode.uncovered(f"{_name(func)} with a tensor of exponents")
    operation = mode.record(func, "power")
    operation.rule, operation.fixed = Factors((1 / float(exponent),)), True
    return func(Gate.apply(args[0], operation, 0), *args[1:], **kwargs)  # type: ignore[no-untyped-call]


def _constant(mode: Interceptor, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The scale of a normalisation that is written out: computed from a detached input."""
    if carries(args[0]):
        mode.record(func, "constant").fixed = True
        args = (args[0].detach(), *args[1:])
    return func(*args, **kwargs)


def _stop(mode: Interceptor, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if carries(args[0]):
        mode.record(func, "stopped").fixed = True
    return func(*args, **kwargs)


def _bind(names: tuple[str, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
    return [args[i] if i < len(args) else kwargs.get(name) for i, name in enumerate(names)]


def _same_storage(a: object, b: Tensor) -> bool:
    return isinstance(a, Tensor) and a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


def _name(func: Function) -> str:
    return str(getattr(func, "__qualname__", None) or getattr(func, "__name__", func))


_OPENED: dict[Function, Function | None] = {}


def _opened(func: Function) -> Function | None:
    """A Python-written function of torch.nn.functional, with its dispatch to modes removed so that it runs inside this mode."""
    if func not in _OPENED:
        written = isinstance(func, types.FunctionType) and func.__globals__.get("__name__") == "torch.nn.functional"
        _OPENED[func] = _without_dispatch(func) if written else None  # type: ignore[arg-type]
    return _OPENED[func]


def _without_dispatch(func: types.FunctionType) -> Function:
    scope = {
        **func.__globals__,
        **{n: lambda *_: False for n in func.__globals__ if n.startswith("has_torch_function")},
    }
    clone = types.FunctionType(func.__code__, scope, func.__name__, func.__defaults__, func.__closure__)
    clone.__kwdefaults__ = func.__kwdefaults__
    return clone


def _walk(root: Node | None) -> Iterator[Node]:
    """Every node of the graph once."""
    stack, seen = [root], set()
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        stack.extend(following for following, _ in node.next_functions)


def _classify_product(operation: Operation) -> None:
    """Attention weights x values, or an activation written out as x g(x); puts the special operand first."""
    operands = [gate.next_functions[0] for gate in operation.gates]
    for side, (node, _) in enumerate(operands):
        if _is_softmax(node):
            operation.kind = "attention_product"
            return _order(operation, first=side)
    roots = [_roots(operand) for operand in operands]
    if roots[0] == roots[1] and len(roots[0]) == 1:
        for side, operand in enumerate(operands):
            if operand in roots[side] or _is_scaled(operand, roots[side]):
                operation.kind = "activation_product"
                return _order(operation, first=side)
    return None


def _order(operation: Operation, first: int) -> None:
    for side, gate in enumerate(operation.gates):
        gate.position = 0 if side == first else 1


def _is_softmax(node: Node | None) -> bool:
    while node is not None and node.name() in operations.MOVING_NODES:
        node = node.next_functions[0][0]
    return node is not None and node.name() in ("SoftmaxBackward0", "SafeSoftmaxBackward0")


def _roots(edge: tuple[Node | None, int]) -> set[tuple[Node | None, int]]:
    """The edges that `edge` depends on through elementwise nodes only."""
    node, _ = edge
    if node is None or node.name() not in operations.ELEMENTWISE_NODES:
        return {edge}
    return set().union(*(_roots(following) for following in node.next_functions if following[0] is not None))


def _is_scaled(edge: tuple[Node | None, int], roots: set[tuple[Node | None, int]]) -> bool:
    """Whether `edge` is a root times constants."""
    node, _ = edge
    while node is not None and node.name() in ("MulBackward0", "DivBackward0", "GateBackward"):
        carried = [following for following in node.next_functions if following[0] is not None]
        if len(carried) != 1:
            return False
        if carried[0] in roots:
            return True
        node = carried[0][0]
    return False


def _module_path(model: nn.Module) -> str:
    """The module whose forward is running, by a walk up the Python frames."""
    names = {id(module): name for name, module in model.named_modules()}
    frame = sys._getframe(1)
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, nn.Module) and id(owner) in names:
            return f"module {names[id(owner)] or type(owner).__name__!r}"
        frame = frame.f_back  # type: ignore[assignment]
    return "the model"


HANDLERS: dict[Function, Callable[[Interceptor, Function, tuple[Any, ...], dict[str, Any]], Any]] = {
    torch.embedding: _embedding,
    torch.layer_norm: _layer_norm,
    torch.rms_norm: _rms_norm,
    F.scaled_dot_product_attention: _attention,
    **dict.fromkeys(operations.LINEARS, _linear),
    **dict.fromkeys(operations.ADDITIONS, _addition),
    **dict.fromkeys(operations.ACTIVATIONS, _activation),
    **dict.fromkeys(operations.SOFTMAXES, _softmax),
    **dict.fromkeys(operations.PRODUCTS, _product),
    **dict.fromkeys(operations.QUOTIENTS, _quotient),
    **dict.fromkeys(operations.POWERS, _power),
    **dict.fromkeys(operations.CONSTANTS, _constant),
    **dict.fromkeys(operations.STOPS, _stop),
}
