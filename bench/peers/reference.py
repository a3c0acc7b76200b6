"""Relevance by other engines, run in their environment: `python -m bench.peers.reference PEER FILE.npz`, float64, nothing of ours imported.

A file holds an array per case of the peer and `origin`, which says how they were made. To add a peer, write a function and one
line in `PEERS`, and its counterpart in `bench.peers.compare`.
"""

import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import logging

from bench.peers import nets, standins, texts

Arrays = dict[str, np.ndarray]


def _origin(packages: str, how: str) -> np.ndarray:
    versions = ", ".join(f"{name} {version(name)}" for name in packages.split())
    return np.array(f"bench/peers/reference.py: {versions}; {how}; R = logit {nets.TARGET}; float64")


def _modified_gradient(output: Tensor, leaf: Tensor, seed: Tensor) -> Tensor:
    """The gradient at `leaf` that arises from `seed` at the target's logit."""
    at_output = torch.zeros_like(output)
    at_output[:, nets.TARGET] = seed
    return torch.autograd.grad(output, leaf, at_output)[0]


def zennit() -> Arrays:
    """The classic composites on convolutional nets, where the modified gradient is R."""
    from zennit import composites
    from zennit.canonizers import SequentialMergeBatchNorm
    from zennit.layer import Sum

    made: dict[str, Any] = {
        "epsilon_plus": composites.EpsilonPlus,
        "epsilon_plus_flat": composites.EpsilonPlusFlat,
        "epsilon_gamma_box": composites.EpsilonGammaBox,
        "epsilon_alpha2_beta1": composites.EpsilonAlpha2Beta1,
        "epsilon_alpha2_beta1_flat": composites.EpsilonAlpha2Beta1Flat,
    }
    x = nets.images()
    arrays = {"origin": _origin("zennit torch", "SequentialMergeBatchNorm")}
    for case in nets.CASES:
        net, composite = case.split(".")
        bounds = {key: torch.full_like(x, value) for key, value in nets.COMPOSITES[composite].items()}
        rules = made[composite](canonizers=[SequentialMergeBatchNorm()], **bounds)
        with rules.context(nets.build(net, Sum)) as explained:
            leaf = x.clone().requires_grad_()
            output = explained(leaf)
            arrays[case] = _modified_gradient(output, leaf, output[:, nets.TARGET].detach()).numpy()
    return arrays


def lxt() -> Arrays:
    """AttnLRP on transformers: word embedding x modified gradient, summed per token."""
    from lxt.efficient import monkey_patch

    logging.set_verbosity_error()  # about padded ends, of which there are none
    warnings.filterwarnings("error", message="Failed to patch")
    # LayerNorm and Dropout are torch's: for the second family they are patched already.
    warnings.filterwarnings(
        "ignore", message="(layer_norm|dropout)_forward already|Failed to patch (LayerNorm|Dropout)"
    )
    for family in texts.FAMILIES:
        monkey_patch(import_module(f"transformers.models.{family}.modeling_{family}"))
    arrays = {"origin": _origin("lxt transformers torch", "lxt.efficient; word embedding x gradient, summed per token")}
    for case in texts.CASES:
        model: Any = texts.build(case)
        inputs = texts.batch()
        leaf = model.get_input_embeddings()(inputs["input_ids"]).requires_grad_()
        logits = model(inputs_embeds=leaf, attention_mask=inputs["attention_mask"]).logits
        gradient = _modified_gradient(logits, leaf, torch.ones_like(logits[:, 0]))
        arrays[case] = (leaf.detach() * gradient).sum(-1).numpy()
    return arrays


PEERS: dict[str, Callable[[], Arrays]] = {"zennit": zennit, "lxt": lxt}


def main(peer: str, path: str) -> None:
    """Write the peer's arrays."""
    standins.install()
    np.savez_compressed(path, **PEERS[peer]())


if __name__ == "__main__":
    main(*sys.argv[1:])
