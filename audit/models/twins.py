"""Re-initialised twins: the architecture of a model with random weights, a reference for what content alone explains."""

import copy
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

if TYPE_CHECKING:
    from transformers import PreTrainedModel

EPSILON = 1e-5
NOISE = 0.01


def reinitialised(model: nn.Module, seed: int, batches: Iterable[Tensor]) -> nn.Module:
    """A copy with fresh weights: Kaiming normal (fan in), zero biases; BatchNorm statistics are means over the `batches`.

    A batch is `[n, channels, height, width]`. The model and the caller's random state are left alone.
    """
    twin = copy.deepcopy(model)
    device = next(model.parameters()).device
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        torch.manual_seed(seed)
        for module in twin.modules():
            _reset(module)
        norms = [module for module in twin.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
        momenta = [norm.momentum for norm in norms]
        twin.eval()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the cumulative mean of all passes
            norm.eps = max(norm.eps, EPSILON)  # torch trains with no norm whose eps is 0
            norm.train()
        for batch in batches if norms else ():
            twin(batch)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    return twin.eval()


def with_noisy_embeddings(model: "PreTrainedModel", rng: np.random.Generator) -> "PreTrainedModel":
    """A copy whose table of word embeddings carries normal noise of `NOISE` of its standard deviation."""
    made = copy.deepcopy(model)
    with torch.no_grad():
        weight = cast(Tensor, made.get_input_embeddings().weight)
        weight += NOISE * weight.std() * torch.from_numpy(rng.standard_normal(tuple(weight.shape))).to(weight)
    return made


def _reset(module: nn.Module) -> None:
    """The parameters of one module, not of its children."""
    reset = getattr(module, "reset_parameters", None)
    if callable(reset):
        reset()
    known = callable(reset)
    for name, weight in module.named_parameters(recurse=False):
        if name.endswith("bias"):
            weight.zero_()
        elif name.endswith("weight") and weight.dim() >= 2:
            nn.init.kaiming_normal_(weight)
        elif not known:
            weight.normal_(float(weight.mean()), float(weight.std(correction=0)))
