"""Whole audits of images: files, record, report, exit codes, and the commands around them."""

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner
from PIL import Image
from safetensors.numpy import load_file
from safetensors.torch import save_file
from torch import nn

from audit.cli import main
from audit.models.builtin import save_photograph_model
from audit.models.marked_photographs import CLASSES, train, write_photographs
from audit.pipeline import Run, run
from audit.records import SHOWN, Grade, Verdict
from audit.store.runs import verify

CODE = """
from torch import nn
def make():
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 100, 2))
"""
N = 240
CONFIGS = Path(__file__).parents[2] / "configs"
FACES = Path(__file__).parents[3] / "shared" / "data" / "lfw_gender" / "labels.csv"


def marker_config(folder: Path, **changes: Any) -> Path:
    """An audit of the network and photographs with a planted marker in `folder`."""
    document = {
        "name": "marker",
        "task": "image",
        "data": {"path": "photographs.csv", "columns": {"cluster": "cluster"}},
        "model": {
            "module": "audit.models.marked_photographs:network",
            "weights": "model.safetensors",
            "classes": list(CLASSES),
            "preprocessing": {"resize": [25, 25], "channels": "grey", "mean": [0.5], "std": [0.5]},
        },
        "target": {"favour": CLASSES[1]},
        "regions": [{"name": "marker", "boxes": ["left", "top", "right", "bottom"]}],
        "statistics": {"twins": 0},
        "debug": {"explained": 8},
        **changes,
    }
    path = folder / "marker.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of 20 x 20 in a folder per class, with a table of boxes and masks beside them."""
    place, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(1)
    rows = []
    for i in range(N):
        name = f"{'cat' if i % 2 else 'dog'}/{i}.png"
        (place / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(place / name)
        x, y = rng.integers(0, 14, 2)
        rows.append({"image": name, "label": name[:3], "who": "xyx"[i % 3], "box": f"[[{x}, {y}, {x + 6}, {y + 5}]]"})
    pd.DataFrame(rows).to_csv(place / "table.csv", index=False)
    (place / "pets.py").write_text(CODE)
    torch.manual_seed(3)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 2))
    save_file(network.state_dict(), place / "weights.safetensors")
    return place


def written(folder: Path, **changes: Any) -> Path:
    document = {
        "name": "pets",
        "task": "image",
        "data": {"path": "table.csv", "columns": {"id": None, "attributes": {"who": "who"}}},
        "model": {
            "module": "pets:make", "weights": "weights.safetensors", "classes": ["cat", "dog"],
            "preprocessing": {"mean": [0.5], "std": [0.25], "resize": [20, 20]},
        },
        "target": {"favour": "cat"},
        "regions": [
            {"name": "box", "boxes": "box", "provenance": "drawn by <b>hand</b>", "error_rate": 0.02},
            {"name": "middle", "fixed": [[5, 5, 15, 15]]},
        ],
        "statistics": {"twins": 20, "twin_examples": 30, "permutations": 199, "min_group_size": 8},
        "report": {"examples": 5, "images": "show"},
        **changes,
    }  # fmt: skip
    path = folder / "pets.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture(scope="module")
def finished(folder: Path) -> Run:
    return run(written(folder), output=folder / "runs")


def test_a_run_writes_every_file_of_the_contract_and_they_verify(finished: Run) -> None:
    assert verify(finished.folder) == []
    maps = load_file(finished.folder / "maps" / "exhibits.safetensors")
    assert {name: values.shape for name, values in maps.items()} == {
        f"relevance/{each.id}": (20, 20) for each in finished.record.exhibits
    }
    frame = pd.read_parquet(finished.folder / "examples.parquet")
    assert len(frame) == N and {"share.box", "net.middle", "size.outside", "present.box"} <= set(frame.columns)


def test_the_record_tells_where_masks_come_from_and_how_much_relevance_they_hold(finished: Run) -> None:
    box, middle, outside = finished.record.regions
    assert (box.source, box.provenance, box.error_rate) == ("boxes", "drawn by <b>hand</b>", 0.02)
    assert (box.present, box.absent, box.aligned, middle.aligned, outside.name) == (N, 0, False, True, "outside")
    assert box.size.value == pytest.approx(30 / 400) and middle.size.value == pytest.approx(0.25)
    assert set(box.share) == set(box.net) == {"epsilon_plus", "epsilon_gamma_box", "epsilon_alpha2_beta1"}
    assert set(box.ratios) == {"area", "mirrored", "random place"} and box.ratios["area"].low is not None
    assert set(finished.record.concentration) == set(box.share)
    groups = {(each.attribute, each.group) for each in finished.record.ledger}
    assert groups == {("", ""), ("who", "x"), ("who", "y")}
    assert all(each.closure_max < 1e-4 for each in finished.record.ledger)


def test_impact_ratios_are_those_of_the_written_predictions(finished: Run) -> None:
    frame = pd.read_parquet(finished.folder / "examples.parquet")
    rates = (frame["predicted"] == "cat").groupby(frame["who"]).mean()
    (table,) = finished.record.impact
    assert table.attribute == "who" and {each.name: each.rate.value for each in table.categories} == pytest.approx(
        rates.to_dict()
    )
    assert {each.name: each.ratio.value for each in table.categories} == pytest.approx((rates / rates.max()).to_dict())


def test_every_question_has_its_rows_and_fixed_regions_say_how_to_be_tested(finished: Run) -> None:
    rows = {finding.id: finding for finding in finished.record.findings}
    assert rows["reliance.regions.box"].verdict is not Verdict.NOT_TESTABLE
    untested = rows["reliance.regions.not_testable"]
    assert untested.groups == ("middle",) and "set statistics.jitter" in untested.reason
    assert {finding.question for finding in rows.values()} == {
        "reliance", "direction", "disparity", "errors", "outcome", "link",
    }  # fmt: skip
    assert rows["disparity.box.who.x-y"].details["region"] == "box"


def test_questions_on_regions_are_asked_again_with_masks_grown_and_shrunk(folder: Path, finished: Run) -> None:
    rows = {finding.id: finding for finding in finished.record.findings}
    for id_ in ("reliance.regions.box", "direction.regions.box.cat", "errors.box.who.x", "errors.middle.who.x"):
        asked_alone = ["epsilon_alpha2_beta1 alone"] if rows[id_].verdict in SHOWN else []
        changed = ["masks grown by 1 pixel", "masks shrunk by 1 pixel", *asked_alone]
        assert [other.changed for other in rows[id_].sensitivity] == changed
    assert "masks grown by 1 pixel" in (finished.folder / "report.html").read_text(encoding="utf-8")
    statistics = {"twins": 0, "permutations": 199, "mask_tolerance": 0}
    without = run(written(folder, statistics=statistics), output=folder / "without").record
    assert not any("mask" in other.changed for finding in without.findings for other in finding.sensitivity)


def test_the_report_shows_drawn_photographs_with_alternative_text_and_escapes_the_config(finished: Run) -> None:
    page = (finished.folder / "report.html").read_text(encoding="utf-8")
    pictures = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)" alt="([^"]+)">', page)
    assert len(pictures) == 5
    assert all("net relevance" in alt and "predicted" in alt for _, alt in pictures)
    shown = Image.open(io.BytesIO(base64.b64decode(pictures[0][0])))
    assert shown.size == (2 * 160 + 4, 160)
    assert "drawn by &lt;b&gt;hand&lt;/b&gt;" in page and "error rate 0.020" in page
    assert 'id="terms"' not in page and 'id="regions"' in page


@pytest.mark.parametrize(("people", "width"), [("blur", 324), ("hide", 160)])
def test_people_are_blurred_or_left_out(folder: Path, finished: Run, people: str, width: int) -> None:
    other = run(written(folder, report={"examples": 5, "images": people}), output=folder / "runs").record
    for one, two in zip(finished.record.exhibits, other.exhibits, strict=True):
        shown, hidden = (Image.open(io.BytesIO(base64.b64decode(each.picture))) for each in (one, two))
        assert hidden.width == width
        if people == "blur":
            sharp, soft = (np.asarray(each.crop((0, 0, 160, 160)), float).std() for each in (shown, hidden))
            assert soft < 0.4 * sharp
        else:
            assert hidden.getpixel((80, 5)) != shown.getpixel((80, 5))


def test_the_same_config_gives_the_same_record_but_for_times(folder: Path, finished: Run) -> None:
    again = run(written(folder), output=folder / "runs").record
    times = {"run_id", "started", "finished", "seconds"}
    assert again.model_dump(exclude=times) == finished.record.model_dump(exclude=times)


def test_a_folder_per_class_is_audited_too(folder: Path) -> None:
    changes = {"data": {"path": "."}, "regions": [{"name": "cells", "grid": [2, 2]}], "gates": ["outcome"]}
    finished = run(written(folder, **changes), output=folder / "runs")
    assert finished.record.data.used == N and finished.record.data.labels == {"cat": N // 2, "dog": N // 2}
    assert len(finished.record.maps) == 2 and finished.record.maps[0].attribute == ""
    assert 'id="maps-1"' in (finished.folder / "report.html").read_text(encoding="utf-8")
    assert [len(region.cells) for region in finished.record.regions] == [20] * 5


def test_mean_maps_of_groups_come_with_their_difference(folder: Path) -> None:
    finished = run(written(folder, regions=[{"name": "middle", "fixed": [[5, 5, 15, 15]]}]), output=folder / "runs")
    assert {(each.attribute, each.group, each.label) for each in finished.record.maps} == {
        (attribute, group, label)
        for attribute, group in (("", ""), ("who", "x"), ("who", "y"))
        for label in ("cat", "dog")
    }
    page = (finished.folder / "report.html").read_text(encoding="utf-8")
    assert (
        'id="maps-2"' in page
        and "x − y, true cat" in page
        and "of the difference (clusters as units, t) holds 0" in page
    )
    figure = page[page.index('id="maps-2"') :]
    panels = re.findall(r'href="data:image/png;base64,\s*([^"]+)"', figure[: figure.index("</figure>")])
    shown = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(each))).convert("RGB")).reshape(-1, 3) for each in panels[:6]
    ]
    grey = [bool((pixels == 127).all(axis=1).any()) for pixels in shown]
    assert (
        grey == [False, False, True] * 2
    )  # cells of a difference that are not distinguishable from 0, as its caption says


def test_check_tells_what_will_not_be_testable(folder: Path) -> None:
    shown = CliRunner().invoke(main, ["check", str(written(folder))])
    assert shown.exit_code == 0, shown.output
    assert f"{N} of {N} rows used" in shown.output and "the same in every photograph" in shown.output
    assert "every operation has a rule" in shown.output
    power = [line for line in shown.output.splitlines() if line.startswith("│ who")]
    assert len(power) == 1 and "needs" in power[0] and str(2 * N // 3) in power[0] and str(N // 3) in power[0]
    nobody = {"path": "table.csv", "columns": {"id": None}}
    shown = CliRunner().invoke(main, ["check", str(written(folder, data=nobody))])
    assert shown.exit_code == 0 and "probability 0.8" not in shown.output


@pytest.mark.parametrize("given", ["3", "dog/2.png"])
def test_explain_draws_one_photograph_by_id_or_path(folder: Path, given: str) -> None:
    name = str(folder / given) if "/" in given else given
    drawn = folder / "drawn.png"
    drawn.unlink(missing_ok=True)
    shown = CliRunner().invoke(main, ["explain", str(written(folder)), name, "--output", str(drawn)])
    assert shown.exit_code == 0, shown.output
    with Image.open(drawn) as picture:
        assert (picture.format, picture.width) == ("PNG", 324)
    for part in ("box", "middle", "outside", "residual", "= output", f"drawn: {drawn}"):
        assert part in shown.output


def test_explain_of_what_is_neither_says_so(folder: Path) -> None:
    shown = CliRunner().invoke(main, ["explain", str(written(folder)), "nobody"])
    assert shown.exit_code == 2 and "nobody: is no file, and no id in table.csv" in shown.output


def test_a_report_of_a_hundred_large_photographs_stays_below_5_mb(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(130):
        noise = rng.integers(0, 256, (28, 28, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((224, 224), Image.Resampling.BICUBIC).save(tmp_path / f"{i}.png")
    names = [f"{i}.png" for i in range(130)]
    pd.DataFrame({"image": names, "label": np.array(["cat", "dog"])[rng.integers(0, 2, 130)]}).to_csv(
        tmp_path / "table.csv"
    )
    code = "from torch import nn\ndef make():\n    return nn.Sequential(nn.Conv2d(3, 2, 8, 8), nn.ReLU(), nn.AvgPool2d(28), nn.Flatten())\n"
    (tmp_path / "pets.py").write_text(code)
    torch.manual_seed(0)
    save_file({"0.weight": torch.randn(2, 3, 8, 8), "0.bias": torch.randn(2)}, tmp_path / "weights.safetensors")
    path = written(
        tmp_path, data={"path": "table.csv", "columns": {"id": None}}, regions=[{"name": "cells", "grid": [3, 3]}],
        report={"examples": 100}, statistics={"twins": 0}, gates=["outcome"], debug={"explained": 0},
        model={
            "module": "pets:make", "weights": "weights.safetensors", "classes": ["cat", "dog"],
            "preprocessing": {"mean": [0.5], "std": [0.25], "resize": [224, 224]},
        },
    )  # fmt: skip
    finished = run(path, output=tmp_path / "runs")
    page = (finished.folder / "report.html").read_bytes()
    assert len(finished.record.exhibits) >= 50 and page.count(b"<img ") == len(finished.record.exhibits)
    assert len(page) / len(finished.record.exhibits) * 100 < 5_000_000


@pytest.mark.parametrize("seed", range(10))
def test_the_marker_is_named_for_the_network_that_learned_it_and_not_for_its_twin(seed: int, tmp_path: Path) -> None:
    verdicts = {}
    for marked in (True, False):
        place = tmp_path / str(marked)
        place.mkdir()
        write_photographs(place, seed)
        save_photograph_model(place, train(seed, marked=marked))
        path = marker_config(place, gates=["reliance"])
        record = run(path, output=place / "runs").record
        finding = next(f for f in record.findings if f.id == "reliance.regions.marker")
        verdicts[marked] = finding.verdict, finding.grade, record.exit_code
    assert verdicts[True] == (Verdict.BREACH, Grade.CONFIRMED, 3)
    assert (
        verdicts[False][0] is not Verdict.BREACH
        and verdicts[False][1] is not Grade.CONFIRMED
        and verdicts[False][2] != 3
    )


def test_a_gap_is_explained_where_the_marker_is_declared_and_unexplained_where_it_is_not(tmp_path: Path) -> None:
    write_photographs(tmp_path, 0, (0.5, 0.5))
    save_photograph_model(tmp_path, train(0, marked=True))
    table = pd.read_csv(tmp_path / "photographs.csv")
    table.assign(who=np.where(table["left"].notna(), "with", "without")).to_csv(
        tmp_path / "photographs.csv", index=False
    )
    data = {"path": "photographs.csv", "columns": {"cluster": "cluster", "attributes": {"who": "who"}}}
    verdicts = {}
    for name, region in (
        ("marker", {"name": "marker", "boxes": ["left", "top", "right", "bottom"]}),
        ("corner", {"name": "corner", "fixed": [[0, 0, 4, 4]]}),
    ):
        path = marker_config(tmp_path, gates=["outcome"], data=data, regions=[region])
        rows = {each.id: each for each in run(path, output=tmp_path / name).record.findings}
        gap, left = rows["outcome.selection_rate.who.with-without"], rows["unexplained.selection_rate.who.with-without"]
        assert gap.verdict in SHOWN and gap.grade is Grade.CONFIRMED
        verdicts[name] = left.verdict
    assert verdicts == {"marker": Verdict.INCONCLUSIVE, "corner": Verdict.DIFFERENT}


@pytest.mark.skipif(not FACES.is_file(), reason="the photographs of faces are not there (../shared/data/lfw_gender)")
def test_faces_show_the_outcome_gap_of_the_tight_crop_and_what_cannot_be_tested(tmp_path: Path) -> None:
    changes = [
        f"data.path={FACES}",
        "model.preprocessing.crop=[80, 80, 170, 170]",
        "statistics.twins=0",
        "statistics.jitter=0",
    ]
    record = run(CONFIGS / "faces_gender.yaml", [*changes, "relevance.composites=[epsilon_plus]"], tmp_path).record
    rows = {finding.id: finding for finding in record.findings}
    gap = next(f for f in rows.values() if f.question == "outcome" and f.details.get("measure") == "error rate")
    assert gap.estimate.value is not None and 0.05 < gap.estimate.value < 0.15
    untested = rows["disparity.gender.not_testable"]
    assert "no stratum holds both female and male at equal label, prediction and confidence" in untested.reason
    eyes = rows["disparity.eyes.gender.female-male.correct"]
    assert "matching keeps" in eyes.reason and "and leaves out" in eyes.reason and eyes.margin is None
    wrong = rows["errors.eyes.gender.female"]
    assert "before matching on label and confidence" in wrong.reason
    assert {(each.attribute, each.group) for each in record.ledger} >= {("gender", "female"), ("gender", "male")}
    assert sum(each.empty_maps for each in record.ledger if each.attribute) <= 10
    assert record.ledger[0].empty_maps == len(record.ledger[0].empty_ids) > 0
    assert "no true class in common" in rows["outcome.gender.not_testable"].reason and gap.verdict is Verdict.BREACH
    assert [(gate.question, gate.state) for gate in record.gates] == [("outcome", "breached")]


def test_faces_say_what_they_require(tmp_path: Path) -> None:
    shown = CliRunner().invoke(main, ["run", str(CONFIGS / "faces_gender.yaml"), "--output", str(tmp_path)])
    assert shown.exit_code == 2 and "This config requires a table of photographs" in shown.output


@pytest.mark.parametrize("problem", ["single_label_classification", "multi_label_classification"])
def test_a_hugging_face_folder_is_audited_and_the_explained_target_is_stated(
    folder: Path, tmp_path: Path, problem: str
) -> None:
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    settings = ViTConfig(
        **size,
        image_size=16,
        patch_size=4,
        problem_type=problem,
        id2label={0: "dog", 1: "cat"},
        label2id={"dog": 0, "cat": 1},
    )
    ViTForImageClassification(settings).save_pretrained(tmp_path / "vit")
    steps = {
        "do_resize": True,
        "size": {"height": 16, "width": 16},
        "resample": 2,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps(steps))
    several = problem.startswith("multi")
    labels = {"labels": {"dog": "not cat"}} if several else {}
    changes = {"model": {"path": str(tmp_path / "vit"), **labels}, "relevance": {"composites": ["attn_lrp", "cp_lrp"]}}
    record = run(written(folder, **changes), output=tmp_path / "runs").record
    assert record.model.contrast == ("cat - not cat" if several else "cat - dog")
    assert all(each.closure_max < 1e-4 for each in record.ledger)
    assert any("one of 2 labels is audited" in note for note in record.model.notes) == several
    assert next(f for f in record.findings if f.id == "reliance.regions.box").test.p is not None
