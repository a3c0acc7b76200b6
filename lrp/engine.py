"""The engine: one `TorchFunctionMode` sees every torch function that a model calls and puts the rules' nodes around it.

Rules act in backward only, and are assigned after the forward pass, when the whole graph is known. Cost: about 2 µs for each
call that is seen, and one elementwise pass over the output of each operation that has a rule or a ledger entry.
"""

import sys
import types
from collections.abc import Mapping
from typing import Any, final

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lrp import operations
from lrp.composites import Composite
from lrp.errors import UncoveredOperation
from lrp.graph import classify_product, walk
from lrp.handlers import HANDLERS, Function, carries, embedding, name_of, on_backward
from lrp.ledger import Account
from lrp.rules import Operation
from lrp.types import TraceEntry

_OWN_NODES = frozenset({"GateBackward", "IdentityRuleBackward", "LayerNormRuleBackward", "EpsilonRuleBackward"})


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
        self.positional: dict[int, Tensor] = {}  # kept alive, so that no address is used twice

    def __torch_function__(
        self, func: Function, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call `func`, with the nodes of its kind around it."""
        keywords = dict(kwargs or {})
        if not args and "input" in keywords:
            args = (keywords.pop("input"),)
        handler = HANDLERS.get(func)
        if handler is not None and (handler is embedding or not self.plain):
            return handler(self, func, args, keywords)
        opened = _opened(func)
        if opened is not None:
            with self:
                return opened(*args, **keywords)
        result = func(*args, **keywords)
        if not self.plain and carries(result) and func not in operations.PASSES:
            self.uncovered(name_of(func))
        return result

    def record(self, func: Function, kind: str, *tensors: Any) -> Operation:
        """A new operation of the trace, named by the first parameter among `tensors`."""
        parameters = (self.names.get(t.untyped_storage().data_ptr()) for t in tensors if isinstance(t, Tensor))
        operation = Operation(name_of(func), kind, next((name for name in parameters if name), ""))
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
                classify_product(operation)
        if self.plain:
            return
        for node in walk(output.grad_fn):
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

    def release(self) -> None:
        """Drop what points back at the graph: a node holds its operation, and both directions would keep it alive."""
        for operation in self.operations:
            operation.gates, operation.ledger = (), None

    def trace(self, composite: Composite) -> tuple[TraceEntry, ...]:
        """What was intercepted, in order, with the rule each used."""
        return tuple(
            TraceEntry(op.function, op.kind, "gradient" if op.kind == "uncovered" else repr(op.rule), op.parameter)
            for op in self.operations
        )


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
