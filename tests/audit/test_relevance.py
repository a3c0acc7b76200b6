"""The relevance stage against a slow second implementation: one text at a time, one word at a time."""

from pathlib import Path

import numpy as np
import pytest

import lrp
from audit.config import Groups
from audit.data.terms import build_matcher, words
from audit.parts import Here
from audit.relevance.explainer import Explainer, contrast_logit
from audit.relevance.texts import TextExplainer, TextReader, encode, explain_texts, explain_tokens, score_texts
from audit.tables import Match

TEXTS = [
    "she met his mother.",
    "baba, dede! the actor's girl",
    "he he he",
    "...",
    "woman",
    "his-and-hers badax  his",
]


@pytest.fixture(scope="module")
def explainer(model_folder: Path) -> TextExplainer:
    from audit.config import Model
    from audit.models.huggingface import load_text_model

    loaded = load_text_model(Model(path=str(model_folder)), str(model_folder))
    reader = TextReader(loaded.tokenizer, loaded.max_length)
    return Explainer(loaded.model, reader, 1, 0, {"cp_lrp": "cp_lrp", "attn_lrp": "attn_lrp"})


@pytest.fixture(scope="module")
def matched() -> tuple[list[tuple[Match, ...]], dict[tuple[str, str], tuple[str, ...]]]:
    matcher = build_matcher((Groups(attribute="gender", lexicon="gender", only=("female", "male")),), Path())
    return [matcher.find(text) for text in TEXTS], dict(matcher.terms)


def slowly(explainer: TextExplainer, text: str, matches: tuple[Match, ...], composite: str) -> dict[str, list[float]]:
    """Relevance of each occurrence of each word or term, by walking over tokens."""
    inputs, offsets, real = encode(explainer, [text])
    values = lrp.attribute(explainer.model, inputs, (1, 0), composite).values[0]
    found: dict[str, list[float]] = {}
    spans = [(m.start, m.end, m.term) for m in matches]
    spans += [w for w in words(text) if not any(w[0] < e and s < w[1] for s, e, _ in spans)]
    for start, end, name in spans:
        parts = [float(v) for v, (s, e), r in zip(values, offsets[0], real[0], strict=True) if r and start < e <= end]
        if parts:
            found.setdefault(name, []).append(sum(parts))
    return found


@pytest.mark.parametrize("batch_tokens", [8, 2048])
def test_word_table_equals_one_by_one(explainer, matched, batch_tokens):
    matches, declared = matched
    result = explain_texts(Here(explainer), TEXTS, matches, declared, words=words, batch_tokens=batch_tokens)
    table = result.words
    kept = set(table.types)
    for composite in explainer.composites:
        for i, text in enumerate(TEXTS):
            expected = slowly(explainer, text, matches[i], composite)
            rows = np.flatnonzero(table.example == i)
            assert {table.types[t] for t in table.type[rows]} == set(expected) & kept
            for row in rows:
                values = expected[table.types[table.type[row]]]
                assert table.count[row] == len(values)
                assert table.relevance[composite][row] == pytest.approx(np.mean(values), rel=1e-3, abs=1e-5)
                assert table.magnitude[composite][row] == pytest.approx(np.mean(np.abs(values)), rel=1e-3, abs=1e-5)
            everything = [abs(v) for values in expected.values() for v in values]
            average = table.average[composite][i]
            assert np.isnan(average) if not everything else average == pytest.approx(np.mean(everything), rel=1e-3)


def test_group_table_partitions_and_absent_is_missing(explainer, matched):
    matches, declared = matched
    result = explain_texts(Here(explainer), TEXTS, matches, declared, words=words, batch_tokens=512)
    groups = result.common.groups["cp_lrp"]
    column = {name: i for i, name in enumerate(groups.names)}
    female = groups.share[:, column["gender.female"]]
    assert np.isnan(female[2]) and not groups.present[2, column["gender.female"]]
    assert not np.isnan(groups.share[4, column["gender.female"]])
    inputs, _, real = encode(explainer, [TEXTS[0]])
    values = lrp.attribute(explainer.model, inputs, (1, 0), "cp_lrp").values[0].numpy()
    special = np.abs(values[~real[0]]).sum() / np.abs(values).sum()
    assert groups.share[0, column["special"]] == pytest.approx(special, rel=1e-4)
    assert groups.size[0, column["special"]] == pytest.approx(2 / len(values))
    assert groups.present[3, column["punctuation"]] and not groups.present[4, column["punctuation"]]


def test_scores_and_contrast_are_the_models_own(explainer, matched):
    matches, declared = matched
    result = explain_texts(Here(explainer), TEXTS, matches, declared, words=words, batch_tokens=64)
    forward = score_texts(Here(explainer), TEXTS, batch_tokens=64)
    np.testing.assert_allclose(result.common.scores, forward, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(contrast_logit(explainer, forward), forward[:, 1] - forward[:, 0])
    assert all(summary.closure_max < 1e-4 for summary in result.common.ledger())


def test_tokens_join_to_the_text_and_carry_their_groups(explainer, matched):
    matches, _ = matched
    for text, found in zip(TEXTS, matches, strict=True):
        tokens, result = explain_tokens(explainer, text, found, target=(1, 0), composite="attn_lrp")
        assert "".join(token.text for token in tokens) == text.rstrip() or "".join(t.text for t in tokens) == text
        if found:
            assert any(token.groups for token in tokens)
        assert result.values.shape[0] == 1


def test_a_model_with_nan_logits_is_an_error_with_a_cure(explainer, matched):
    import copy

    from audit.errors import ModelError

    matches, declared = matched
    broken = copy.deepcopy(explainer.model)
    broken.classifier.bias.data[0] = float("nan")
    bad = Explainer(broken, TextReader(explainer.reader.tokenizer, 48), 1, 0, {"cp_lrp": "cp_lrp"})
    with pytest.raises(
        ModelError, match=r"logit is NaN or infinite for .* look at .* the weights, or compute in float32"
    ):
        explain_texts(Here(bad), TEXTS, matches, declared, words=words, batch_tokens=64)
    with pytest.raises(ModelError, match=r"NaN or infinite logits for .* or set model.dtype: float32"):
        score_texts(Here(bad), TEXTS, batch_tokens=64)
