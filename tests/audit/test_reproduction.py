"""A recorded run is run again from its record alone: what is found where data changed, are gone, or lie elsewhere."""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

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
from audit.errors import ConfigError, OutputError
from audit.loading import load_config, recorded_config
from audit.pipeline import run
from audit.reproduction import reproduce

Project = Callable[..., Path]
CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
CODE = """
from torch import nn
def make():
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 100, 2))
"""


CHEAP = {
    "statistics": {"placebos": 499, "permutations": 199},
    "checks": {"examples": 20, "validity": 20, "candidates": 0},
    "debug": {"clustered": 0, "unsure": 0, "explained": 0},
    "report": {"examples": 2},
    "gates": ["outcome"],
}


@pytest.fixture
def made(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run that was started where its config lies, with an override."""
    project(n=90, **CHEAP)
    monkeypatch.chdir(tmp_path)
    return run("small.yaml", ["seed=5"]).folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_comes_out_again_and_stays_as_it_is(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    before = contents(made.parent)
    result = CliRunner().invoke(main, ["reproduce", str(made)])
    assert result.exit_code == 0, result.output
    count = len(json.loads((made / "audit.json").read_text())["findings"])
    assert count > 10 and f"{count} of {count} findings identical; " in result.output
    assert contents(made.parent) == before
    assert not list((tmp_path / "temporary").iterdir())


def test_a_kept_reproduction_tells_its_command_and_is_itself_reproduced(made: Path, tmp_path: Path) -> None:
    words = ["reproduce", str(made), "--output", str(tmp_path / "again"), "--json"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["reproduced"] is True
    record = json.loads((Path(document["folder"]) / "audit.json").read_text())
    old = json.loads((made / "audit.json").read_text())
    assert record["provenance"]["command"] == ["lrp-audit", *words]
    for key in ("config", "protocol_sha256", "findings", "data", "model"):
        assert record[key] == old[key]
    for key in ("config_path", "config_written", "overrides"):
        assert record["provenance"][key] == old["provenance"][key]
    assert {each["state"] for each in document["outcomes"]} == {"identical"}
    kinds = [each["kind"] for each in document["outcomes"]]
    assert set(kinds) >= {"findings", "validity", "model", "gates", "exit_code", "debug", "ledger"}
    assert {each["state"] for each in document["inputs"]} <= {"same", "not known"}


def test_changed_labels_are_told_by_the_hash_of_the_data_and_the_findings_they_change(
    made: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(tmp_path / "data.csv")
    table.loc[:19, "label"] = table.loc[:19, "label"].map({"rotten": "fresh", "fresh": "rotten"})
    table.to_csv(tmp_path / "data.csv", index=False)
    found = reproduce(made)
    assert not found.holds
    changed = {each.name for each in found.inputs if each.state == "changed"}
    assert changed == {"data"}
    odd = [each for each in found.outcomes if not each.holds]
    assert any(each.kind == "findings" and each.name.startswith("outcome.") for each in odd)
    assert any(each.kind == "model" and "accuracy.value" in each.differing for each in odd)
    result = CliRunner().invoke(main, ["reproduce", str(made)])
    assert result.exit_code == 2
    assert "what came out otherwise" in result.output and "accuracy" in result.output
    assert "changed" in result.output and " different" in result.output
    rows = sum("│ different" in line for line in result.output.splitlines())
    assert rows <= 4 * len(odd) < sum(len(each.differing) for each in odd), "the first leaves of each"
    assert " more " in result.output, "and how many there are"


def test_data_that_are_gone_are_told_as_a_run_tells_it(made: Path, tmp_path: Path) -> None:
    (tmp_path / "data.csv").unlink()
    result = CliRunner().invoke(main, ["reproduce", str(made)])
    assert result.exit_code == 2
    assert "data.csv: there is no such data file; data.path is relative to the config" in result.output


def test_from_another_place_the_folder_of_the_config_is_asked_for(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match=r"is not found: small\.yaml is not here; give it with --folder, or start"):
        reproduce(made)
    with pytest.raises(OutputError, match="none: is no folder; give that of the config with --folder"):
        reproduce(made, folder=Path("none"))
    shutil.copytree(made, tmp_path / "moved")
    (tmp_path / "small.yaml").unlink()
    assert reproduce(tmp_path / "moved", folder=tmp_path).holds, "the record is enough"


def test_a_record_that_was_changed_is_not_reproduced(made: Path) -> None:
    (made / "audit.json").write_text((made / "audit.json").read_text().replace('"seed": 5', '"seed": 6'))
    with pytest.raises(OutputError, match=r"audit\.json: was changed after the run"):
        reproduce(made)


def test_a_run_is_not_reproduced_into_itself(made: Path) -> None:
    with pytest.raises(OutputError, match="lies in the run folder, which stays as the run wrote it"):
        reproduce(made, output=made)


def test_a_changed_mask_file_changes_the_hashes_of_the_data_and_of_its_region(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = marked(tmp_path)
    made = run(config).folder
    same = reproduce(made)
    assert same.holds and {each.state for each in same.inputs} <= {"same", "not known"}
    mask = np.array(Image.open(tmp_path / "mask7.png"))
    Image.fromarray(np.roll(mask, 3, axis=1)).save(tmp_path / "mask7.png")
    found = reproduce(made)
    assert {each.name for each in found.inputs if each.state == "changed"} == {
        "data",
        "masks of marker",
        "masks of outside",
    }
    assert not found.holds


def marked(folder: Path) -> Path:
    """The config of a cheap audit of 80 photographs of 20 x 20 with a mask file each, and a network of random weights."""
    rng, lines = np.random.default_rng(1), ["image,label,mask"]
    for i in range(80):
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(folder / f"{i}.png")
        mask = np.zeros((20, 20), dtype=np.uint8)
        left, top = rng.integers(0, 14, 2)
        mask[top : top + 5, left : left + 6] = 255
        Image.fromarray(mask).save(folder / f"mask{i}.png")
        lines.append(f"{i}.png,{'cat' if i % 2 else 'dog'},mask{i}.png")
    (folder / "table.csv").write_text("\n".join(lines))
    (folder / "pets.py").write_text(CODE)
    torch.manual_seed(3)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 2))
    save_file(network.state_dict(), folder / "weights.safetensors")
    document = {
        "name": "pets",
        "task": "image",
        "data": {"path": "table.csv", "columns": {"id": None}},
        "model": {
            "module": "pets:make", "weights": "weights.safetensors", "classes": ["cat", "dog"],
            "preprocessing": {"mean": [0.5], "std": [0.25], "resize": [20, 20]},
        },
        "target": {"favour": "cat"},
        "regions": [{"name": "marker", "mask": "mask"}],
        "statistics": {"twins": 0, "permutations": 199, "min_group_size": 8},
        "checks": {"examples": 0, "validity": 20, "candidates": 0},
        "report": {"examples": 2},
    }  # fmt: skip
    (folder / "pets.yaml").write_text(yaml.safe_dump(document))
    return folder / "pets.yaml"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_shipped_config_comes_back_from_its_record(path: Path) -> None:
    config = load_config(path).config
    document = json.loads(json.dumps(config.model_dump(mode="json")))
    loaded = recorded_config(document, Path("run/audit.json"), path)
    assert loaded.config == config and loaded.folder == path.parent
    assert loaded.at("data", "path") == "run/audit.json: data.path"


def test_a_config_of_another_release_is_refused_with_the_cure() -> None:
    document = load_config(CONFIGS[0]).config.model_dump(mode="json")
    with pytest.raises(ConfigError, match=r"^audit\.json: config\.sede: Extra inputs .*; use the release that wrote"):
        recorded_config({**document, "sede": 1}, Path("audit.json"), CONFIGS[0])
