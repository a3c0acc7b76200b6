"""The benchmark of other engines where it needs none of them."""

import torch
from torch import nn

from bench.peers.speed import ENGINES, ROWS, Subject, measure
from bench.shapes import IMAGES, TEXTS


def test_an_engine_that_fails_is_reported_with_its_reason_and_the_others_are_measured() -> None:
    model, x = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)), torch.rand(1, 8)
    rows = (("ours", "attn_lrp", 1.0), ("ours", "none_such", 1.0))
    found = measure(Subject(model, x, model, x), rows, rounds=1)
    assert list(found) == list(rows)
    ratio, reason = found.values()
    assert isinstance(ratio, float) and ratio > 0
    assert isinstance(reason, str) and reason.startswith("InputError: composite 'none_such' does not exist")


def test_every_row_names_a_shape_and_an_engine() -> None:
    assert set(ROWS) <= IMAGES.keys() | TEXTS.keys()
    assert {engine for rows in ROWS.values() for engine, _, _ in rows} == set(ENGINES)
