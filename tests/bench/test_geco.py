"""Scores of relevance against loops, pairs of sentences as units, words across tokenizers, and the small profile on real sentences."""

import json
from pathlib import Path

import numpy as np
import pytest

import lrp
from audit.relevance.methods import METHODS
from bench.geco import __main__ as geco
from bench.geco.models import MODELS, SPECIAL, Classifier, attention_layer
from bench.geco.page import RESULTS, section
from bench.geco.scores import COMPOSITES, ROWS, mass_accuracy, precision, ranks_first, relevance_of, scored
from bench.geco.sentences import DATA, VARIANTS, Sentence, drawn, read

NAMES = (("he", "she"), ("man", "woman"), ("son", "daughter"))
PLACES = ("sleeps", "walks", "reads", "sings", "waits", "falls")
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the sentences of GECO are not there")


def sentences() -> list[Sentence]:
    """Twelve pairs of three words, of which the first is gendered."""
    return [
        Sentence((pair[1 - label], PLACES[i % 6], "."), np.array([True, False, False]), label, i)
        for i in range(12)
        for pair in (NAMES[i % 3],)
        for label in (0, 1)
    ]


@pytest.fixture(scope="module")
def made() -> Classifier:
    return attention_layer(sentences() * 20)


def test_scores_equal_counting_over_pairs_of_tokens_and_ranks() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        relevance, truth = rng.normal(size=9).round(1), rng.random(9) < 0.4
        truth[:2] = True, False
        size = np.abs(relevance)
        assert mass_accuracy(relevance, truth) == pytest.approx(sum(size[truth]) / sum(size))
        wins = [(a > b) + (a == b) / 2 for a in size[truth] for b in size[~truth]]
        assert ranks_first(relevance, truth) == pytest.approx(np.mean(wins))
        above = {level: size >= level for level in sorted(set(size), reverse=True)}
        total, recall = 0.0, 0.0
        for chosen in above.values():
            now = truth[chosen].sum() / truth.sum()
            total, recall = total + (now - recall) * truth[chosen].mean(), now
        assert precision(relevance, truth) == pytest.approx(total)


def test_no_relevance_anywhere_is_no_mass_on_the_truth() -> None:
    assert mass_accuracy(np.zeros(3), np.array([True, False, False])) == 0


def test_a_pair_of_sentences_is_one_unit() -> None:
    chosen = sentences()[:6]
    maps = [np.array([1.0, share, 0.0]) for share in (0, 1, 3, 0, 1, 1)]
    found = scored(maps, chosen)["mass accuracy"]
    pairs = np.array([0.75, (0.25 + 1) / 2, 0.5])
    assert (found.n, found.mean) == (3, pytest.approx(pairs.mean()))
    assert found.high - found.mean == pytest.approx(4.302653 * pairs.std(ddof=1) / np.sqrt(3))


def test_every_composite_that_fits_texts_and_every_method_has_a_row() -> None:
    assert set(COMPOSITES) <= set(lrp.COMPOSITES) and set(METHODS) <= set(ROWS) and len(set(ROWS)) == len(ROWS)


def test_the_layer_learns_and_every_row_but_the_random_one_finds_its_word(made: Classifier) -> None:
    test = sentences()
    assert made.predicted(test) == [sentence.label for sentence in test]
    for row in ROWS:
        found = scored(list(relevance_of(row, made, test, samples=32)), test)["mass accuracy"]
        assert (found.mean > 0.6) == (row != "random"), (row, found)


def test_relevance_of_sub_words_is_summed_over_the_given_token(made: Classifier) -> None:
    odd = Sentence(("he", "never-seen", "."), np.array([True, False, False]), 1, 0)
    inputs, tokens = made.read([odd, sentences()[0]])
    assert tokens.words.tolist() == [[-1, 0, 1, 2, -1]] * 2
    assert inputs["input_ids"][0, 2] == made.tokenizer.convert_tokens_to_ids(SPECIAL["unk_token"])
    (whole,) = relevance_of("cp_lrp", made, [odd], samples=1)
    assert whole.shape == (3,)


def test_pairs_are_drawn_whole_and_alike() -> None:
    chosen = drawn(sentences(), 5, seed=1)
    assert len(chosen) == 10 and len({sentence.pair for sentence in chosen}) == 5
    assert [s.text for s in chosen] == [s.text for s in drawn(sentences(), 5, seed=1)] and len(
        drawn(sentences(), 99, seed=1)
    ) == 24


@needs_data
@pytest.mark.parametrize("variant", VARIANTS)
def test_sentences_come_in_pairs_that_differ_where_the_truth_is(variant: str) -> None:
    test = read(variant, "test")
    left_out = {"binary_gender_all": 0, "binary_gender_subj": 2}[variant]
    assert len(test) == 644 - left_out and len({sentence.pair for sentence in test}) == 322 - left_out // 2
    assert all(sentence.truth.any() and not sentence.truth.all() for sentence in test)
    for one, other in zip(test[::2], test[1::2], strict=True):
        assert one.pair == other.pair and {one.label, other.label} == {0, 1}


@needs_data
def test_a_small_table_is_measured_and_told(made: Classifier) -> None:
    variant, carries = next(iter(VARIANTS.items()))
    trained = attention_layer(read(variant, "train")[:640])
    table = geco.measure(trained, read(variant, "test"), pairs=6, samples=32, rows=("cp_lrp", "random"))
    assert table["accuracy"] > 0.9 and table["pairs"] == 6
    assert table["rows"]["cp_lrp"]["mass accuracy"][0] > 0.5 > table["rows"]["random"]["mass accuracy"][0]
    results = {"steps": 20, "samples": 32, "tables": [{"model": "m", "variant": carries, **table}]}
    shown = section(json.loads(json.dumps(results)))
    assert "**m, every gendered word**: accuracy 0." in shown and "| `cp_lrp` | " in shown


def test_the_stored_tables_are_of_every_row_model_and_variant() -> None:
    stored = json.loads(RESULTS.read_text(encoding="utf-8"))
    tables = {(each["model"], each["variant"]): set(each["rows"]) for each in stored["tables"]}
    assert tables == {(model, carries): set(ROWS) for model in MODELS for carries in VARIANTS.values()}
    assert section().count("| `kernel_shap` |") == 4


def test_without_sentences_it_says_that_it_skips(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(geco, "DATA", Path("/nowhere"))
    geco.main(small=True)
    assert capsys.readouterr().out == "geco: skipped, no sentences in /nowhere\n"
