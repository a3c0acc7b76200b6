"""Which torch function is which kind of operation. To cover one more, add it to one of these tables.

Keys are the C-level functions; functions of `torch.nn.functional` that are written in Python are opened by the engine, so
that only what they call needs an entry. `PASSES` are linear or homogeneous in what carries relevance: autograd is LRP-0 there.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Functions = set[Any]


def _named(owner: Any, names: str) -> Functions:
    return {getattr(owner, name) for name in names.split()}


# Rearrange, copy or select entries: what is true of each entry stays true, so relevance itself may pass by the gradient.
MOVES: Functions = (
    _named(
        Tensor,
        "view reshape transpose permute contiguous flatten unflatten squeeze unsqueeze expand expand_as repeat repeat_interleave "
        "view_as reshape_as swapaxes swapdims moveaxis movedim t adjoint narrow select index_select gather take_along_dim "
        "__getitem__ split chunk unbind tensor_split split_with_sizes roll flip clone to type type_as float double half bfloat16 cpu cuda "
        "unfold diagonal "
        "squeeze_ unsqueeze_ transpose_ t_ take ravel masked_select broadcast_to as_strided",
    )
    | _named(
        torch,
        "reshape transpose permute flatten unflatten squeeze unsqueeze repeat_interleave swapaxes swapdims moveaxis movedim t adjoint "
        "narrow select index_select gather take_along_dim split chunk unbind tensor_split split_with_sizes roll flip clone rot90 tile "
        "pixel_shuffle pixel_unshuffle channel_shuffle max_pool1d max_pool2d max_pool3d broadcast_to ravel "
        "masked_select as_strided atleast_1d atleast_2d atleast_3d diagonal take dropout feature_dropout alpha_dropout",
    )
    | _named(
        torch._C._nn,
        "im2col upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d upsample_bilinear2d upsample_trilinear3d "
        "upsample_bicubic2d _upsample_bilinear2d_aa _upsample_bicubic2d_aa adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool2d "
        "_upsample_nearest_exact1d _upsample_nearest_exact2d",
    )
    | {F.max_pool1d, F.max_pool2d, F.max_pool3d, F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d}
    | {F.max_pool1d_with_indices, F.max_pool2d_with_indices, F.max_pool3d_with_indices, torch.adaptive_avg_pool1d}
    | {Tensor.T.__get__, Tensor.mT.__get__, Tensor.H.__get__, Tensor.mH.__get__}  # type: ignore[attr-defined]
)

# Weighted means whose weights sum to 1, as long as no padding is averaged in.
AVERAGES: Functions = {torch.avg_pool1d, torch._C._nn.avg_pool2d, torch._C._nn.avg_pool3d}
PADS: Functions = {torch._C._nn.pad, torch.constant_pad_nd}
# Put constants, or other entries, in the place of entries.
REPLACES: Functions = (
    PADS
    | {torch.masked_fill}
    | _named(Tensor, "masked_fill masked_fill_ __setitem__ zero_ fill_ copy_ index_fill index_fill_")
)

# Linear or homogeneous besides.
PASSES: Functions = (
    MOVES
    | AVERAGES
    | _named(
        Tensor,
        "mean sum cumsum neg __neg__ neg_ negative relu relu_ tril triu amax amin topk sort median abs __abs__ "
        "nan_to_num nan_to_num_ logical_not nansum conj flip",
    )
    | _named(
        torch,
        "mean sum cumsum neg negative relu relu_ zeros_like tril triu amax amin topk sort median abs nan_to_num view_as_real "
        "view_as_complex conj real imag complex dropout_ feature_dropout_ _pack_padded_sequence _pad_packed_sequence",
    )
    | _named(torch.fft, "fft ifft fft2 ifft2 fftn ifftn rfft irfft rfft2 irfft2 rfftn irfftn fftshift ifftshift")
    | _named(torch._C._nn, "col2im")
    | {Tensor.real.__get__, Tensor.imag.__get__}  # type: ignore[attr-defined]
)

# Results that never carry relevance although the input does; the trace lists them.
STOPS: Functions = _named(Tensor, "detach detach_ item tolist numpy") | {
    Tensor.data.__get__,  # type: ignore[attr-defined]
    torch.detach,
}

# Elementwise. Where f(0) is not 0 the identity rule has no relevance to give at x = 0. ReLU is homogeneous and passes.
ACTIVATIONS: Functions = {
    *_named(torch._C._nn, "gelu silu hardswish mish softplus log_sigmoid elu elu_ hardtanh leaky_relu hardsigmoid relu6 softshrink"),
    *_named(torch._C._nn, "silu_ mish_ hardswish_ hardtanh_ leaky_relu_ hardsigmoid_"),
    *_named(torch, "tanh sigmoid erf celu selu celu_ selu_ tanh_ sigmoid_ atan sin hardshrink threshold threshold_ clamp clip rrelu rrelu_ "
            "prelu expm1 log1p sinh asinh logit"),
    *_named(Tensor, "tanh sigmoid erf hardshrink tanh_ sigmoid_ clamp clip clamp_ clip_ clamp_min clamp_max clamp_min_ clamp_max_ atan sin "
            "sigmoid prelu expm1 log1p"),
}  # fmt: skip

# Names of activations that may not be 0 at 0: f(0) is a constant that leaks, the identity rule is for the rest.
SHIFTED = frozenset(
    "sigmoid sigmoid_ hardsigmoid hardsigmoid_ softplus log_sigmoid clamp clip clamp_ clip_ clamp_min clamp_max clamp_min_ "
    "clamp_max_ hardtanh hardtanh_ threshold threshold_".split()
)

# Names of activations whose output is 0 wherever their input is below 0 for some of their parameters, and of those that open and
# close a product.
CLIPPING = frozenset(
    "relu6 hardtanh hardtanh_ clamp clamp_ clip clip_ clamp_min clamp_min_ threshold threshold_".split()
)
GATING = frozenset({"sigmoid", "sigmoid_", "hardsigmoid", "hardsigmoid_"})

CONVOLUTIONS: Functions = {torch.conv1d, torch.conv2d, torch.conv3d}
TRANSPOSED_CONVOLUTIONS: Functions = {torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d}
AFFINE: Functions = {torch.addmm, Tensor.addmm, torch.baddbmm, Tensor.baddbmm}

ADDITIONS: Functions = {
    *_named(torch, "add sub subtract rsub"),
    *_named(Tensor, "add add_ sub sub_ subtract __add__ __radd__ __sub__ __rsub__ __iadd__ __isub__"),
}

# Linear in all that they join, so that constants among it leak.
JOINS: Functions = (
    REPLACES
    | _named(
        torch,
        "cat concat concatenate stack hstack vstack dstack column_stack where scatter scatter_add index_add index_put index_copy",
    )
    | _named(torch, "scatter_reduce segment_reduce masked_scatter")
    | _named(
        Tensor,
        "where scatter scatter_ scatter_add scatter_add_ scatter_reduce scatter_reduce_ index_add index_add_ index_put",
    )
    | _named(Tensor, "index_put_ index_copy index_copy_ masked_scatter masked_scatter_")
)
# Those of them that take numbers as values.
FILLS: Functions = {torch.where, torch.scatter} | _named(Tensor, "where scatter scatter_")
# The larger or smaller of two, or of the entries along an axis.
EXTREMES: Functions = _named(torch, "max min maximum minimum") | _named(Tensor, "max min maximum minimum")

PRODUCTS: Functions = {
    *_named(torch, "mul multiply matmul bmm mm mv dot einsum bilinear outer kron _grouped_mm"),
    *_named(Tensor, "mul mul_ multiply matmul bmm mm mv dot __mul__ __rmul__ __imul__ __matmul__ __rmatmul__"),
}

MATRIX_PRODUCTS: Functions = _named(torch, "matmul mm bmm") | _named(Tensor, "matmul mm bmm __matmul__ __rmatmul__")

QUOTIENTS: Functions = {
    *_named(torch, "div divide true_divide"),
    *_named(Tensor, "div div_ divide true_divide __div__ __truediv__ __itruediv__"),
}

POWERS: Functions = {torch.pow, torch.square, Tensor.pow, Tensor.square, Tensor.__pow__, Tensor.pow_}

# Scales of normalisations that are written out, decays of state-space scans: constants, as in layer normalisation.
CONSTANTS: Functions = {
    *_named(torch, "rsqrt sqrt reciprocal var std var_mean std_mean norm exp log logsumexp count_nonzero cos bucketize"),
    *_named(Tensor, "rsqrt sqrt reciprocal var std norm __rpow__ __rdiv__ __rtruediv__ exp log logsumexp cos"),
    torch.linalg.vector_norm,
    torch.linalg.norm,
}  # fmt: skip

# What to do about some functions that have no rule, by name.
_LOGITS = "explain the logits: return them from the model instead of their log_softmax"
_LOSS = "explain the logits: return them from the model instead of the loss, and leave out labels"
CURES: dict[str, str] = {
    **dict.fromkeys("log_softmax _log_softmax".split(), _LOGITS),
    **dict.fromkeys(
        "cross_entropy cross_entropy_loss nll_loss nll_loss_nd mse_loss binary_cross_entropy_with_logits".split(), _LOSS
    ),
    **dict.fromkeys("binary_cross_entropy l1_loss smooth_l1_loss huber_loss kl_div".split(), _LOSS),
}

SOFTMAXES: Functions = {torch.softmax, Tensor.softmax}

# Names of autograd nodes whose output is, entry by entry, a function of one entry of the input.
ELEMENTWISE_NODES = frozenset(
    "MulBackward0 AddBackward0 SubBackward0 RsubBackward1 NegBackward0 DivBackward0 PowBackward0 ReluBackward0 "
    "ToCopyBackward0 CloneBackward0 IdentityRuleBackward GateBackward EnterBackward KeepBackward".split()
)

SOFTMAX_NODES = frozenset({"SoftmaxBackward0", "SafeSoftmaxBackward0"})

# Names of autograd nodes that only move or rescale attention weights or gates on their way to a product.
MOVING_NODES = frozenset(
    "ViewBackward0 UnsafeViewBackward0 ReshapeAliasBackward0 ExpandBackward0 CloneBackward0 TransposeBackward0 UnsqueezeBackward0 "
    "PermuteBackward0 ToCopyBackward0 MulBackward0 GateBackward SqueezeBackward1 SliceBackward0".split()
)

# Names of autograd nodes that select or move single values of a weighted operation's output before a ReLU.
SELECTING_NODES = frozenset(
    "MaxPool2DWithIndicesBackward0 MaxPool1DWithIndicesBackward0 MaxPool3DWithIndicesBackward0 ViewBackward0 CloneBackward0 "
    "ReshapeAliasBackward0 TransposeBackward0 PermuteBackward0 SqueezeBackward1 UnsqueezeBackward0 AliasBackward0".split()
)
