"""The benchmark itself: do its generators plant what they say, is its truth the truth, and does nothing get lost or changed on the way?"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from audit.config import Model
from audit.models.huggingface import load_text_model
from bench.planted import image_units, text_units
from bench.planted.__main__ import main
from bench.planted.images import BORDER, SIDE, seen_by_model
from bench.planted.judging import DECISIONS, Rate, contradictions, kind, named, right_sign
from bench.planted.measuring import merged
from bench.planted.protocol import PROTOCOL, read_protocol
from bench.planted.results import ProtocolChanged, append, check_protocol, results_file, rows, unfinished
from bench.planted.texts import IDS, VOCABULARY, draw, written
from bench.planted.units import METHODS, RHOS, enumerated, small

PROTOCOL_NOW = read_protocol()


class WordWeights(nn.Module):
    """Logit of class 1: the sum of a weight per word."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        total = (self.weights[input_ids] * attention_mask).sum(1)
        return SimpleNamespace(logits=torch.stack([0 * total, total], 1))


class PixelWeights(nn.Module):
    """Logit of class 1: the sum of a weight per pixel."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, x: Tensor) -> Tensor:
        total = (self.weights * x[:, 0]).sum((1, 2))
        return torch.stack([0 * total, total], 1)


def test_truth_of_texts_is_the_difference_of_weights_of_a_linear_model() -> None:
    rng = np.random.default_rng(0)
    weights = torch.from_numpy(rng.normal(size=len(VOCABULARY)))
    texts = draw(500, rng, coupling={"group": ("label", 0.4)})
    found = text_units.text_truth(WordWeights(weights), texts)
    w, (zero, one) = weights.numpy(), IDS["group"]
    margins, effects = [], []
    for row in texts.words:
        (word,) = set(row.tolist()) & set(IDS["group"].ravel().tolist())
        kind_of = int(np.flatnonzero((IDS["group"] == word).any(axis=0))[0])
        margins.append(sum(w[k] for k in row))
        effects.append(w[one[kind_of]] - w[zero[kind_of]])
    assert found["effect"] == pytest.approx(np.mean(effects) / (np.std(margins)), rel=0.01)


@pytest.mark.parametrize("arm", [*image_units.IMAGE_ARMS])
def test_truth_of_pictures_is_the_difference_of_pixels_under_a_linear_model(arm: str) -> None:
    rng = np.random.default_rng(0)
    asked = image_units.draw(image_units.IMAGE_ARMS[arm], 60, rng, 0.4)
    weights = torch.from_numpy(rng.normal(size=(SIDE, SIDE))).float()
    found = image_units.image_truth(PixelWeights(weights), asked)
    totals = {}
    for side in (0, 1, None):
        levels = asked.painted(asked.side if side is None else np.full(60, side))
        inner = levels[:, BORDER : BORDER + SIDE, BORDER : BORDER + SIDE].astype(float) / 255
        totals[side] = [float((weights.numpy() * (picture * 2 - 1)).sum()) for picture in inner]
    assert found["effect"] == pytest.approx((np.mean(totals[1]) - np.mean(totals[0])) / np.std(totals[None]), abs=1e-3)


def test_toggled_texts_differ_in_the_word_of_the_planted_pair_alone() -> None:
    texts = draw(300, np.random.default_rng(1), coupling={})
    one, zero = texts.toggled
    changed = one != zero
    assert (changed.sum(axis=1) == 1).all()
    assert np.isin(one[changed], IDS["group"][1]).all() and np.isin(zero[changed], IDS["group"][0]).all()
    assert (np.where(texts.sides["group"][:, None] == 1, one, zero) == texts.words).all()


@pytest.mark.parametrize("rho", [0.0, 0.4, 0.8])
def test_a_side_goes_with_its_base_as_often_as_declared(rho: float) -> None:
    texts = draw(20_000, np.random.default_rng(2), coupling={"group": ("label", rho), "proxy": ("group", 0.9)})
    for side in (0, 1):
        assert texts.sides["group"][texts.label == side].mean() == pytest.approx(0.5 + rho * (side - 0.5), abs=0.015)
    assert (texts.sides["proxy"] == texts.sides["group"]).mean() == pytest.approx(0.95, abs=0.01)
    assert texts.sides["decoy"][texts.label == 1].mean() == pytest.approx(0.5, abs=0.015)


def test_an_interaction_leaves_each_of_its_words_without_relation_to_the_label() -> None:
    texts = draw(20_000, np.random.default_rng(3), coupling={"label": ("group xor topic", 0.9)})
    for role in ("group", "topic"):
        assert texts.sides[role][texts.label == 1].mean() == pytest.approx(0.5, abs=0.015)
    assert ((texts.sides["group"] ^ texts.sides["topic"]) == texts.label).mean() == pytest.approx(0.95, abs=0.01)


def test_what_the_audit_reads_is_what_the_model_was_trained_on(tmp_path: Path) -> None:
    texts = draw(20, np.random.default_rng(4), coupling={})
    read = text_units.tokenizer()(written(texts.words), return_tensors="pt", padding=True)
    made = text_units.inputs(texts.words)
    assert (read["input_ids"] == made["input_ids"]).all() and (read["attention_mask"] == made["attention_mask"]).all()


def test_networks_of_one_process_are_each_loaded_as_themselves(tmp_path: Path) -> None:
    """transformers remembers which class goes with a config; a folder must not be read as the network before."""
    for name in ("attention", "bag", "attention"):
        place = tmp_path / f"{name}{len(list(tmp_path.iterdir()))}"
        made = text_units.TEXT_NETWORKS[name][0]()
        text_units.save(place, made)
        loaded = load_text_model(Model(path=str(place / "model"), allow_remote_code=True), str(place / "model"))
        assert loaded.architecture == type(made).__name__


def test_words_of_a_group_are_as_frequent_as_enough_others() -> None:
    texts = draw(2000, np.random.default_rng(5), coupling={})
    counts = np.bincount(texts.words.ravel(), minlength=len(VOCABULARY))
    group, neutral, content = (np.log2(counts[IDS[role].ravel()]) for role in ("group", "neutral", "content"))
    assert (np.abs(neutral - group.mean()) < 0.4).sum() >= 100 and content.min() > group.max() + 0.4


def test_pictures_of_both_sides_share_their_noise_and_differ_in_the_cue_alone() -> None:
    asked = image_units.draw(image_units.IMAGE_ARMS["moving patch"], 50, np.random.default_rng(6), 0.0)
    one, zero = (asked.painted(np.full(50, side)) for side in (1, 0))
    for i, (top, left) in enumerate(asked.seen.cue):
        inside = np.zeros(one.shape[1:], dtype=bool)
        inside[top : top + 4, left : left + 4] = True
        assert (one[i] == zero[i])[~inside].all() and (one[i] != zero[i])[inside].mean() > 0.8
    assert seen_by_model(one).shape == (50, 1, SIDE, SIDE)


def test_no_unit_is_asked_twice_and_no_seed_is_of_both_parts() -> None:
    keys = {part: [unit.key for unit in enumerated(PROTOCOL_NOW, part, tuple(RHOS))] for part in PROTOCOL_NOW.seeds}
    assert all(len(each) == len(set(each)) for each in keys.values())
    seeds = {part: {int(key.rpartition("|")[2]) for key in each} for part, each in keys.items()}
    seeds["calibration"] |= {unit.seed for unit in small(PROTOCOL_NOW, tuple(RHOS))}
    assert max(seeds["calibration"]) < 1000 < min(seeds["evaluation"])
    count = PROTOCOL_NOW.replicates["evaluation"]
    cells = [
        unit for unit in enumerated(PROTOCOL_NOW, "evaluation", tuple(RHOS)) if unit.seed == min(seeds["evaluation"])
    ]
    assert len(keys["evaluation"]) == count * len(cells)


def test_every_arm_has_strengths_and_every_strength_an_arm() -> None:
    assert RHOS["text"].keys() == text_units.TEXT_ARMS.keys() and RHOS["image"].keys() == image_units.IMAGE_ARMS.keys()


def test_a_cut_line_is_measured_again_and_loses_nothing(tmp_path: Path) -> None:
    path = results_file("calibration", tmp_path)
    append(path, {"key": "a", "method": "lrp"})
    path.write_text(path.read_text() + '{"key":"b","meth')
    assert unfinished([("a", "lrp"), ("b", "lrp")], rows(path)) == [("b", "lrp")]
    append(path, {"key": "b", "method": "lrp"})
    assert [row["key"] for row in rows(path)] == ["a", "b"]


@pytest.mark.parametrize("name", ["evaluation", "calibration", "small"])
def test_rows_of_another_protocol_are_refused_in_every_file_before_anything_is_measured(
    tmp_path: Path, name: str
) -> None:
    part = "evaluation" if name == "evaluation" else "calibration"
    append(tmp_path / f"{name}.jsonl", {"key": "a", "method": "lrp", "part": part, "protocol": PROTOCOL_NOW.sha256})
    check_protocol(rows(tmp_path / f"{name}.jsonl"), PROTOCOL_NOW, tmp_path)
    append(tmp_path / f"{name}.jsonl", {"key": "b", "method": "lrp", "part": part, "protocol": "0ld" * 20})
    options = ["--small"] if name == "small" else ["--part", name]
    with pytest.raises(ProtocolChanged, match=r"1 of 2 rows are of protocol 0ld.*Move the file away"):
        CliRunner().invoke(main, [*options, "--results", str(tmp_path)], catch_exceptions=False)


def test_parts_that_share_seeds_are_refused(tmp_path: Path) -> None:
    changed = tmp_path / "protocol.json"
    declared = json.loads(PROTOCOL.read_text())
    changed.write_text(json.dumps({**declared, "seeds": {"calibration": 0, "evaluation": 50}}))
    with pytest.raises(ValueError, match="share seeds"):
        read_protocol(changed)


def row(rho: float, effect: float, **findings: tuple[float, str, str | None]) -> dict[str, object]:
    found = {name: {"value": v, "verdict": verdict, "grade": grade} for name, (v, verdict, grade) in findings.items()}
    truth = {"effect": effect, "flips": 0.0, "accuracy": 0.8}
    return {"modality": "image", "arm": "moving patch", "rho": rho, "truth": truth, "findings": found}


def test_the_truth_decides_what_a_model_is_and_the_strength_does_not() -> None:
    kinds = [
        kind(row(rho, effect), PROTOCOL_NOW)
        for rho, effect in ((0, 0.05), (0, 0.15), (0.8, 0.05), (0, -0.3), (0.1, 0.3))
    ]
    assert kinds == ["null", "grey", "grey", "positive", "positive"]


def test_a_decision_names_the_largest_first_and_its_sign_is_that_of_the_effect() -> None:
    found = row(0.4, -0.5, decoy=(0.02, "DIFFERENT", "supported"), cue=(-0.3, "BREACH", "confirmed"))
    assert named(found, DECISIONS["significant"]) == ["cue", "decoy"]
    assert named(found, DECISIONS["beyond the margin"]) == named(found, DECISIONS["confirmed"]) == ["cue"]
    assert right_sign(found, PROTOCOL_NOW) and not right_sign({**found, "truth": {"effect": 0.5}}, PROTOCOL_NOW)


def test_a_rate_of_none_is_no_model_and_others_have_wilson_bounds() -> None:
    assert str(Rate(0, 0)) == "no model" and Rate(1, 20).bounds == pytest.approx((0.0089, 0.2361), abs=1e-4)


def test_blocks_of_a_config_are_merged_key_by_key() -> None:
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"c": 4}, "e": 5}) == {"a": {"b": 1, "c": 4}, "d": 3, "e": 5}
    assert set(METHODS) >= {"lrp", "gradient_x_input"} and METHODS["lrp"] == {}


FIRST = 6  # units of the small profile, a model of each kind and modality; `make rehearsal` takes all


@pytest.fixture(scope="module")
def small_rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """The beginning of the small profile, interrupted after its first unit and taken up again."""
    folder = tmp_path_factory.mktemp("planted")
    for options in (["--minutes", "0"], []):
        asked = ["--small", "--limit", str(FIRST), "--results", str(folder), *options]
        done = CliRunner().invoke(main, asked, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        if options:
            assert len(rows(folder / "small.jsonl")) == 1
    return rows(folder / "small.jsonl")


def test_the_small_profile_measures_every_unit_once_and_none_contradicts(small_rows: list[dict[str, object]]) -> None:
    assert [each["key"] for each in small_rows] == [unit.key for unit in small(PROTOCOL_NOW, tuple(RHOS))][:FIRST]
    assert contradictions(small_rows, PROTOCOL_NOW) == []
    assert {(each["modality"], kind(each, PROTOCOL_NOW)) for each in small_rows} >= {
        ("text", "null"), ("text", "positive"), ("image", "null"), ("image", "positive"),
    }  # fmt: skip


def test_models_that_contradict_the_audits_are_told(small_rows: list[dict[str, object]]) -> None:
    def changed(row: dict[str, Any], verdict: str) -> dict[str, Any]:
        return {**row, "findings": {name: {**each, "verdict": verdict} for name, each in row["findings"].items()}}

    silent = [changed(each, "EQUIVALENT") for each in small_rows]
    assert any("is not named with its sign" in each for each in contradictions(silent, PROTOCOL_NOW))
    loud = [changed(each, "BREACH") for each in small_rows if kind(each, PROTOCOL_NOW) == "null"] * 3
    assert any("alarms in" in each for each in contradictions(loud, PROTOCOL_NOW))
    assert contradictions([{"key": "k", "error": "E: x"}], PROTOCOL_NOW) == ["k: E: x"]
