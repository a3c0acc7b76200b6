"""Which torch function is which kind of operation. To cover one more, add it to one of these tables.

Keys are the C-level functions; functions of `torch.nn.functional` that are written in Python are opened by the engine, so
that only what they call needs an entry. `PASSES` are linear or homogeneous in what carries relevance: autograd is LRP-0 there.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def _named(owner: Any, names: str) -> set[Callable[..., Any]]:
    return {getattr(owner, name) for name in names.split()}


PASSES: set[Callable[..., Any]] = (
    _named(
        Tensor,
        "view reshape transpose permute contiguous flatten unflatten squeeze unsqueeze expand expand_as repeat repeat_interleave "
        "view_as reshape_as swapaxes movedim t narrow select index_select gather take_along_dim __getitem__ split chunk unbind "
        "tensor_split roll flip clone to type type_as float double half bfloat16 cpu cuda mean sum cumsum masked_fill neg __neg__ "
        "relu relu_ unfold diagonal tril triu",
    )
    | _named(
        torch,
        "reshape transpose permute flatten unflatten squeeze unsqueeze repeat_interleave swapaxes movedim t narrow select "
        "index_select gather take_along_dim split chunk unbind tensor_split cat concat stack roll flip clone mean sum cumsum "
        "masked_fill where neg relu relu_ dropout feature_dropout zeros_like tril triu",
    )
    | {Tensor.T.__get__, Tensor.mT.__get__, Tensor.H.__get__, Tensor.real.__get__}  # type: ignore[attr-defined]
)

# Results that never carry relevance although the input does; the trace lists them.
STOPS: set[Callable[..., Any]] = _named(Tensor, "detach detach_ item tolist numpy") | {
    Tensor.data.__get__,  # type: ignore[attr-defined]
    torch.detach,
}

# Elementwise with f(0) = 0. ReLU is homogeneous and passes.
ACTIVATIONS: set[Callable[..., Any]] = {
    *_named(torch._C._nn, "gelu silu hardswish mish softplus log_sigmoid elu_ hardtanh leaky_relu"),
    *_named(torch, "tanh sigmoid erf celu selu"),
    *_named(Tensor, "tanh sigmoid erf hardshrink"),
    F.elu,
    F.gelu,
    F.silu,
    F.mish,
    F.hardswish,
    F.softplus,
}

LINEARS: set[Callable[..., Any]] = {F.linear, torch.addmm, Tensor.addmm, F.conv1d, F.conv2d, F.conv3d}

ADDITIONS: set[Callable[..., Any]] = {
    *_named(torch, "add sub subtract rsub"),
    *_named(Tensor, "add add_ sub sub_ subtract __add__ __radd__ __sub__ __rsub__ __iadd__ __isub__"),
}

PRODUCTS: set[Callable[..., Any]] = {
    *_named(torch, "mul multiply matmul bmm mm mv dot einsum"),
    *_named(Tensor, "mul mul_ multiply matmul bmm mm __mul__ __rmul__ __imul__ __matmul__ __rmatmul__"),
}

QUOTIENTS: set[Callable[..., Any]] = {
    *_named(torch, "div divide true_divide"),
    *_named(Tensor, "div div_ divide true_divide __div__ __truediv__ __itruediv__"),
}

POWERS: set[Callable[..., Any]] = {torch.pow, torch.square, Tensor.pow, Tensor.square, Tensor.__pow__}

# Scales of normalisations that are written out: constants, as in layer normalisation.
CONSTANTS: set[Callable[..., Any]] = {
    *_named(torch, "rsqrt sqrt reciprocal var std norm"),
    *_named(Tensor, "rsqrt sqrt reciprocal var std norm __rpow__ __rdiv__"),
    torch.linalg.vector_norm,
}

SOFTMAXES: set[Callable[..., Any]] = {torch.softmax, Tensor.softmax}

# Names of autograd nodes whose output is, entry by entry, a function of one entry of the input.
ELEMENTWISE_NODES = frozenset(
    "MulBackward0 AddBackward0 SubBackward0 RsubBackward1 NegBackward0 DivBackward0 PowBackward0 ReluBackward0 "
    "ToCopyBackward0 IdentityRuleBackward GateBackward".split()
)

# Names of autograd nodes that only move or rescale attention weights between the softmax and the product with the values.
MOVING_NODES = frozenset(
    "ViewBackward0 UnsafeViewBackward0 ReshapeAliasBackward0 ExpandBackward0 CloneBackward0 TransposeBackward0 "
    "PermuteBackward0 ToCopyBackward0 MulBackward0 GateBackward".split()
)
