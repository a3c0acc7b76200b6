"""Whole small audits by every method of relevance, and what a config says wrongly about methods."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from audit.cli import main
from audit.config import METHODS
from audit.errors import ConfigError, ModelError
from audit.loading import load_config
from audit.pipeline import Run, run
from audit.preparation import identity_of_parts, prepare
from audit.store.runs import verify

Project = Callable[..., Path]
TIMES = ("started", "finished", "seconds", "run_id")
SETTINGS = {"integrated_gradients": {"steps": 8}, "kernel_shap": {"samples": 16}, "lime": {"samples": 16}}
OTHERS = tuple(name for name in METHODS if name != "lrp")
MAPS = """
def edges(model, inputs, target):
    return inputs.diff(dim=-1, append=inputs[..., -1:]).abs()

def lengths(model, inputs, target):
    assert target.shape == (len(inputs["input_ids"]), 2)
    return 1.0 * inputs["attention_mask"]
"""
CODE = """
from torch import nn
def make():
    return nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 144, 2))
"""


def texts_by(project: Project, method: str, **settings: Any) -> Path:
    return project(
        n=80,
        relevance={"method": method, **settings},
        statistics={"placebos": 199, "permutations": 199, "min_terms": 2, "min_examples_per_term": 3},
        checks={"examples": 4},
        report={"examples": 2},
        gates=["contrast"],
    )


def without_times(finished: Run) -> str:
    document = json.loads((finished.folder / "audit.json").read_text(encoding="utf-8"))
    return json.dumps({key: value for key, value in document.items() if key not in TIMES}, sort_keys=True)


@pytest.mark.parametrize("method", OTHERS)
def test_a_text_audit_runs_by_every_method_and_repeats_itself(project: Project, method: str) -> None:
    config = texts_by(project, method, **SETTINGS.get(method, {}))
    finished = run(config)
    record = finished.record
    assert verify(finished.folder) == [] and {row.composite for row in record.ledger} == {method}
    assert record.config["relevance"]["method"] == method and record.config["relevance"]["composites"] == []
    assert all(row.closure_median < 0.05 or method == "gradient_x_input" for row in record.ledger)
    assert any(finding.composite == method for finding in record.findings)
    assert record.exhibits and all(
        np.isfinite([token.relevance for token in each.tokens]).all() for each in record.exhibits
    )
    assert without_times(finished) == without_times(run(config, again=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of 12 x 12 with a box each, and a random network."""
    place, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(1)
    rows = []
    for i in range(60):
        Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(place / f"{i}.png")
        x, y = rng.integers(0, 8, 2)
        box = f"[[{x}, {y}, {x + 4}, {y + 4}]]"
        rows.append({"image": f"{i}.png", "label": ["cat", "dog"][i % 2], "who": "xy"[i % 4 // 2], "box": box})
    pd.DataFrame(rows).to_csv(place / "table.csv", index=False)
    (place / "pets.py").write_text(CODE)
    (place / "maps.py").write_text(MAPS)
    torch.manual_seed(3)
    network = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(288, 2))
    save_file(network.state_dict(), place / "weights.safetensors")
    return place


def images_by(folder: Path, method: str, *, twins: int = 0, **settings: Any) -> Path:
    document = {
        "name": "pets", "task": "image", "output": str(folder / "out"),
        "data": {"path": "table.csv", "columns": {"id": None, "attributes": {"who": "who"}}},
        "model": {
            "module": "pets:make", "weights": "weights.safetensors", "classes": ["cat", "dog"],
            "preprocessing": {"mean": [0.5], "std": [0.25], "resize": [12, 12]},
        },
        "target": {"favour": "cat"},
        "regions": [{"name": "box", "boxes": "box"}],
        "relevance": {"method": method, **settings},
        "statistics": {"twins": twins, "twin_examples": 20, "permutations": 99, "min_group_size": 8},
        "checks": {"examples": 4},
        "report": {"examples": 2},
        "gates": ["disparity"],
    }  # fmt: skip
    path = folder / f"{method.replace(':', '_')}.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.mark.parametrize("method", OTHERS)
def test_an_image_audit_runs_by_every_method_and_repeats_itself(folder: Path, method: str) -> None:
    config = images_by(folder, method, twins=20 if method == "occlusion" else 0, **SETTINGS.get(method, {}))
    finished = run(config)
    record = finished.record
    assert set(record.regions[0].share) == {method} and record.regions[0].share[method].value is not None
    assert {finding.composite for finding in record.findings if finding.question == "reliance"} == {method}
    assert without_times(finished) == without_times(run(config, again=True))


def test_another_code_of_the_function_is_another_run_with_parts_of_its_own(folder: Path, project: Project) -> None:
    config = texts_by(project, "maps:lengths")
    maps = config.parent / "maps.py"
    maps.write_text(MAPS)
    before = prepare(load_config(config))
    assert run(config).made and not run(config).made
    maps.write_text(f"{MAPS}\n# changed")
    after = prepare(load_config(config))
    assert identity_of_parts(before) != identity_of_parts(after)
    assert run(config).made


def test_a_function_beside_the_config_is_the_map_and_its_code_is_on_record(folder: Path, project: Project) -> None:
    record = run(images_by(folder, "maps:edges")).record
    assert record.ledger[0].composite == "maps:edges" and "sha256 of its code" in record.ledger[0].used
    config = texts_by(project, "maps:lengths")
    (config.parent / "maps.py").write_text(MAPS)
    assert run(config).record.ledger[0].entries.keys() == {"inputs", "not explained"}
    with pytest.raises(ModelError, match=r"relevance.method: maps has no function 'edge'"):
        run(images_by(folder, "maps:edge"))
    with pytest.raises(
        ModelError, match=r"relevance.method: none:edge fails with ModuleNotFoundError: .*hold that function"
    ):
        run(images_by(folder, "none:edge"))


def test_check_tells_what_a_method_costs(project: Project, folder: Path) -> None:
    shown = CliRunner().invoke(main, ["check", str(texts_by(project, "kernel_shap", samples=64))])
    assert (
        "kernel_shap: about 64 forward passes, at least two for each word or cell, for each of 80 explanations"
        in shown.output
    )
    shown = CliRunner().invoke(main, ["check", str(images_by(folder, "integrated_gradients", twins=20))])
    assert "integrated_gradients: 50 forward and backward passes, for each of 460 explanations" in shown.output, (
        shown.output
    )


def test_one_text_and_one_image_are_explained_by_a_method(project: Project, folder: Path, tmp_path: Path) -> None:
    shown = CliRunner().invoke(main, ["explain", str(texts_by(project, "occlusion")), "she met baba"])
    assert "(occlusion)" in shown.output and "interaction" in shown.output
    picture = str(tmp_path / "map.png")
    config = images_by(folder, "lime", samples=32)
    shown = CliRunner().invoke(main, ["explain", str(config), "1", "--output", picture])
    assert "(lime)" in shown.output and "misfit" in shown.output and Path(picture).is_file()


@pytest.mark.parametrize(
    ("relevance", "problem"),
    [
        ({"method": "occlusio"}, "relevance.method: 'occlusio' is no method; choose from lrp, gradient_x_input"),
        ({"composites": []}, "composites: give at least one"),
        ({"method": "occlusion", "steps": 5}, "steps: only of integrated_gradients; leave it out"),
        ({"steps": 5}, "steps: only of integrated_gradients"),
        ({"method": "integrated_gradients", "samples": 50}, "samples: only of kernel_shap, lime"),
        ({"method": "lime", "samples": None}, "samples: give a number, or leave it out"),
        ({"method": "lime", "samples": 2}, "relevance.samples: "),
    ],
)  # fmt: skip
def test_what_does_not_fit_a_method_is_refused_with_its_cure(
    project: Project, relevance: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=r"small\.yaml:") as refused:
        load_config(project(relevance=relevance))
    assert problem in str(refused.value)


def test_rules_of_lrp_that_stand_in_a_config_are_no_matter_to_another_method(project: Project) -> None:
    path = project(relevance={"composites": ["auto"], "witnesses": ["epsilon"]})
    task = prepare(load_config(path, ["relevance.method=occlusion"]))
    assert task.explainer.names == task.explainer.voting == ("occlusion",)


def test_defaults_are_those_of_the_method(project: Project, folder: Path) -> None:
    def asked(path: Path, *overrides: str) -> Any:
        found = load_config(path, overrides).config.relevance
        return found.composites, found.steps, found.samples

    assert asked(project()) == (("cp_lrp", "attn_lrp"), None, None)
    assert asked(project(relevance={"method": "integrated_gradients"})) == ((), 50, None)
    assert asked(project(relevance={"method": "lime"})) == ((), None, 512)
    assert asked(images_by(folder, "lrp")) == (("epsilon_plus", "epsilon_gamma_box"), None, None)
    assert asked(images_by(folder, "lrp"), "relevance.method=kernel_shap", "relevance.samples=99") == ((), None, 99)
