"""Flipping shows the fill where it should and nothing else changes, and methods explain what is flipped."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from audit.config import Model
from audit.models.huggingface import TextModel, load_text_model
from audit.relevance.methods import make_method
from bench.flippable import Images, Texts, explained
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


def by_integrated_gradients(case: Images | Texts) -> list[Tensor]:
    return case.explained_by(make_method("integrated_gradients", "here", steps=50, samples=None, seed=0))


def test_a_method_explains_every_batch_of_a_linear_score() -> None:
    case = images()
    weight = (case.model[1].weight[0] - case.model[1].weight[1]).reshape(3, 8, 8)
    away = case.photographs.pixels - case.photographs.pixels.mean((2, 3), keepdim=True)
    torch.testing.assert_close(torch.cat(by_integrated_gradients(case)), away * weight)


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


def test_a_method_explains_words_of_texts_from_masked_ones(loaded: TextModel) -> None:
    case = texts(loaded, (0, 1), counted=False)
    (found,) = by_integrated_gradients(case)
    gone = [np.ones(size, dtype=np.bool_) for size in case.sizes]
    none = [~row for row in gone]
    change = case.values(none, "[MASK]") - case.values(gone, "[MASK]")
    assert found.sum(1).numpy() == pytest.approx(change, abs=1e-3)
