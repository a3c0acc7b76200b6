"""Questions to the autograd graph after the forward pass: what a product is a product of, who consumes a weighted
operation, which weighted operations come first, and whether every node was made by a call that the engine saw."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, final

from torch import Tensor
from torch.autograd.graph import Node

from lrp import operations
from lrp.nodes import NODES, Operation

_OWN = frozenset(node.__name__ + "Backward" for node in NODES)


def walk(root: Node | None) -> Iterator[Node]:
    """Every node of the graph once."""
    stack, seen = [root], set()
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        stack.extend(following for following, _ in node.next_functions)


def leaves(nodes: Sequence[Node]) -> list[Tensor]:
    """The tensors at which the graph ends."""
    return [node.variable for node in nodes if node.name().endswith("AccumulateGrad")]  # type: ignore[attr-defined]


@final
class Intervals:
    """Intervals of autograd's sequence numbers, in order: the nodes inside were made by calls that the engine saw."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []

    def add(self, before: int, after: int) -> None:
        """A call made the nodes from `before` to `after`."""
        while self.starts and before <= self.starts[-1]:  # a call around calls that were seen before it ended
            self.starts.pop()
            self.ends.pop()
        if self.ends and self.ends[-1] == before:
            self.ends[-1] = after
        else:
            self.starts.append(before)
            self.ends.append(after)

    def hold(self, number: int) -> bool:
        """Whether a sequence number lies in one."""
        i = bisect_right(self.starts, number) - 1
        return i >= 0 and number < self.ends[i]


def strangers(nodes: Sequence[Node], seen: Intervals) -> Iterator[str]:
    """Names of the nodes that no intercepted call made: custom autograd functions, TorchScript, compiled regions, other threads.

    Both checks are needed: TorchScript makes nodes of ordinary names, and a compiled region lies inside an interval.
    """
    numbers: set[int] = set()
    for node in nodes:
        name = node.name()
        if name.endswith("AccumulateGrad"):
            continue
        number = node._sequence_nr()
        foreign = name.endswith("Backward") and name not in _OWN
        if foreign or not seen.hold(number) or number in numbers:
            yield name
        numbers.add(number)


def place(operations_: Sequence[Operation], nodes: Sequence[Node]) -> None:
    """Where each weighted operation with a node stands: consumers, first, last and depth; folds normalisations."""
    weighted = [operation for operation in operations_ if operation.node is not None and operation.kind != "batch_norm"]
    consumers: dict[Node, list[Node]] = defaultdict(list)
    for node in nodes:
        for following, _ in node.next_functions:
            if following is not None:
                consumers[following].append(node)
    made = {operation.node: operation for operation in operations_ if operation.node is not None}
    for i, operation in enumerate(weighted):
        operation.depth = i / max(len(weighted) - 1, 1)
        operation.last = i == len(weighted) - 1
        operation.first = _is_first(operation.node, made)
        readers = consumers[operation.node]
        norm = made.get(readers[0]) if len(readers) == 1 else None
        if norm is not None and norm.kind == "batch_norm" and norm.fold is not None and _folds(operation.node):
            operation.fold, norm.source = norm.fold, operation
            readers = consumers[norm.node]
        operation.rectified = _is_rectified(readers, consumers)


def _folds(node: Any) -> bool:
    """Whether a normalisation of axis 1 behind the node scales its output channels."""
    return node.call.outputs is not None and node.call.channels % node.y.tensor.dim() == 1


def _is_first(node: Node, made: dict[Node, Operation]) -> bool:
    return not any(
        other in made and made[other].kind != "batch_norm"
        for following, _ in node.next_functions
        for other in walk(following)
    )


def _is_rectified(readers: Sequence[Node], consumers: dict[Node, list[Node]]) -> bool:
    """Whether a single chain of operations that select values leads to a ReLU."""
    while len(readers) == 1 and readers[0].name() in operations.SELECTING_NODES:
        readers = consumers[readers[0]]
    return len(readers) == 1 and (readers[0].name() == "ReluBackward0" or getattr(readers[0], "clips", False))


def classify_product(operation: Operation) -> None:
    """Attention weights x values, an activation written out as x g(x), or a gate x signal; puts the special operand first.

    For a gate the signal comes first.
    """
    operands = [gate.next_functions[0] for gate in operation.gates]
    for kind, side in (
        ("attention_product", _side(operands, "softmax")),
        ("activation_product", _activation_side(operands)),
        ("gate_product", _side(operands, "gate")),
    ):
        if side is not None:
            operation.kind = kind
            first = 1 - side if kind == "gate_product" else side
            for i, gate in enumerate(operation.gates):
                gate.position = 0 if i == first else 1
            return


def _side(operands: Sequence[tuple[Node | None, int]], what: str) -> int | None:
    """Which operand is a softmax or a gate, through nodes that only move or rescale it."""
    for side, (node, _) in enumerate(operands):
        while node is not None and node.name() in operations.MOVING_NODES:
            node = node.next_functions[0][0]
        if node is not None and (node.name() in operations.SOFTMAX_NODES if what == "softmax" else _gates(node)):
            return side
    return None


def _gates(node: Node) -> bool:
    return getattr(node, "function_name", "") in operations.GATING


def _activation_side(operands: Sequence[tuple[Node | None, int]]) -> int | None:
    """Which operand is x itself, when both are elementwise functions of one x."""
    roots = [_roots(operand) for operand in operands]
    if roots[0] == roots[1] and len(roots[0]) == 1:
        for side, operand in enumerate(operands):
            if operand in roots[side] or _is_scaled(operand, roots[side]):
                return side
    return None


def _roots(edge: tuple[Node | None, int]) -> set[tuple[Node | None, int]]:
    """The edges that `edge` depends on through elementwise nodes only."""
    stack, seen, roots = [edge], {edge}, set()
    while stack:
        current = stack.pop()
        node, _ = current
        if node is None or node.name() not in operations.ELEMENTWISE_NODES:
            roots.add(current)
            continue
        following = [other for other in node.next_functions if other[0] is not None and other not in seen]
        seen.update(following)
        stack.extend(following)
    return roots


def _is_scaled(edge: tuple[Node | None, int], roots: set[tuple[Node | None, int]]) -> bool:
    """Whether `edge` is a root times constants."""
    node, _ = edge
    while node is not None and node.name() in (
        "MulBackward0",
        "DivBackward0",
        "GateBackward",
        "EnterBackward",
        "KeepBackward",
        "CloneBackward0",
    ):
        carried = [following for following in node.next_functions if following[0] is not None]
        if len(carried) != 1:
            return False
        if carried[0] in roots:
            return True
        node = carried[0][0]
    return False
