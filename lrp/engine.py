"""The engine: one `TorchFunctionMode` sees every torch function that a model calls and puts the rules' nodes around it.

Rules act in backward only, and are assigned after the forward pass, when the whole graph is known. Cost: about 2 µs for each
call that is seen, and one elementwise pass over the output of each operation that has a rule or a ledger entry.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lrp import graph, operations
from lrp.calls import Function, carries, module_path, mutates, name_of, on_backward, rest_of, storage_of, tensors
from lrp.composites import MIXING, WEIGHTED, Composite
from lrp.constants import Constants
from lrp.errors import UncoveredOperation
from lrp.handlers import HANDLERS
from lrp.ledger import Account
from lrp.nodes import Booked, Enter, Kept, Operation
from lrp.opening import opened, without_dispatch
from lrp.raw import from_raw
from lrp.rules import Zero
from lrp.types import TraceEntry

LIKE = "say which operation it is like, lrp.cover(function, like=torch.tanh), or write a handler"
SEEN = "call a custom function through torch.overrides.wrap_torch_function, and use the plain module instead of its TorchScript"


@final
class FreeTensors(Exception):
    """`tensors` want a gradient although they are neither parameters nor the input: explain again with them as constants."""

    def __init__(self, tensors: list[Tensor]) -> None:
        super().__init__(f"{len(tensors)} tensors want a gradient")
        self.tensors = tensors


@final
class Interceptor(TorchFunctionMode):
    """Records one forward pass. `token_ids`: the index tensor whose embeddings are the input, or None for a float input.

    `composites`: those that will be asked for. When all are the plain gradient nothing but that embedding is intercepted.
    """

    def __init__(
        self, *, model: nn.Module, token_ids: Tensor | None, composites: list[Composite], strict: bool
    ) -> None:
        super().__init__()
        self.model, self.token_ids, self.strict = model, token_ids, strict
        self.plain = all(composite.rules is None for composite in composites)
        wrapped = any(composite.weighted for composite in composites)
        self.wraps: tuple[str, ...] = WEIGHTED if wrapped else ()  # kinds of operation that need a node
        self.lazy = all(composite.choose is not None for composite in composites if composite.weighted)
        self.embedded: Tensor | None = None
        self._leaf: Tensor | None = None
        self.alignment: Callable[[Tensor], Tensor] | None = None  # from the embedded tokens to the token ids
        self.table = 0
        self.operations: list[Operation] = []
        self.account: Account | None = None
        self.names = {storage_of(parameter): name for name, parameter in model.named_parameters()}
        self.constants = Constants(model)
        self._raw: dict[int, Tensor] = {}
        self._kept: dict[int, list[Kept]] = defaultdict(list)
        self._seen = graph.Intervals()

    def __torch_function__(
        self, func: Function, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call `func`, with the nodes of its kind around it."""
        if self.plain:
            return self._plain(func, args, dict(kwargs or {}))
        if not torch.is_grad_enabled():  # inside no_grad, or the forward of a custom autograd function
            if self._kept and mutates(func):
                self._protect(func, args[0] if args else None)
            return func(*args, **(kwargs or {}))
        before = _sequence_number()
        keywords = dict(kwargs or {})
        if not args and "input" in keywords:
            args = (keywords.pop("input"),)
        result = self._call(func, args, keywords)
        after = _sequence_number()
        if after > before:
            self._seen.add(before, after)
        elif self.constants.entries and isinstance(result, Tensor) and not result.requires_grad:
            self.constants.inherit(result, args)
        return result

    def _plain(self, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if func in (torch.embedding, torch.embedding_bag):
            return HANDLERS[func](self, func, args, kwargs)
        if func in (torch.nn.functional.embedding, torch.nn.functional.embedding_bag):
            with self:
                return without_dispatch(func)(*args, **kwargs)
        return func(*args, **kwargs)

    def _call(self, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        inside = opened(func)
        if inside is not None:
            with self:
                return inside(*args, **kwargs)
        if mutates(func):
            return self._overwrite(func, args, kwargs)
        return self._dispatch(func, args, kwargs)

    def _overwrite(self, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call in place. Where it lets relevance into a part of a constant, the rest of that leaks."""
        written = args[0] if args else None
        self._protect(func, written)
        base = None if not isinstance(written, Tensor) or written.requires_grad else written._base
        rest = None if base is None or not carries([*args, *kwargs.values()]) else rest_of(base, args[0])
        result = self._dispatch(func, args, kwargs)
        if base is not None and rest is not None and rest.any():
            self.hook_constant(base, self.constants.entry_of(base), rest)
        return result

    def _dispatch(self, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._raw and any(id(t) in self._raw for t in tensors([*args, *kwargs.values()])):
            return from_raw(self, func, args, kwargs)
        return self.run(func, args, kwargs)

    def run(self, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The handler of a call in c-form, or the call itself."""
        handler = HANDLERS.get(func)
        if handler is not None:
            return handler(self, func, args, kwargs)
        result = func(*args, **kwargs)
        if carries(result):
            if func in operations.PASSES:
                self.passed(func)
            else:
                self.uncovered(name_of(func), operations.CURES.get(func.__name__, LIKE))
        return result

    def enter_in_place(self, x: Tensor) -> None:
        """Pass to c-form in the tensor that the model holds, and in every view of it."""
        Enter.apply(x if x._base is None else x._base, True)  # type: ignore[no-untyped-call]
        storage = storage_of(x)
        self._raw = {key: tensor for key, tensor in self._raw.items() if storage_of(tensor) != storage}

    def begin(self, leaf: Tensor) -> Tensor:
        """The float input as the model gets it: in R-form, and free to be overwritten."""
        self._leaf = leaf
        return leaf.clone() if self.plain else self.raw(leaf.clone())

    def raw(self, result: Any) -> Any:
        """Mark a result as being in R-form."""
        for tensor in tensors(result):
            if tensor.requires_grad:
                self._raw[id(tensor)] = tensor
        return result

    def is_raw(self, x: Tensor) -> bool:
        """Whether x is in R-form."""
        return id(x) in self._raw

    def enter(self, x: Tensor) -> Tensor:
        """x in c-form."""
        if id(x) not in self._raw:
            return x
        entered: Tensor = Enter.apply(x, False)  # type: ignore[no-untyped-call]
        self._kept[storage_of(x)].append(entered.grad_fn.kept)  # type: ignore[union-attr]
        return entered

    def keep(self, node: Any) -> None:
        """Watch the tensors that a node needs in backward."""
        self._kept[storage_of(node.x.tensor)].append(node.x)
        self._kept[storage_of(node.y.tensor)].append(node.y)

    def _protect(self, func: Function, mutated: object) -> None:
        """Copy what a call is about to overwrite; a ReLU on an output leaves what the rules need."""
        if isinstance(mutated, Tensor):
            for kept in self._kept.pop(storage_of(mutated), ()):
                if kept.output and func in (torch.relu_, Tensor.relu_):
                    kept.clipped = True
                    self._kept[storage_of(mutated)].append(kept)
                else:
                    kept.tensor = kept.tensor.clone()

    def record(self, func: Function, kind: str, *sources: Any) -> Operation:
        """A new operation of the trace, named by the first parameter among `sources`."""
        parameters = (self.names.get(storage_of(t)) for t in sources if isinstance(t, Tensor))
        operation = Operation(name_of(func), kind, next((name for name in parameters if name), ""), book=self.book)
        self.operations.append(operation)
        if self.lazy and kind in MIXING:
            self.wraps = self.wraps and ("convolution",)
        return operation

    def passed(self, func: Function) -> None:
        """An operation that is linear or homogeneous."""
        self.operations.append(Operation(name_of(func), "passes", fixed=True))

    def uncovered(self, name: str, cure: str = LIKE) -> None:
        """Raise, or list the operation when not strict."""
        if self.strict:
            where = module_path(self.model)
            raise UncoveredOperation(
                f"{name} in {where} carries relevance and has no rule, so its plain gradient would be silently wrong. "
                f"Cure: {cure} (docs/engine/operations.md); strict=False accepts the gradient there and lists it as 'uncovered'."
            )
        self.operations.append(Operation(name, "uncovered", fixed=True))

    def hook(self, y: Tensor, book: Callable[[Tensor], None], *, in_place: bool = False) -> None:
        """Call `book(c)` when the coefficient of `y` arrives; `in_place` where a call overwrote `y`, which may be a view."""
        if in_place and y._base is not None and y.requires_grad:
            Booked.apply(y, book)  # type: ignore[no-untyped-call]
        else:
            on_backward(y, book)

    def hook_constant(
        self,
        y: Tensor,
        entry: str,
        constant: Tensor | Kept | float,
        axis: int = -1,
        operation: Operation | None = None,
        *,
        in_place: bool = False,
    ) -> None:
        """Book `<constant, c_y>` when the backward pass reaches `y`; the constant must not change, or be kept by `keep_constant`."""
        layer = operation.layer if operation else ""

        def book(c: Tensor) -> None:
            value = constant.tensor if isinstance(constant, Kept) else constant
            self.open_account.add_constant(entry, c, value, axis, layer)

        self.hook(y, book, in_place=in_place)

    def keep_constant(self, constant: Tensor) -> Kept:
        """A constant that the model may overwrite later."""
        kept = Kept(constant)
        self._kept[storage_of(constant)].append(kept)
        return kept

    def book(self, entry: str, terms: Tensor, layer: str = "") -> None:
        """Add terms to the open account."""
        self.open_account.add(entry, terms, layer)

    @property
    def open_account(self) -> Account:
        """The account of the backward pass that runs."""
        assert self.account is not None, "backward ran outside lrp.attribute"
        return self.account

    @property
    def leaf(self) -> Tensor | None:
        """The explained input: the float input or the embeddings; None before the model looked those up."""
        return self._leaf if self.embedded is None else self.embedded

    def refuse_free(self, *parameters: Tensor | None) -> None:
        """Raise `FreeTensors` where parameters of an operation want a gradient of their own and do not depend on the input."""
        given = [t for t in parameters if t is not None and t.requires_grad]
        ends = [t for t in given if t.is_leaf] + graph.leaves([node for t in given for node in graph.walk(t.grad_fn)])
        if ends and all(tensor is not self.leaf for tensor in ends):
            raise FreeTensors(ends)

    def resolve(self, output: Tensor) -> None:
        """After the forward pass: classify products, place weighted operations, and check that the engine saw every node.

        Raises `FreeTensors` where other tensors than the explained input want a gradient.
        """
        self._raw.clear()
        self._kept.clear()
        if self.plain:
            return
        nodes = list(graph.walk(output.grad_fn))
        free = [tensor for tensor in graph.leaves(nodes) if tensor is not self.leaf]
        if free:
            raise FreeTensors(free)
        for operation in self.operations:
            if operation.kind == "product" and operation.gates:
                graph.classify_product(operation)
        if any(operation.node is not None for operation in self.operations):
            graph.place(self.operations, nodes)
        for name in graph.strangers(nodes, self._seen):
            self.uncovered(f"autograd node {name} (a custom autograd.Function, TorchScript or compiled region)", SEEN)

    def assign(self, composite: Composite, *, last: bool) -> Composite:
        """Give every operation the composite's rule; returns the composite that was chosen. `last`: no backward pass follows this one."""
        chosen = composite.choose(self.operations) if composite.choose is not None else composite
        chosen.assign(self.operations)
        for operation in self.operations:
            operation.last_pass = last
            bare = operation.kind in WEIGHTED and operation.node is None
            assert not bare or chosen.rules is None or isinstance(operation.rule, Zero), operation
        return chosen

    def release(self) -> None:
        """Drop what points back at the graph: a node holds its operation, and both directions would keep it alive."""
        for operation in self.operations:
            operation.gates, operation.book, operation.node, operation.source = (), None, None, None
        self.operations = []
        self._raw.clear()
        self._kept.clear()

    def stops(self) -> str:
        """The operations at which relevance stopped, for a message."""
        names = dict.fromkeys(op.function for op in self.operations if op.kind in ("constant", "stopped"))
        if not names:
            return ""
        return (
            f"; it stops at {', '.join(names)}, whose results are constants (the scale of a normalisation, a detached value). Cure: write "
            "an activation as the function that torch has for it, torch.sigmoid or torch.nn.functional.elu (docs/engine/operations.md)"
        )

    def trace(self) -> tuple[TraceEntry, ...]:
        """What was intercepted, in order, with the rule each used."""
        return tuple(
            TraceEntry(op.function, op.kind, _RULE_OF.get(op.kind) or repr(op.rule), op.parameter)
            for op in self.operations
        )


_RULE_OF = {
    "passes": "gradient",
    "uncovered": "gradient",
    "keeps": "relevance stays in place",
    "batch_norm": "affine or folded",
}
_sequence_number: Callable[[], int] = torch._C._autograd._get_sequence_nr
