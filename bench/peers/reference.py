"""Relevance by zennit on the nets of `bench.peers.nets`, run in the peers' environment: `python -m bench.peers.reference FILE.npz`.

zennit imports torchvision for its model-specific canonizers, which are not needed here; empty modules stand in for it.
"""

import importlib.metadata
import sys
import types

import numpy as np
import torch
from torch import nn

from bench.peers.nets import COMPOSITES, NETS, TARGET, build, images

_NAMES = {
    "torchvision": (),
    "torchvision.models": (),
    "torchvision.models.resnet": ("Bottleneck", "BasicBlock"),
    "torchvision.models.vgg": ("VGG",),
}


def _stand_in() -> None:
    for name, classes in _NAMES.items():
        module = types.ModuleType(name)
        for item in classes:
            setattr(module, item, type(item, (nn.Module,), {}))
        sys.modules[name] = module


def main(path: str) -> None:
    """Write one array per net and composite, and where they come from."""
    _stand_in()
    from zennit import composites as zennit
    from zennit.canonizers import SequentialMergeBatchNorm
    from zennit.layer import Sum

    made = {
        "epsilon_plus": zennit.EpsilonPlus,
        "epsilon_plus_flat": zennit.EpsilonPlusFlat,
        "epsilon_gamma_box": zennit.EpsilonGammaBox,
        "epsilon_alpha2_beta1": zennit.EpsilonAlpha2Beta1,
        "epsilon_alpha2_beta1_flat": zennit.EpsilonAlpha2Beta1Flat,
    }
    x = images()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("zennit", "torch"))
    arrays = {
        "origin": np.array(
            f"bench/peers/reference.py: {versions}; SequentialMergeBatchNorm; R = logit {TARGET}; float64"
        )
    }
    for name in NETS:
        net = build(name, Sum)
        for composite, parameters in COMPOSITES.items():
            bounds = {key: torch.full_like(x, value) for key, value in parameters.items()}
            with made[composite](canonizers=[SequentialMergeBatchNorm()], **bounds).context(net) as explained:
                leaf = x.clone().requires_grad_()
                output = explained(leaf)
                seed = torch.zeros_like(output)
                seed[:, TARGET] = output[:, TARGET].detach()
                (relevance,) = torch.autograd.grad(output, leaf, seed)
            arrays[f"{name}.{composite}"] = relevance.numpy()
    np.savez_compressed(path, **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
