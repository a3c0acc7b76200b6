"""Agreement with zennit on stored relevance (tests/lrp/reference/zennit.npz holds its own origin; `make peers` computes it again)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bench.peers.compare import difference
from bench.peers.nets import COMPOSITES, NETS
from lrp.stabilize import away_from_zero

with np.load(Path(__file__).parent / "reference" / "zennit.npz", allow_pickle=False) as stored:
    REFERENCE = {name: stored[name] for name in stored.files}
# zennit adds 1e-6 in sums and average pools, which we do not.
BOUND = {torch.float64: 1e-4, torch.float32: 1e-3}


def test_every_net_and_composite_is_stored():
    assert set(REFERENCE) == {"origin", *(f"{net}.{composite}" for net in NETS for composite in COMPOSITES)}
    assert "zennit" in str(REFERENCE["origin"])


# An output whose positive part is about 1e-4: there zennit's stabiliser of 1e-6 shows, and only with it the two agree.
STABILISED = {"normalised.epsilon_alpha2_beta1"}


@pytest.mark.parametrize("dtype", BOUND)
@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("name", NETS)
def test_relevance_agrees_with_zennit(name, composite, dtype, monkeypatch):
    if f"{name}.{composite}" in STABILISED:
        assert difference(name, composite, REFERENCE[f"{name}.{composite}"], dtype) > 1e-3
        monkeypatch.setattr("lrp.rules.divide", lambda r, z, noise=None: r / away_from_zero(z, 1e-6))
    bound = 5e-3 if name == "residual" else BOUND[dtype]
    assert difference(name, composite, REFERENCE[f"{name}.{composite}"], dtype) < bound
