"""Questions to the autograd graph after the forward pass: which nodes are in it, and what a product is a product of."""

from collections.abc import Iterator

from torch.autograd.graph import Node

from lrp import operations
from lrp.rules import Operation


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


def classify_product(operation: Operation) -> None:
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
