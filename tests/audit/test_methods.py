"""Methods of relevance against slow second implementations: loops in float64, every order of a few words, a hand-made path integral."""

from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from audit import config
from audit.config import Model
from audit.errors import ConfigError, ModelError
from audit.models.huggingface import TextModel, load_text_model
from audit.parts import Here
from audit.relevance import methods
from audit.relevance.explainer import Explainer, attribute
from audit.relevance.features import ImageFeatures, Tokens, word_of_tokens
from audit.relevance.games import coalitions, kernel_shap, lime, occlusion
from audit.relevance.grid import cells
from audit.relevance.methods import METHODS, make_method, own_method
from audit.relevance.texts import TextReader, encode, explain_texts, words_of

TEXTS = ["she met his mother.", "baba, dede! the actor's girl", "he he he", "woman"]


def game(n: int, seed: int = 0) -> Callable[[Any], Any]:
    """Values with interactions of two and of all."""
    rng = np.random.default_rng(seed)
    alone, pairs = rng.normal(size=n), rng.normal(size=(n, n))
    return lambda kept: kept @ alone + np.einsum("ki,ij,kj->k", kept, pairs, kept) + 2 * kept.all(1) + 0.3


def shapley(value: Callable[[Any], Any], n: int) -> Any:
    """The mean over all orders of what each feature adds."""
    added, orders = np.zeros(n), list(permutations(range(n)))
    for order in orders:
        kept = np.zeros((1, n), dtype=bool)
        for feature in order:
            before = value(kept)[0]
            kept[0, feature] = True
            added[feature] += value(kept)[0] - before
    return added / len(orders)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_kernel_shap_of_few_features_is_exactly_the_shapley_value(n: int) -> None:
    value = game(n)
    found, nothing = kernel_shap(value, n, samples=64, rng=rng())
    assert found == pytest.approx(shapley(value, n), abs=1e-9) and nothing == pytest.approx(0.3)


def test_kernel_shap_of_many_features_is_complete_and_near_the_shapley_value() -> None:
    n = 12
    alone, pairs = rng(1).normal(size=n), np.triu(rng(2).normal(size=(n, n)), 1)

    def value(kept: Any) -> Any:
        return kept @ alone + np.einsum("ki,ij,kj->k", kept, pairs, kept)

    exact = alone + (pairs + pairs.T).sum(1) / 2  # a pair's worth is shared by the two
    errors = []
    for samples in (64, 1024):
        found, nothing = kernel_shap(value, n, samples=samples, rng=rng())
        assert found.sum() + nothing == pytest.approx(value(np.ones((1, n)))[0])
        errors.append(np.abs(found - exact).max())
    assert errors[1] < 0.1 and errors[0] < 1.5, errors


def test_kernel_shap_agrees_with_that_of_captum() -> None:
    from captum.attr import KernelShap

    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    x, blank = torch.randn(1, 6).double(), torch.zeros(1, 6).double()

    def value(kept: Any) -> Any:
        return network(torch.where(torch.from_numpy(kept), x, blank)).detach().numpy()[:, 0]

    theirs = KernelShap(lambda each: network(each)[:, 0]).attribute(
        x, blank, n_samples=1000, perturbations_per_eval=100
    )
    found, _ = kernel_shap(value, 6, samples=64, rng=rng())
    assert found == pytest.approx(theirs[0].numpy(), abs=0.05)


def test_coalitions_weigh_each_size_as_the_shapley_kernel_does() -> None:
    for n, samples in ((4, 64), (9, 60), (20, 512), (3, 1)):
        kept, weight = coalitions(n, samples, rng())
        size = kept.sum(1)
        assert (size > 0).all() and (size < n).all() and len(np.unique(kept, axis=0)) == len(kept)
        assert weight.sum() == pytest.approx(sum((n - 1) / (s * (n - s)) for s in range(1, n)))
        complement = {row.tobytes(): w for row, w in zip(kept, weight, strict=True)}
        assert all(complement[(~row).tobytes()] == pytest.approx(w) for row, w in zip(kept, weight, strict=True))
        assert len(kept) <= max(samples, 2 * n)
        assert weight[size == 1].sum() == pytest.approx(1, rel=0.5)


def test_occlusion_is_the_fall_of_the_value_one_by_one() -> None:
    value, n = game(5), 5
    whole = value(np.ones((1, n), dtype=bool))[0]
    for i, found in enumerate(occlusion(value, n)):
        assert found == pytest.approx(whole - value(np.arange(n)[None] != i)[0])


def test_lime_recovers_a_linear_value_but_for_its_ridge() -> None:
    slopes = np.array([3.0, -2.0, 0.5, 0.0])
    found, intercept = lime(lambda kept: kept @ slopes + 7, 4, samples=4096, rng=rng())
    assert found == pytest.approx(slopes, abs=0.02) and intercept == pytest.approx(7, abs=0.05)


def test_lime_is_a_weighted_ridge_regression() -> None:
    value, n, samples = game(4), 4, 32
    kept = rng().random((samples, n)) < 0.5
    kept[0] = True
    weight = np.array([np.sqrt(np.exp(-((1 - np.sqrt(row.sum() / n)) ** 2) / 0.25**2)) for row in kept])
    design, mean = kept.astype(float), weight / weight.sum()
    x, y = design - mean @ design, value(kept) - mean @ value(kept)
    slopes = np.linalg.solve(x.T @ (weight[:, None] * x) + np.eye(n), x.T @ (weight * y))
    assert lime(value, n, samples=samples, rng=rng())[0] == pytest.approx(slopes)


def test_nothing_to_hide_is_no_relevance() -> None:
    def value(kept: Any) -> Any:
        return np.full(len(kept), 2.0)

    assert len(occlusion(value, 0)) == 0
    assert kernel_shap(value, 0, samples=16, rng=rng())[1] == 2
    assert lime(value, 0, samples=16, rng=rng())[1] == 2


@pytest.fixture(scope="module")
def loaded(model_folder: Path) -> TextModel:
    return load_text_model(Model(path=str(model_folder)), str(model_folder))


def explainer(loaded: TextModel, *names: str) -> Explainer[TextReader]:
    made = {name: make_method(name, "here", steps=50, samples=64, seed=5) for name in names}
    return Explainer(loaded.model, TextReader(loaded.tokenizer, 48), 1, 0, made)


def found(chosen: Explainer[TextReader], texts: list[str]) -> tuple[Any, Any, Any]:
    """Relevance under the only method, the tokens and the model's inputs."""
    inputs, offsets, real = encode(chosen, texts)
    tokens = words_of(chosen, texts, offsets, real)
    (result,) = attribute(chosen.model, inputs, chosen.target, list(chosen.composites.values()), tokens)
    return result, tokens, inputs


def test_every_method_of_the_config_has_a_function_or_is_the_engine_s() -> None:
    assert {*METHODS, config.LRP, "gradient_x_input"} == set(config.METHODS)


def test_words_are_joined_and_signs_and_special_tokens_are_apart(loaded: TextModel) -> None:
    chosen = explainer(loaded, "occlusion")
    inputs, offsets, real = encode(chosen, ["she's his!", "a"])
    assert words_of(chosen, ["she's his!", "a"], offsets, real).words.tolist() == [
        [-1, 0, 0, 0, 1, 2, -1], [-1, 0, -1, -1, -1, -1, -1],
    ]  # fmt: skip
    assert inputs["input_ids"].shape == (2, 7)
    blanks = np.array([[0, 0], [0, 3], [3, 7]])  # tokens that begin with the blank before them
    assert word_of_tokens("one two", blanks, np.array([False, True, True])).tolist() == [-1, 0, 1]


def without(loaded: TextModel, ids: list[int], words: list[int], gone: set[int], *, masked: bool) -> float:
    """The contrast logit of one text with some words hidden, one token at a time."""
    kept, last = [], None
    for token, word in zip(ids, words, strict=True):
        if word not in gone:
            kept.append(token)
        elif masked and word != last:
            kept.append(loaded.tokenizer.mask_token_id)
        last = word
    logits = loaded.model(torch.tensor([kept])).logits[0].double()
    return float(logits[1] - logits[0])


@pytest.mark.parametrize("masked", [True, False])
def test_occlusion_of_texts_hides_one_word_at_a_time(loaded: TextModel, masked: bool) -> None:
    chosen = explainer(loaded, "occlusion")
    if not masked:
        plain = load_text_model(Model(path=loaded.path), loaded.path).tokenizer
        plain.mask_token = None
        chosen = Explainer(chosen.model, TextReader(plain, 48), 1, 0, chosen.composites)
    result, tokens, inputs = found(chosen, TEXTS)
    for i in range(len(TEXTS)):
        real = inputs["attention_mask"][i].bool().numpy()
        ids, words = inputs["input_ids"][i].numpy()[real].tolist(), tokens.words[i][real].tolist()
        whole = without(loaded, ids, words, set(), masked=masked)
        assert float(result.ledger.output[i]) == pytest.approx(whole, abs=1e-5)
        for word in range(max(words) + 1):
            each = result.values[i].numpy()[tokens.words[i] == word]
            fall = whole - without(loaded, ids, words, {word}, masked=masked)
            assert each.sum() == pytest.approx(fall, abs=1e-5) and np.ptp(each) < 1e-12
        assert (result.values[i].numpy()[tokens.words[i] < 0] == 0).all()


def test_kernel_shap_of_a_text_of_four_words_is_the_shapley_value(loaded: TextModel) -> None:
    chosen, text = explainer(loaded, "kernel_shap"), "she met his mother's"
    result, tokens, inputs = found(chosen, [text])
    ids, words = inputs["input_ids"][0].tolist(), tokens.words[0].tolist()

    def value(kept: Any) -> Any:
        return np.array([without(loaded, ids, words, set(np.flatnonzero(~row).tolist()), masked=True) for row in kept])

    exact = shapley(value, 4)
    sums = [result.values[0].numpy()[tokens.words[0] == word].sum() for word in range(4)]
    assert sums == pytest.approx(exact, abs=1e-5)
    assert set(result.ledger.entries) == {"inputs", "baseline"} and float(result.ledger.closure.max()) < 1e-5


def test_integrated_gradients_of_texts_are_a_sum_over_the_path_from_blank_words(loaded: TextModel) -> None:
    chosen = explainer(loaded, "integrated_gradients")
    result, _, inputs = found(chosen, TEXTS)
    ids, mask, table = inputs["input_ids"], inputs["attention_mask"], loaded.model.get_input_embeddings().weight
    special = torch.tensor(np.isin(ids.numpy(), [0, 2, 3]))
    there = table[ids].detach()
    blank = torch.where(special[..., None], there, table[loaded.tokenizer.mask_token_id].detach())
    total, steps = torch.zeros_like(there), 200
    for step in range(steps):
        point = (blank + (step + 0.5) / steps * (there - blank)).requires_grad_()
        logits = loaded.model(inputs_embeds=point, attention_mask=mask).logits
        total += torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), point)[0] / steps
    wanted = ((there - blank) * total).sum(-1)
    assert result.values.numpy() == pytest.approx(wanted.numpy(), abs=1e-4)
    assert (result.values[special] == 0).all()
    assert float(result.ledger.closure.max()) < 1e-4
    with torch.inference_mode():
        empty = loaded.model(inputs_embeds=blank, attention_mask=mask).logits
    assert result.ledger.entries["baseline"].numpy() == pytest.approx((empty[:, 1] - empty[:, 0]).numpy(), abs=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_a_text_is_explained_alike_in_any_batch(loaded: TextModel, name: str) -> None:
    chosen = explainer(loaded, name)
    together, tokens, _ = found(chosen, TEXTS)
    for i, text in enumerate(TEXTS):
        alone, own, _ = found(chosen, [text])
        values = together.values[i, : alone.values.shape[1]].numpy()
        assert values == pytest.approx(alone.values[0].numpy(), abs=1e-5)
        assert (together.values[i].numpy()[tokens.words[i] < 0] == 0).all() and own.words.max() >= 0
    again, _, _ = found(chosen, TEXTS)
    assert torch.equal(again.values, together.values)


def test_the_stage_sums_words_of_a_method_as_those_of_a_composite(loaded: TextModel) -> None:
    from audit.data.terms import words

    chosen = explainer(loaded, "occlusion", "kernel_shap")
    explained = explain_texts(Here(chosen), TEXTS, [()] * 4, {}, words=words, batch_tokens=64)
    assert set(explained.common.columns["occlusion"]) == {"inputs", "interaction", "closure"}
    assert explained.common.used == {"occlusion": "occlusion", "kernel_shap": "kernel_shap"}
    assert explained.common.rules == {"occlusion": {}, "kernel_shap": {}}


def pictures(side: int = 16, n: int = 3) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    flat = 2 * side * side
    model = nn.Sequential(nn.Flatten(), nn.Linear(flat, 6), nn.Tanh(), nn.Linear(6, 3)).eval().requires_grad_(False)
    return model, torch.randn(n, 2, side, side)


def explained(name: str, model: nn.Module, x: torch.Tensor, target: Any, **settings: int) -> Any:
    method = make_method(name, "here", **{"steps": 300, "samples": 256, "seed": 1, **settings})
    return attribute(model, x, target, [method])[0]


def test_cells_are_fewer_in_small_pictures() -> None:
    assert cells((224, 224)).max() == 63 and (cells((224, 224)) == 0).sum() == 28**2
    assert cells((6, 6)).max() == 8 and cells((1, 1)).max() == 0
    assert len(np.unique(cells((100, 9)))) == 8 * 4


def test_occlusion_of_images_gives_each_cell_its_mean_colour(loaded: TextModel) -> None:
    model, x = pictures()
    values = explained("occlusion", model, x, (2, 0)).values
    cell_of = cells((16, 16))
    for i in range(3):
        for cell in range(64):
            hidden = x[i].clone()
            hidden[:, cell_of == cell] = x[i].mean((1, 2))[:, None]
            change = model(x[i][None]) - model(hidden[None])
            assert float(values[i][:, cell_of == cell].sum()) == pytest.approx(
                float(change[0, 2] - change[0, 0]), abs=1e-5
            )


def test_kernel_shap_of_a_linear_image_model_is_exact_in_every_cell() -> None:
    model, x = pictures(8)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(128, 2)).requires_grad_(False)
    weight = (linear[1].weight[1]).reshape(2, 8, 8)
    wanted = weight * (x - x.mean((2, 3), keepdim=True))
    cell_of = cells((8, 8))
    for name, error in (("kernel_shap", 1e-4), ("occlusion", 1e-4), ("lime", 0.05)):
        values = explained(name, linear, x, 1).values
        for cell in range(16):
            sums = values[:, :, cell_of == cell].sum((1, 2)).numpy()
            assert sums == pytest.approx(wanted[:, :, cell_of == cell].sum((1, 2)).numpy(), abs=error), name
    found = explained("integrated_gradients", linear, x, 1)
    assert found.values.numpy() == pytest.approx(wanted.numpy(), abs=1e-5)
    assert model(x).shape == (3, 3)


def test_integrated_gradients_of_a_net_are_a_sum_over_the_path_from_the_mean_colour() -> None:
    model, x = pictures()
    model, x = model.double(), x.double()
    blank, total = x.mean((2, 3), keepdim=True).expand_as(x), torch.zeros_like(x)
    for step in range(500):
        point = (blank + (step + 0.5) / 500 * (x - blank)).requires_grad_()
        total += torch.autograd.grad(model(point)[:, 1].sum(), point)[0] / 500
    found = explained("integrated_gradients", model, x, 1)
    assert found.values.numpy() == pytest.approx(((x - blank) * total).numpy(), abs=1e-5)
    assert found.target.tolist() == [1, 1, 1] and found.output.shape == (3, 3)


@pytest.mark.parametrize("name", METHODS)
def test_targets_may_differ_between_examples_and_ledgers_add_up(name: str) -> None:
    model, x = pictures()
    target = torch.tensor([[0, 1], [2, 1], [1, 0]])
    found = explained(name, model, x, target)
    logits = model(x)
    wanted = (logits.gather(1, target) * torch.tensor([1.0, -1.0])).sum(1)
    assert found.ledger.output.numpy() == pytest.approx(wanted.numpy(), abs=1e-6)
    assert float(found.ledger.closure.max()) < 1e-3
    for i in range(3):
        alone = explained(name, model, x[i : i + 1], tuple(target[i].tolist()))
        assert alone.values[0].numpy() == pytest.approx(found.values[i].numpy(), abs=1e-6)


def test_another_seed_is_another_draw_of_more_than_a_handful_of_cells() -> None:
    model, x = pictures()
    one, same, other = (explained("lime", model, x, 1, seed=seed).values for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_a_feature_that_is_hidden_changes_no_other_pixel() -> None:
    seen: list[torch.Tensor] = []
    x = torch.randn(3, 6, 10)
    features = ImageFeatures(x)
    kept = np.ones((1, features.n), dtype=bool)
    kept[0, 3] = False
    features.read(kept, lambda shown: seen.append(shown))
    cell_of = cells((6, 10))
    assert torch.equal(seen[0][0][:, cell_of != 3], x[:, cell_of != 3])
    assert seen[0][0][:, cell_of == 3].numpy() == pytest.approx(np.repeat(x.mean((1, 2))[:, None].numpy(), 4, 1))


def test_a_tokenizer_without_mask_and_pad_token_has_its_end_as_a_blank() -> None:
    tokenizer = SimpleNamespace(mask_token_id=None, pad_token_id=None, eos_token_id=7)
    assert Tokens(tokenizer, np.array([[-1, 0]])).emptied(torch.tensor([[5, 6]])).tolist() == [[5, 7]]


def test_an_own_map_is_taken_as_it_is_and_told_what_it_must_return() -> None:
    model, x = pictures()
    result = attribute(model, x, (1, 0), [own_method("maps:edges", lambda model, inputs, target: inputs**2, "ab" * 32)])
    assert torch.equal(result[0].values, x**2)
    assert set(result[0].ledger.entries) == {"inputs", "not explained"}
    assert result[0].composite == "maps:edges, sha256 of its code abababababab"
    for wrong, problem in (
        (lambda *given: given[1][:, 0], r"returns shape \[3, 16, 16\]; return finite numbers \[3, 2, 16, 16\]"),
        (lambda *given: 3, "returns int"),
        (lambda *given: given[1] / 0, "finite"),
        (lambda *given: given[9], "fails with IndexError"),
    ):
        with pytest.raises(ModelError, match=problem):
            attribute(model, x, (1, 0), [own_method("maps:edges", wrong, "ab" * 32)])


def test_a_missing_package_is_told_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r"^x: integrated_gradients needs the package captum.*pip install 'lrp-audit\[base"
    ):
        make_method("integrated_gradients", "x", steps=None, samples=None, seed=0)
