"""Flipping shows the fill where it should and nothing else changes, and integrated gradients are complete."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from audit.config import Model
from audit.models.huggingface import TextModel, load_text_model
from bench.flippable import Images, Texts, explained, integrated_gradients
from bench.photographs import Photographs


def images(*, channels: int = 3, side: int = 8, n: int = 5) -> Images:
    """A linear classifier of random pixels in four blocks."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(channels * side * side, 2)).eval().requires_grad_(False)
    pixels = torch.randn(n, channels, side, side)
    bound = torch.ones(1, channels, 1, 1)
    fills = {"zero": torch.zeros(1, channels, side, side), "noise": torch.randn(n, channels, side, side)}
    target = torch.tensor([[0, 1]] * n)
    return Images("random", model, Photographs(pixels, -5 * bound, 5 * bound), side // 2, target, fills)


def test_flipped_blocks_show_the_fill_and_the_others_the_photograph() -> None:
    case = images()
    flipped = [np.array([True, False, False, True])] * 5
    for fill, shown in case.fills.items():
        mixed = case.photographs.pixels.clone()
        mixed[:, :, :4, :4] = shown[:, :, :4, :4]
        mixed[:, :, 4:, 4:] = shown[:, :, 4:, 4:]
        wanted = explained(case.model(mixed), case.target)
        np.testing.assert_allclose(case.values(flipped, fill), wanted.double(), rtol=1e-5, atol=1e-6)


def test_block_relevance_sums_channels_and_pixels() -> None:
    case = images()
    values = torch.randn(5, 3, 8, 8)
    found = case.regions([values[:2], values[2:]])
    assert case.sizes == [4] * 5
    wanted = [values[:, :, i : i + 4, j : j + 4].sum((1, 2, 3)) for i in (0, 4) for j in (0, 4)]
    np.testing.assert_allclose(np.stack(found), torch.stack(wanted, 1).double(), rtol=1e-5, atol=1e-5)


def test_integrated_gradients_of_a_linear_score_are_weight_times_input() -> None:
    case = images()
    weight = (case.model[1].weight[0] - case.model[1].weight[1]).reshape(3, 8, 8)
    torch.testing.assert_close(torch.cat(case.integrated_gradients()), case.photographs.pixels * weight)


def test_integrated_gradients_add_up_to_the_difference_from_the_baseline() -> None:
    x = torch.randn(6, 4)

    def value(point: Tensor) -> Tensor:
        return point.pow(3).sum(1) + point.prod(1)

    torch.testing.assert_close(integrated_gradients(value, x).sum(1), value(x), rtol=5e-3, atol=5e-3)


@pytest.fixture(scope="module")
def loaded(model_folder: Path) -> TextModel:
    return load_text_model(Model(path=str(model_folder)), str(model_folder))


class Counter(nn.Module):
    """Two logits: how many tokens are masked, and how many there are."""

    def __init__(self, mask_token: int) -> None:
        super().__init__()
        self.mask_token = mask_token

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        counts = [(input_ids == self.mask_token).sum(1), attention_mask.sum(1)]
        return SimpleNamespace(logits=torch.stack(counts, 1).float())


def texts(loaded: TextModel, target: tuple[int, int] | int, *, counted: bool = True) -> Texts:
    """Two texts; `counted` uses the counter in place of the classifier."""
    words = loaded.tokenizer
    model = Counter(words.mask_token_id) if counted else loaded.model
    encoded = words(["she her's woman , he", "girl"])
    ids = [np.array(row) for row in encoded["input_ids"]]
    places = [np.array([-1 if w is None else w for w in encoded.word_ids(i)]) for i in range(2)]
    return Texts("texts", model, words, ids, places, torch.tensor([target, target]))


def test_masking_keeps_the_length_and_deletion_shortens_it(loaded: TextModel) -> None:
    flipped = [np.array([True, True, False, False, False, False, True]), np.array([True])]
    masks, tokens = texts(loaded, 0), texts(loaded, 1)
    assert masks.sizes == [7, 1]
    assert masks.values(flipped, "[MASK]").tolist() == [3, 1]
    assert tokens.values(flipped, "[MASK]").tolist() == [9, 3]
    assert masks.values(flipped, "deletion").tolist() == [0, 0]
    assert tokens.values(flipped, "deletion").tolist() == [6, 2]


def test_word_relevance_leaves_out_special_tokens_and_padding(loaded: TextModel) -> None:
    case = texts(loaded, 0)
    values = torch.arange(18.0).reshape(2, 9)
    first, second = case.regions([values])
    assert first.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert second.tolist() == [10]


def test_integrated_gradients_of_text_add_up_to_the_change_from_empty_embeddings(loaded: TextModel) -> None:
    case, model = texts(loaded, (0, 1), counted=False), loaded.model
    (found,) = case.integrated_gradients()
    inputs = case.padded(case.ids)
    embedded = model.get_input_embeddings()(inputs["input_ids"])
    ends = [model(inputs_embeds=e, attention_mask=inputs["attention_mask"]).logits for e in (embedded, 0 * embedded)]
    change = explained(ends[0], case.target) - explained(ends[1], case.target)
    assert found.sum(1).numpy() == pytest.approx(change.numpy(), abs=2e-2)
