"""Agreement with other engines on stored relevance; each file of tests/lrp/reference holds its origin (`make peers` computes it again)."""

import numpy as np
import pytest
import torch

import lrp
from bench.peers import compare, nets, reference, texts
from lrp.stabilize import away_from_zero

REFERENCE = {peer: compare.read(compare.STORED / f"{peer}.npz") for peer in compare.PEERS}
EVERY = [(peer, case) for peer, how in compare.PEERS.items() for case in how.cases]
BOUND = {torch.float64: 1e-4, torch.float32: 1e-3}
# zennit adds 1e-6 in sums and average pools, which we do not.
BOUND_OF_RESIDUAL_NETS = 5e-3
# An output whose positive part is about 1e-4: there zennit's stabiliser of 1e-6 shows, and only with it the two agree.
STABILISED = {"normalised.epsilon_alpha2_beta1"}


def test_every_peer_is_computed_compared_and_stored():
    assert set(reference.PEERS) == set(compare.PEERS) == {file.stem for file in compare.STORED.glob("*.npz")}


@pytest.mark.parametrize("peer", compare.PEERS)
def test_every_case_is_stored_with_its_origin(peer):
    assert set(REFERENCE[peer]) == {"origin", *compare.PEERS[peer].cases}
    assert f"{peer} " in str(REFERENCE[peer]["origin"])
    assert (compare.STORED / f"{peer}.npz").stat().st_size < 100_000


@pytest.mark.parametrize("dtype", BOUND)
@pytest.mark.parametrize(("peer", "case"), EVERY)
def test_relevance_agrees_with_the_peer(peer, case, dtype, monkeypatch):
    stored = REFERENCE[peer][case]
    if case in STABILISED:
        assert compare.difference(peer, case, stored, dtype) > 1e-3
        monkeypatch.setattr("lrp.rules.divide", lambda r, z, noise=None: r / away_from_zero(z, 1e-6))
    bound = BOUND_OF_RESIDUAL_NETS if case.startswith("residual.") else BOUND[dtype]
    assert compare.difference(peer, case, stored, dtype) < bound


@pytest.mark.parametrize("case", texts.CASES)
@pytest.mark.parametrize("other", ["gradient_x_input", "cp_lrp"])
def test_attn_lrp_of_lxt_is_not_another_composite(case, other):
    found = lrp.attribute(texts.build(case), texts.batch(), nets.TARGET, other).values.numpy()
    assert compare.relative(found, REFERENCE["lxt"][case]) > 0.05


def test_comparison_names_a_stored_array_that_the_peer_no_longer_computes(tmp_path, capsys):
    moved = REFERENCE["lxt"] | {"gpt2.sdpa": REFERENCE["lxt"]["gpt2.sdpa"] * 1.001}
    np.savez_compressed(tmp_path / "lxt.npz", **moved)
    assert compare.main("lxt", str(tmp_path / "lxt.npz")) == 1
    assert capsys.readouterr().err.endswith("lxt.npz is not what lxt computes here: gpt2.sdpa\n")
