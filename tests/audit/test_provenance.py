"""What a record says of where it comes from: code, command, config, hardware, and the masks."""

import json
import subprocess
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from audit import provenance
from audit.cli import main
from audit.pipeline import run
from audit.provenance import HERE, PACKAGES, code_revision, hardware
from audit.records import Provenance

Project = Callable[..., Path]


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that tracks a package of one module."""
    folder = tmp_path / "checkout"
    (folder / "audit").mkdir(parents=True)
    (folder / "audit" / "module.py").write_text("")
    (folder / ".gitignore").write_text(".venv\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_code_revision_is_that_of_the_checkout_that_tracks_the_module(checkout: Path) -> None:
    module, head = checkout / "audit" / "module.py", git(checkout, "rev-parse", "HEAD")
    assert code_revision(module) == (head, False)
    (checkout / "notes.txt").write_text("beside the package")
    assert code_revision(module) == (head, False)
    module.write_text("changed = True\n")
    assert code_revision(module) == (head, True)


def test_an_installed_package_has_no_revision_even_below_a_checkout(checkout: Path, tmp_path: Path) -> None:
    installed = checkout / ".venv" / "site-packages" / "audit"
    installed.mkdir(parents=True)
    (installed / "module.py").write_text("")
    (tmp_path / "alone.py").write_text("")
    assert code_revision(installed / "module.py") == (None, None)
    assert code_revision(tmp_path / "alone.py") == (None, None)


def test_without_git_there_is_no_revision(checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code_revision(checkout / "audit" / "module.py") == (None, None)


def test_hardware_has_processor_cores_and_memory_and_no_accelerator_on_a_processor() -> None:
    found = hardware("cpu")
    assert found["processor"] and int(found["cores"]) >= 1 and float(found["memory GiB"]) > 0
    assert "accelerator" not in found


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_an_accelerator_is_named() -> None:
    assert hardware("cuda")["accelerator"] == torch.cuda.get_device_name(0)


def test_a_processor_that_the_system_file_does_not_name_is_named_by_its_kind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(provenance, "CPU_INFO", tmp_path / "none")
    assert hardware("cpu")["processor"]


def of(folder: Path) -> Provenance:
    record = next(folder.glob("small/*/audit.json"))
    return Provenance.model_validate(json.loads(record.read_text())["provenance"])


def test_a_record_keeps_command_config_and_overrides(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = project(n=60)
    config.write_text("# why: a test, with ünïcode\n" + config.read_text(), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    words = ["run", "small.yaml", "--set", "gates=[]", "--set", "data.limit=50", "--output", "there"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    told = of(tmp_path / "there")
    assert told.command == ("lrp-audit", *words)
    assert told.config_path == "small.yaml"
    assert told.config_written == config.read_text(encoding="utf-8")
    assert told.overrides == ("gates=[]", "data.limit=50")
    assert told.packages == {name: metadata.version(name) for name in told.packages}
    assert {*PACKAGES} <= told.packages.keys()
    assert (told.code_revision, told.code_dirty) == code_revision(HERE)
    assert told.hardware == hardware("cpu")
    again = [*words[:2], "--again", *words[2:]]
    assert CliRunner().invoke(main, again).exit_code == 0
    first, again = (json.loads(path.read_text()) for path in sorted((tmp_path / "there").glob("small/*/audit.json")))
    for each in (first, again):
        each["provenance"].pop("command")
    assert {key for key in first if first[key] != again[key]} <= {"started", "finished", "seconds", "run_id"}
    called = run(config, ["gates=[]", "data.limit=50"], tmp_path / "python").record.provenance
    assert called == told.model_copy(update={"command": ()}), "called from Python there is no command"
