"""What the pages show is run: commands on a small project, YAML through the loader, Python as it stands, with the output shown."""

import inspect
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
from click.testing import CliRunner

import lrp
from audit.cli import main
from audit.config.compliance import Profile
from audit.loading import load_config
from audit.records import DataSummary, GatedFinding, RunSummary

ROOT = Path(__file__).parents[1]
ENGINE = ROOT / "docs" / "engine"
SHOWN = (
    ROOT / "README.md",
    *(
        ROOT / "docs" / name
        for name in ("debugging.md", "compliance.md", "provenance.md", "scheduling.md", "comparing.md")
    ),
    *ENGINE.glob("*.md"),
)
PAGES = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in SHOWN}
README = PAGES["README.md"]
EXPECTED = {"run": (0, 3, 5)}


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def commands(page: str = README) -> Iterator[str]:
    for block in blocks("sh", page):
        yield from (line for line in block.splitlines() if line.strip())


def test_commands_run_in_the_order_shown(small_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The quickstart config is replaced by a small one, and RUN by the folder that `run` made."""
    monkeypatch.chdir(small_project)
    shown = [shlex.split(line) for line in commands() if not line.startswith("make")]
    assert {words[1] for words in shown if words[0] == "lrp-audit"} == set(main.commands)
    for words in shown:
        started(words, small_project)


@pytest.mark.parametrize("page", ["docs/provenance.md", "docs/comparing.md"])
def test_commands_of_the_pages_on_runs_run_in_the_order_shown(
    page: str, small_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small_project)
    cheap = [
        "checks={examples: 0, validity: 20, candidates: 0}",
        "debug.clustered=0",
        "debug.explained=4",
        "data.limit=90",
    ]
    sets = [word for value in cheap for word in ("--set", value)]
    started(["lrp-audit", "run", "configs/quickstart_text.yaml", *sets], small_project, codes=(0, 3, 4, 5))
    for line in commands(PAGES[page]):
        started(shlex.split(line), small_project)


def test_commands_of_the_section_on_history_run_and_its_layouts_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = PAGES["docs/scheduling.md"].partition("## History")[2]
    shutil.copytree(ROOT / "reports" / "sample", tmp_path / "reports" / "quickstart_text" / "20260101T000000Z-aaaaaa")
    monkeypatch.chdir(tmp_path)
    shown = [shlex.split(line) for line in commands(page) if line.startswith("lrp-audit history")]
    assert len(shown) == 5
    for words in shown:
        started(words, tmp_path)
    assert (tmp_path / "history.html").exists()
    for name in [*RunSummary.model_fields, *GatedFinding.model_fields, *DataSummary.model_fields]:
        assert f"`{name}`" in page
    (layout,) = map(json.loads, blocks("json", page))
    printed = json.loads(CliRunner().invoke(main, ["history", "reports", "--json"]).stdout)
    (one,), (other,) = layout["histories"], printed["histories"]
    assert (layout.keys(), one.keys()) == (printed.keys(), other.keys())
    for key in ("protocols", "runs"):
        assert one[key][0].keys() == other[key][0].keys()


def started(words: list[str], project: Path, codes: tuple[int, ...] = ()) -> None:
    """Run one shown command in the current folder, the project."""
    if words[0] != "lrp-audit":
        assert words[0] == "openssl"
        subprocess.run(words, check=True, capture_output=True)
        return
    arguments = [
        re.sub(r"(\.\./)?reports/quickstart_text/(RUN|BEFORE)", lambda _: made_run(project), word) for word in words[1:]
    ]
    if words[1] == "explore":
        visit(arguments)
        return
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code in (codes or EXPECTED.get(words[1], (0,))), f"{words}: {result.output}"


def visit(arguments: list[str]) -> None:
    """Start the explorer, open the address that it prints, and end it as Ctrl-C does."""
    command = [sys.executable, "-m", "audit", *arguments, "--no-browser"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split(" open ")[1].strip()
        with build_opener(HTTPCookieProcessor()).open(address) as page:
            assert page.status == 200 and b"lrp-audit explorer" in page.read()
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 0, told


def made_run(project: Path) -> str:
    return next((str(path) for path in project.glob("reports/quickstart_text/*")), "not yet made")


@pytest.mark.parametrize("line", [line for line in commands() if line.startswith("make")])
def test_make_targets_exist(line: str) -> None:
    done = subprocess.run([*line.split(), "-n"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text", blocks("yaml"))
def test_shown_configs_are_valid(text: str, tmp_path: Path) -> None:
    path = tmp_path / "shown.yaml"
    path.write_text(text, encoding="utf-8")
    config = load_config(path).config
    assert config.groups or config.regions


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_configs_are_valid(path: Path) -> None:
    assert load_config(path).config.name == path.stem


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if blocks("python", page)])
def test_shown_python_runs_and_prints_what_is_shown(name: str, tmp_path: Path) -> None:
    """All blocks of a page in one process of its own; YAML that begins with `# name.yaml` is the file of that name."""
    code, page = "\n".join(blocks("python", PAGES[name])), PAGES[name]
    for text in blocks("yaml", page) if name != "README.md" else ():
        file = text.splitlines()[0].removeprefix("# ")
        assert file in code
        (tmp_path / file).write_text(text, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    for shown in blocks("text", page):
        assert shown in done.stdout


@pytest.mark.parametrize("name", PAGES)
def test_files_and_links_exist(name: str) -> None:
    prose = re.sub(r"^```.*?^```", "", PAGES[name], flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)\)", prose):
        assert ((ROOT / name).parent / target).exists(), target


@pytest.mark.parametrize(("page", "table"), [("rules.md", lrp.RULES), ("composites.md", lrp.COMPOSITES)])
def test_every_rule_and_composite_is_listed_with_its_parameters(
    page: str, table: dict[str, Callable[..., object]]
) -> None:
    rows = [line for line in PAGES[f"docs/engine/{page}"].splitlines() if line.startswith("| `")]
    for name, made in table.items():
        (row,) = [row for row in rows if re.search(rf"`{name}`", row.split("|")[1])]
        assert all(re.search(rf"\b{parameter}\b", row) for parameter in inspect.signature(made).parameters)


def test_every_command_is_documented() -> None:
    for name in main.commands:
        assert f"lrp-audit {name}" in README


def test_the_example_of_compliance_declares_everything_and_asks_for_every_profile(tmp_path: Path) -> None:
    (text,) = blocks("yaml", PAGES["docs/compliance.md"])
    path = tmp_path / "hiring.yaml"
    path.write_text(text, encoding="utf-8")
    compliance = load_config(path).config.compliance
    assert compliance.profile == get_args(Profile)
    assert all(value for _, value in compliance.declarations) and all(value for _, value in compliance)
