"""What is shipped: the wheel holds the two packages with their data files and nothing else."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing stale in the work tree can enter."""
    tree, out = tmp_path_factory.mktemp("tree") / "lrp-audit", tmp_path_factory.mktemp("dist")
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "reports")
    shutil.copytree(ROOT, tree, ignore=unwanted)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    return built


def test_wheel_holds_the_two_packages_and_all_their_files(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in names} == {"audit", "lrp"}
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in ("audit", "lrp")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == wanted, "a new kind of data file needs a line in [tool.setuptools.package-data]"
    assert {"audit/py.typed", "lrp/py.typed"} <= names
    assert any(name.startswith("audit/data/lexicons/") for name in names)


def test_wheel_carries_licence_command_and_no_upper_bounds(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    texts = {
        name.split(".dist-info/")[1]: archive.read(name).decode()
        for name in archive.namelist()
        if ".dist-info/" in name
    }
    assert "Apache License" in texts["licenses/LICENSE"]
    assert "lrp-audit = audit.cli:main" in texts["entry_points.txt"]
    required = [line for line in texts["METADATA"].splitlines() if line.startswith("Requires-Dist")]
    assert any(line.startswith("Requires-Dist: torch>=") for line in required)
    assert not [line for line in required if "<" in line or "==" in line.split(";")[0]]


def test_constraints_satisfy_every_declared_floor() -> None:
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {line.split("==")[0].lower().replace("_", "-"): line.split("==")[1] for line in lines if "==" in line}
    for text in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        requirement = Requirement(text)
        name = requirement.name.lower()
        assert requirement.specifier.contains(pinned[name]), f"{text} has {pinned[name]} in constraints.txt"
    assert "torchvision<0.0.1" in lines


def test_bare_make_prints_help_and_touches_nothing(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    # a make inside `make test` would also tell which folder it enters
    alone = {name: value for name, value in os.environ.items() if name not in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS")}
    done = subprocess.run(["make"], cwd=tmp_path, capture_output=True, text=True, check=True, env=alone)
    targets = [line.split()[1] for line in done.stdout.splitlines()]
    assert targets == [
        "help",
        "setup",
        "demo",
        "test",
        "check",
        "bench",
        "planted",
        "rehearsal",
        "coverage",
        "simulate",
        "peers",
        "sample-report",
        "wheel",
        "clean",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]
