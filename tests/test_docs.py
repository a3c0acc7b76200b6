"""What the README shows is run: commands on a small project, YAML through the loader, Python as it stands."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from audit.cli import main
from audit.loading import load_config

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXPECTED = {"run": (0, 3, 5)}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> Iterator[str]:
    for block in blocks("sh"):
        yield from (line for line in block.splitlines() if line.strip())


def test_commands_run_in_the_order_shown(small_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The quickstart config is replaced by a small one, and RUN by the folder that `run` made."""
    monkeypatch.chdir(small_project)
    shown = [shlex.split(line) for line in commands() if line.startswith("lrp-audit")]
    assert {words[1] for words in shown} == {"check", "run", "explain", "report", "verify", "schema"}
    for words in shown:
        arguments = [word.replace("reports/quickstart_text/RUN", made_run(small_project)) for word in words[1:]]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code in EXPECTED.get(words[1], (0,)), f"{words}: {result.output}"


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
    assert load_config(path).config.groups


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_configs_are_valid(path: Path) -> None:
    assert load_config(path).config.name == path.stem


@pytest.mark.parametrize("code", blocks("python"))
def test_shown_python_runs(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, "README.md", "exec"), {})
    assert "tensor" in capsys.readouterr().out


def test_files_and_links_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_command_is_documented() -> None:
    for name in main.commands:
        assert f"lrp-audit {name}" in README
