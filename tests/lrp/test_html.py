"""How a relevance draws itself: every sign in its colour, names escaped, nothing breaks on empty or undefined values."""

import torch
from torch import nn

import lrp
from lrp.html import map_html, relevance_html, tokens_html


def test_tokens_are_escaped_and_coloured_by_sign():
    drawn = tokens_html(torch.tensor([1.0, -0.5, 0.0]), ["<b>", "no", "so"])
    assert "<b>" not in drawn and "&lt;b&gt;" in drawn
    assert "rgba(222,143,5,1.00)" in drawn and "rgba(1,115,178,0.50)" in drawn and "rgba(1,115,178,0.00)" in drawn


def test_a_map_has_a_cell_a_pixel_up_to_its_limit():
    assert map_html(torch.ones(3, 4, 5)).count("<rect") == 20
    assert map_html(torch.randn(1, 200, 100)).count("<rect") == 64 * 64


def test_a_relevance_draws_itself_in_a_notebook():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    relevance = lrp.attribute(model, torch.rand(2, 1, 4, 4), target=0, composite="epsilon")
    assert relevance._repr_html_().count("<svg") == 2 and "Relevance(" in relevance._repr_html_()


def test_empty_and_undefined_values_break_nothing():
    assert "<span" not in relevance_html(torch.zeros(2, 0), None, "said")
    assert "rgba(1,115,178,0.00)" in relevance_html(torch.full((1, 2), float("nan")), None, "said")
