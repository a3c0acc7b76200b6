"""Whole audits that are not told what their model uses: the word, and the corner of a photograph, must be offered."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from audit.cli import main
from audit.models.builtin import save_photograph_model
from audit.models.marked_photographs import CLASSES, MARKER, photographs, train, with_marker
from audit.pipeline import run
from audit.records import CandidateKind, Discovery
from tests.conftest import OTHER, classifier, plant, save_model, texts

PROXY, ALIKE, N = OTHER[7], OTHER[90], 600
CORNER = (1, 1)  # left and top of the marker


@pytest.fixture(scope="module")
def reading_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that reads two words that no lexicon declares."""
    model = classifier()
    plant(model, 6.0, [([PROXY, ALIKE], 1.0)])
    return save_model(tmp_path_factory.mktemp("reading"), model)


def rows() -> list[dict[str, Any]]:
    """One word stands mostly in texts of the north, the other in as many of the south."""
    rng, made = np.random.default_rng(8), []
    for i, text in enumerate(texts(N, seed=8)):
        region = ("north", "south")[int(rng.integers(2))]
        words = [w for w in text.removesuffix(".").split() if w not in (PROXY, ALIKE)]
        for word, rate in ((PROXY, 0.7 if region == "north" else 0.1), (ALIKE, 0.4)):
            if rng.random() < rate:
                words.insert(int(rng.integers(len(words))), word)
        label = ["rotten", "fresh"][int(rng.integers(2))]
        made.append({"id": f"r{i}", "text": " ".join(words) + ".", "label": label, "region": region})
    return made


def texts_config(project: Any, folder: Path, **changes: Any) -> Path:
    data = {"path": "data.csv", "columns": {"attributes": {"region": "region"}}}
    return Path(project(rows(), data=data, model={"path": str(folder)}, gates=["outcome"], **changes))


def marker_config(folder: Path, **changes: Any) -> Path:
    """An audit of the network and photographs in `folder`."""
    document = {
        "name": "marker",
        "task": "image",
        "data": {"path": "photographs.csv"},
        "model": {
            "module": "audit.models.marked_photographs:network",
            "weights": "model.safetensors",
            "classes": list(CLASSES),
            "preprocessing": {"resize": [25, 25], "channels": "grey", "mean": [0.5], "std": [0.5]},
        },
        "target": {"favour": CLASSES[1]},
        "statistics": {"twins": 0},
        "gates": [],
        **changes,
    }
    path = folder / "marker.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def searched(record: Any) -> Discovery:
    assert record.discovery is not None
    return record.discovery


def test_an_undeclared_word_that_the_model_reads_is_a_proxy_and_one_that_both_groups_use_is_none(
    project: Any, reading_folder: Path
) -> None:
    finished = run(texts_config(project, reading_folder, checks={"examples": 0}))
    found = {each.name: each for each in searched(finished.record).candidates if each.attribute == "region"}
    assert found[PROXY].kind is CandidateKind.PROXY and found[PROXY].larger == "north" and found[PROXY].agrees
    assert found[PROXY].estimate.value > 0.1 and ALIKE not in found
    page = (finished.folder / "report.html").read_text(encoding="utf-8")
    assert f"<bdi>{PROXY}</bdi>" in page and f"- {PROXY}" in page
    again = run(texts_config(project, reading_folder, checks={"examples": 0}))
    assert searched(again.record).model_dump_json() == searched(finished.record).model_dump_json()


def test_a_declared_word_is_no_candidate_and_candidates_touch_no_verdict(project: Any, reading_folder: Path) -> None:
    declared = [{"attribute": "place", "patterns": {"here": PROXY}}]
    with_search, without = (
        run(texts_config(project, reading_folder, groups=declared, checks={"examples": 0, "candidates": most})).record
        for most in (20, 0)
    )
    assert PROXY not in {each.name for each in searched(with_search).candidates} and without.discovery is None
    assert with_search.findings == without.findings and with_search.exit_code == without.exit_code


def test_the_terminal_says_in_a_line_what_is_offered(project: Any, reading_folder: Path) -> None:
    shown = CliRunner().invoke(main, ["run", str(texts_config(project, reading_folder, checks={"examples": 0}))])
    assert (
        "candidates nobody declared: " in shown.output
        and "an offer for the next lexicon or mask, no finding" in shown.output
    )


def write_cornered(folder: Path, seed: int) -> None:
    """Photographs of which half, of either class, carry the marker in one corner."""
    shown, rng = photographs(seed, train=False), np.random.default_rng(seed)
    carries = rng.random(len(shown.label)) < 0.5
    images = [with_marker(image, *CORNER) if held else image for image, held in zip(shown.clean, carries, strict=True)]
    for i, image in enumerate(images):
        Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(folder / f"{i}.png")
    pd.DataFrame({
        "image": [f"{i}.png" for i in range(len(images))], "label": np.array(CLASSES)[shown.label], "cluster": shown.cluster,
        "who": np.where(carries, "with", "without"),
    }).to_csv(folder / "photographs.csv", index=False)  # fmt: skip


def test_a_cue_outside_the_declared_region_is_the_candidate_that_can_be_pasted(tmp_path: Path) -> None:
    write_cornered(tmp_path, 0)
    save_photograph_model(tmp_path, train(0, marked=True))
    columns = {"id": None, "cluster": "cluster", "attributes": {"who": "who"}}
    changes: dict[str, Any] = {
        "data": {"path": "photographs.csv", "columns": columns},
        "regions": [{"name": "middle", "fixed": [[9, 9, 16, 16]]}],
        "checks": {"examples": 0},
    }
    found = searched(run(marker_config(tmp_path, **changes), output=tmp_path / "runs").record)
    mine = [each for each in found.candidates if each.attribute == "who"]
    largest = max(mine, key=lambda each: abs(each.estimate.value))
    left, top, *_ = largest.photograph
    assert left < CORNER[0] + MARKER and top < CORNER[1] + MARKER, "it lies on the marker"
    assert largest.box == largest.photograph and largest.larger == "with"
    assert found.aligned is None and found.covered == 4
    changes["regions"].append({"name": "offered", "fixed": [list(each.photograph) for each in mine]})
    again = run(marker_config(tmp_path, **changes), output=tmp_path / "again").record
    assert searched(again).covered >= 4 + len(mine)
    assert searched(again).aligned is None, "pasted boxes are equal by declaration and measure nothing"
    assert largest.box not in {each.box for each in searched(again).candidates}
