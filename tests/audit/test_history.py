"""`lrp-audit history` as people and schedulers meet it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from audit.cli import main
from audit.history import LISTED
from audit.records import RunSummary, Verdict
from tests.audit.nights import gap, night, second, written

ROOT = Path(__file__).parents[2]


def ask(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["history", *map(str, arguments)])


@pytest.fixture
def nightly(tmp_path: Path) -> Path:
    """Five runs: a breach in the third, another protocol from the fourth on."""
    runs = [night(0, gap(0.01)), night(1, gap(0.02), model_sha256="new"), night(2, gap(0.09), model_sha256="new")]
    return written(tmp_path / "nightly", *runs, *(second(i, gap(0.03), model_sha256="new") for i in (3, 4)))


def test_runs_are_listed_the_newest_last(nightly: Path) -> None:
    result = ask(nightly)
    assert result.exit_code == 0 and not result.stderr
    assert [result.stdout.index(f"2026010{i + 1}T020000Z") for i in range(5)] == sorted(
        result.stdout.index(f"2026010{i + 1}T020000Z") for i in range(5)
    )
    words = " ".join(result.stdout.replace("│", " ").split())
    assert "3, a gate is breached" in words and "outcome breached" in words
    assert "▲ BREACH outcome, gender: female − male" in words and "0.090 [0.070, 0.110], margin 0.050" in words
    assert "changed: model; data" in words
    assert "bbbbbb:" in words and "margins.outcome;" in words  # a cell of two lines
    assert "▂▃▲|▅▅" in words


def test_colour_is_never_the_only_signal(nightly: Path) -> None:
    assert "\x1b" not in ask(nightly).stdout


def test_the_last_runs_are_listed_with_how_many_came_before(nightly: Path) -> None:
    result = ask(nightly, "--last", "2")
    assert "20260103T" not in result.stdout
    assert "3 earlier runs not listed: --last 5 lists all" in result.stdout
    assert "2 runs, 365 looks planned" in result.stdout


def test_by_default_as_many_are_listed_as_a_screen_holds(tmp_path: Path) -> None:
    folder = written(tmp_path / "nightly", *(night(i, gap(0.01)) for i in range(LISTED + 7)))
    result = ask(folder)
    assert f"7 earlier runs not listed: --last {LISTED + 7} lists all" in result.stdout
    assert f"{LISTED + 7} runs, 365 looks planned" in result.stdout


def test_what_the_newest_run_could_not_test_is_not_shown_as_an_older_estimate(tmp_path: Path) -> None:
    untested = gap(None, verdict=Verdict.NOT_TESTABLE)
    folder = written(
        tmp_path / "nightly", night(0, gap(0.04)), night(1, untested, gap(0.001, id="two", attribute="age"))
    )
    words = " ".join(ask(folder).stdout.replace("│", " ").split())
    tables = words.partition("newest run")[2]
    assert "0.040" not in tables and "INCONCLUSIVE" not in tables
    assert tables.index("EQUIVALENT") < tables.index("not tested in the newest run; last estimate on 2026-01-01")
    assert "NOT TESTABLE" in tables


def test_another_lrp_audit_is_told_on_the_terminal_and_in_the_json(tmp_path: Path) -> None:
    folder = written(tmp_path / "nightly", night(0, gap(0.04)), night(1, gap(0.04), release="0.2.0"))
    assert "changed: data; code 0.2.0" in " ".join(ask(folder).stdout.replace("│", " ").split())
    (only,) = json.loads(ask(folder, "--json").stdout)["histories"]
    assert [each["changed"]["code"] for each in only["runs"]] == [False, True]


def test_several_protocols_say_that_their_error_rates_add_up(nightly: Path) -> None:
    for options in ((), ("--last", "1")):
        assert "Each of the 2 protocols has its own plan" in " ".join(ask(nightly, *options).stdout.split())


def test_the_json_has_what_was_read(nightly: Path) -> None:
    document = json.loads(ask(nightly, "--json").stdout)
    assert document["schema_version"] == "1.0"
    (only,) = document["histories"]
    assert only["name"] == "nightly" and only["earlier_runs"] == 0 and only["broken"] == {}
    assert [each["runs"] for each in only["protocols"]] == [3, 2]
    assert only["runs"][3]["changed"] == {
        "protocol": True,
        "settings": ["margins.outcome"],
        "model": False,
        "data": True,
        "code": False,
        "other": False,
    }
    assert RunSummary.model_validate(only["runs"][2]["summary"]).findings[0].verdict is Verdict.BREACH


def test_every_name_below_a_folder_has_its_table(tmp_path: Path) -> None:
    for name in ("one", "two"):
        written(tmp_path / name, night(0, gap(0.01)))
    document = json.loads(ask(tmp_path, "--json").stdout)
    assert [each["name"] for each in document["histories"]] == ["one", "two"]
    result = ask(tmp_path)
    assert result.stdout.index("one") < result.stdout.index("two")


def test_broken_runs_are_counted_and_named_on_standard_error(nightly: Path) -> None:
    for i in range(12):
        (nightly / f"broken {i:02}\x1b[31m").mkdir()
    result = ask(nightly)
    assert result.exit_code == 0 and "20260105T" in result.stdout
    assert "nightly: 12 broken runs left out" in result.stderr
    assert "broken 00\ufffd[31m: has no manifest.json" in result.stderr
    assert "and 2 more" in result.stderr and "\x1b" not in result.stderr
    json.loads(ask(nightly, "--json").stdout)


def test_a_folder_of_broken_runs_alone_is_an_error_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "unfinished").mkdir()
    result = ask(tmp_path)
    assert result.exit_code == 2
    assert "holds no finished run; run an audit" in result.stderr


def test_hostile_names_reach_the_terminal_clean(tmp_path: Path) -> None:
    bad = "\x1b[2J\u202e[bold]x[/bold]\r\n"
    folder = written(tmp_path / "nightly", night(0, gap(0.09, attribute=bad, group=bad), gates={"outcome": bad}))
    (folder / night(0).run_id).rename(folder / "a\x1b[2Jb")
    result = ask(folder)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout and "\u202e" not in result.stdout and "\r" not in result.stdout
    assert "[bold]x[/bold]" in result.stdout.replace("\n", "")
    assert "\\u001b" not in json.dumps(json.loads(ask(folder, "--json").stdout)["histories"][0]["runs"][0]["folder"])


def test_the_json_of_hostile_names_is_plain_ascii_and_a_program_reads_every_name_as_it_is(tmp_path: Path) -> None:
    bad = "\x1b[2J\x7f\x85\x9b31m\u202e\u2066älter"
    folder = written(tmp_path / "nightly", night(0, gap(0.09, attribute=bad, group=bad), gates={"outcome": bad}))
    told = ask(folder, "--json").stdout
    assert told.isascii() and not [each for each in told if not each.isprintable() and each != "\n"]
    (run,) = json.loads(told)["histories"][0]["runs"]
    assert run["summary"]["findings"][0]["group"] == run["summary"]["gates"]["outcome"] == bad


def test_a_page_is_written_where_it_is_asked_for(nightly: Path, tmp_path: Path) -> None:
    result = ask(nightly, "--html", tmp_path / "new" / "history.html")
    assert result.stdout.strip() == str(tmp_path / "new" / "history.html")
    assert "<svg" in (tmp_path / "new" / "history.html").read_text(encoding="utf-8")
    assert ask(nightly, "--html", nightly / "history.html").exit_code == 0
    assert ask(nightly).exit_code == 0  # a page beside the runs is no run


def test_no_page_is_written_into_a_run(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "reports" / "sample", tmp_path / "runs" / "one")
    result = ask(tmp_path / "runs", "--html", tmp_path / "runs" / "one" / "history.html")
    assert result.exit_code == 2 and "lies in a run" in result.stderr
    assert not (tmp_path / "runs" / "one" / "history.html").exists()


def test_a_run_itself_or_nothing_is_refused_with_a_cure() -> None:
    result = ask(ROOT / "reports" / "sample")
    assert result.exit_code == 2 and "give the folder in which it lies" in result.stderr
    assert ask("no_such_folder").exit_code == 2


def test_a_listing_of_summaries_needs_no_numerics(nightly: Path) -> None:
    code = (
        "import sys\nfrom audit.cli import main\n"
        f"main(['history', {str(nightly)!r}], standalone_mode=False)\n"
        "heavy = {'torch', 'transformers', 'pandas', 'scipy', 'numpy', 'matplotlib', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


def test_a_page_needs_no_torch(nightly: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom audit.cli import main\n"
        f"main(['history', {str(nightly)!r}, '--html', {str(tmp_path / 'h.html')!r}], standalone_mode=False)\n"
        "heavy = {'torch', 'transformers', 'pandas', 'scipy'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
