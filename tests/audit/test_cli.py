"""The command line as people and CI systems meet it: exit codes, messages, and nothing half-written that looks complete."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from audit.cli import main
from audit.parts import Here

Project = Callable[..., Path]
ROOT = Path(__file__).parents[2]
GENDER = {"attribute": "gender", "lexicon": "gender"}


def rows(n: int = 60, **changes: Any) -> list[dict[str, Any]]:
    """Rows whose texts differ, alternating labels."""
    made = [
        {
            "id": i,
            "text": f"{'she' if i % 2 else 'he'} {('babax', 'babex', 'babix', 'babox')[i // 2 % 4]} dede",
            "label": ["rotten", "fresh"][i % 2],
            "film": i,
        }
        for i in range(n)
    ]
    return [{**row, **changes} for row in made]


def break_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"] = torch.full_like(weights["classifier.bias"], float("nan"))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def same_for_all(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["classifier.weight"].zero_()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def copied(folder: Path, into: Path, change: Callable[[Path], None]) -> str:
    import shutil

    shutil.copytree(folder, into)
    change(into)
    return str(into)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "label outside the classes": ({"rows": rows(label="purple")}, "none of 60 rows can be used: unknown label 60"),
    "every text empty": ({"rows": rows(text=" ")}, "none of 60 rows can be used: empty text 60"),
    "no rows": ({"rows": []}, "is empty|has no data rows"),
    "missing data file": (
        {"data": {"path": "none.csv"}},
        "none.csv: there is no such data file; data.path is relative",
    ),
    "missing column": (
        {"data": {"path": "data.csv", "columns": {"text": "txt"}}},
        "no column 'txt'.*did you mean 'text'",
    ),
    "missing model folder": ({"model": {"path": "./nowhere"}}, "nowhere"),
    "unknown lexicon": ({"groups": [{"attribute": "gender", "lexicon": "gendre"}]}, "gendre.*gender"),
    "unknown group in only": (
        {"groups": [{**GENDER, "only": ["females"]}]},
        "no group 'females'.*did you mean 'female'",
    ),
    "bad pattern": ({"groups": [{"attribute": "a", "patterns": {"x": "("}}]}, r"\("),
    "unknown target class": (
        {"target": {"favour": "frsh"}},
        "target.favour: the model has no class 'frsh'; it has rotten, fresh",
    ),
    "same class twice": ({"target": {"favour": "fresh", "against": "fresh"}}, "favour and against are both 'fresh'"),
    "labels map to no class": (
        {"model": {"labels": {"good": "frseh"}}},
        "'frseh'.*classes are rotten, fresh.*did you mean 'fresh'",
    ),
    "unknown built-in model": ({"model": {"path": "builtin:films"}}, "film_reviews"),
    "unknown built-in data": ({"data": {"path": "builtin:films"}}, "film_reviews"),
    "unknown device": ({"engine": {"device": "gpu9"}}, "gpu9"),
    "unknown key": ({"sede": 4}, "sede: unknown key.*did you mean 'seed'"),
    "gate on reliance": ({"gates": ["reliance"]}, "gates: .reliance. is no gate for task .text."),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("command", ["run", "check"])
def test_bad_input_exits_2_with_the_cure_and_leaves_nothing_complete(
    project: Project, model_folder: Path, tmp_path: Path, case: str, command: str
) -> None:
    changes, message = BAD[case]
    settings = {key: value for key, value in changes.items() if key != "rows"}
    if "model" in settings:
        settings["model"] = {"path": str(model_folder), **settings["model"]}
    config = project(changes.get("rows", rows()), **settings)
    result = CliRunner().invoke(main, [command, str(config)])
    assert result.exit_code == 2, result.output
    assert_matches(message, result.output)
    assert not list(tmp_path.glob("out/**/manifest.json"))


def assert_matches(pattern: str, text: str) -> None:
    import re

    assert re.search(pattern, text, re.DOTALL), text


MODELS: dict[str, tuple[Callable[[Path], None], str]] = {
    "without weights": (lambda folder: (folder / "model.safetensors").unlink(), "safetensors"),
    "without config": (lambda folder: (folder / "config.json").unlink(), "config.json"),
    "without tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer"),
    "truncated weights": (lambda folder: os.truncate(folder / "model.safetensors", 1000), "cannot be loaded"),
    "NaN weights": (break_weights, "NaN"),
    "constant output": (same_for_all, "same contrast logit"),
}


@pytest.mark.parametrize("case", MODELS)
def test_an_unusable_model_exits_2(project: Project, model_folder: Path, tmp_path: Path, case: str) -> None:
    change, message = MODELS[case]
    path = copied(model_folder, tmp_path / "broken", change)
    result = CliRunner().invoke(main, ["run", str(project(rows(), model={"path": path}))])
    assert result.exit_code == 2, result.output
    assert_matches(message, result.output)
    assert not list(tmp_path.glob("out/**/manifest.json"))


def test_a_group_with_a_single_row_is_not_testable_and_the_audit_goes_on(project: Project) -> None:
    data = rows()
    for row in data[1:]:
        row["text"] = row["text"].replace("she", "he")
    data[0]["text"] = "she runs"
    result = CliRunner().invoke(main, ["run", str(project(data, gates=["outcome"]))])
    assert result.exit_code == 5, result.output
    assert "NOT TESTABLE: contrast of gender" in result.output
    assert "gate outcome: not tested" in result.output


def test_a_single_usable_row_leaves_nothing_to_compare(project: Project, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["run", str(project(rows(1)))])
    assert result.exit_code == 2
    assert_matches("nothing to compare", result.output)
    assert not list(tmp_path.glob("out/**/manifest.json"))


def test_unwritable_output_exits_2(project: Project, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(main, ["run", str(project(rows())), "--output", str(tmp_path / "file" / "runs")])
    assert result.exit_code == 2
    assert_matches("cannot be made .*--output", result.output)


@pytest.mark.parametrize("n", [60, 2000])  # the larger run fills its temporary file already
def test_a_full_disk_exits_1_and_leaves_nothing_that_looks_like_a_run(project: Project, tmp_path: Path, n: int) -> None:
    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))

    command = [sys.executable, "-m", "audit", "run", str(project(rows(n)))]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=fill, cwd=ROOT, check=False)
    assert done.returncode == 1, done.stderr
    assert re.search("could not be (written|put aside)|cannot be written", done.stderr), done.stderr
    assert not list(tmp_path.glob("out/small/2*")), "a folder that is not hidden is a finished run"


def test_interrupting_a_run_leaves_nothing_that_looks_complete(project: Project, tmp_path: Path) -> None:
    def heed() -> None:  # a shell that runs the tests in the background has its children ignore interrupts
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    command = [sys.executable, "-m", "audit", "run", str(project(n=4000))]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, preexec_fn=heed
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("out/small/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    while process.poll() is None and time.monotonic() < deadline:  # Python ignores one that arrives inside a callback
        process.send_signal(signal.SIGINT)
        time.sleep(10)  # a second one that meets the exit would kill it
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1, stderr
    assert "interrupted" in stderr
    assert not list(tmp_path.glob("out/**/manifest.json"))


def test_check_prints_the_plan_and_writes_nothing(project: Project, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["check", str(project())])
    assert result.exit_code == 0, result.output
    for phrase in (
        "config ok",
        "360 of 360 rows used",
        "cp_lrp: every operation has a rule",
        "enough terms",
        "a run takes: 360 texts, ",
        "of the model's work here",
    ):
        assert phrase in result.output
    assert not (tmp_path / "out").exists()


def table_rows(output: str) -> list[list[str]]:
    """Cells of the rows of every table that rich printed."""
    return [
        [cell.strip() for cell in line.strip("│").split("│")] for line in output.splitlines() if line.startswith("│")
    ]


def test_check_tells_what_the_data_can_show(project: Project) -> None:
    data = rows(600)
    for i, row in enumerate(data):
        row["place"] = ["[bold]here", "there", f"p{i % 25}"][i % 3]
    columns = {"cluster": "film", "attributes": {"place": "place"}}
    result = CliRunner().invoke(main, ["check", str(project(data, data={"path": "data.csv", "columns": columns}))])
    assert result.exit_code == 0, result.output
    assert_matches(r"8 tests of rates share alpha 0.0167, .* and 1 test of relevance", result.output)
    shown = [row for row in table_rows(result.output) if len(row) == 9]
    assert shown[0][:5] == ["gender (mentioned)", "female", "300", "male", "300"]
    assert re.fullmatch(r"0\.\d{3}", shown[0][5]) and re.fullmatch(r"needs [\d,]+ a side", shown[0][6])
    assert shown[1][:5] == ["place", "[bold]here", "200", "there", "200"]
    assert (
        re.fullmatch(r"needs \d+ a side", shown[1][8]) and shown[0][7] == "NOT TESTABLE"
    )  # no other attribute's words
    assert shown[2][5:7] == ["NOT TESTABLE", "below 20 a side"]
    assert len(shown) == 20
    assert_matches(r"and 7 comparisons more, 7 of them NOT TESTABLE", result.output)


def test_set_overrides_and_output_option(project: Project, tmp_path: Path) -> None:
    command = [
        "run",
        str(project()),
        "--set",
        "data.limit=90",
        "--set",
        "gates=[]",
        "--output",
        str(tmp_path / "there"),
        "--folder-file",
        str(tmp_path / "run.txt"),
    ]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    (record,) = tmp_path.glob("there/small/*/audit.json")
    assert json.loads(record.read_text())["data"]["used"] == 90
    assert (tmp_path / "run.txt").read_text() == f"{record.parent}\n"


def test_explain_prints_tokens_and_a_ledger_that_adds_up(project: Project) -> None:
    result = CliRunner().invoke(main, ["explain", str(project()), "she met the badax actor", "--composite", "attn_lrp"])
    assert result.exit_code == 0, result.output
    for phrase in ("fresh - rotten", "she", "gender.female", "ledger", "= output"):
        assert phrase in result.output
    hostile = CliRunner().invoke(main, ["explain", str(project()), "[red]she[/red] \x1b[31m he", "--target", "rotten"])
    assert hostile.exit_code == 0, hostile.output
    assert "\x1b[31m" not in hostile.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explain", "CONFIG", "  "], "text to explain is empty"),
        (["explain", "CONFIG", "x", "--target", "no"], "error: --target: the model has no class 'no'"),
        (
            ["explain", "CONFIG", "x", "--composite", "espilon"],
            "relevance.composites.0: composite 'espilon' does not exist",
        ),
        (
            ["explain", "CONFIG", "x", "--composite", "{name: epsilon, gama: 1}"],
            "composite 'epsilon' has no parameter 'gama'; its parameters: epsilon",
        ),
        (["explain", "CONFIG", "x", "--composite", "3"], "write the name of a composite, or a mapping"),
        (
            ["explain", "CONFIG", "x", "--composite", "{name: a, rules: [{rule: flat, kind: convolution}]}"],
            "'a': the entry",
        ),
        (
            ["check", "CONFIG", "--set", "target.favour=frsh"],
            "target.favour: the model has no class 'frsh'.*did you mean 'fresh'",
        ),
        (
            ["check", "CONFIG", "--set", "relevance.composites=[auto, auto]"],
            "relevance.composites.1: auto stands twice",
        ),
    ],
)
def test_explain_names_what_is_wrong(project: Project, arguments: list[str], message: str) -> None:
    config = str(project())
    result = CliRunner().invoke(main, [config if a == "CONFIG" else a for a in arguments])
    assert result.exit_code == 2
    assert_matches(message, result.output)


def test_schema_verify_and_unknown_run(project: Project, tmp_path: Path) -> None:
    assert "properties" in json.loads(CliRunner().invoke(main, ["schema"]).output)
    assert "findings" in json.loads(CliRunner().invoke(main, ["schema", "--record"]).output)["properties"]
    CliRunner().invoke(main, ["run", str(project(rows()))])
    (folder,) = tmp_path.glob("out/small/*")
    assert CliRunner().invoke(main, ["verify", str(folder)]).exit_code == 0
    (folder / "report.html").write_text("changed")
    changed = CliRunner().invoke(main, ["verify", str(folder)])
    assert changed.exit_code == 2
    assert "report.html: was changed" in changed.output
    assert CliRunner().invoke(main, ["verify", str(tmp_path / "no")]).exit_code == 2
    assert CliRunner().invoke(main, ["report", str(folder)]).exit_code == 0
    (folder / "audit.json").write_text((folder / "audit.json").read_text() + " ")
    edited = CliRunner().invoke(main, ["report", str(folder)])
    assert edited.exit_code == 2
    assert "audit.json: was changed after the run" in edited.output


def made_run(project: Project, tmp_path: Path) -> Path:
    """A finished run of few rows."""
    CliRunner().invoke(main, ["run", str(project(rows()))])
    (folder,) = tmp_path.glob("out/small/*")
    return folder


def ask(*words: str | Path, given: str = "") -> tuple[int, str]:
    """Exit code and everything that is printed."""
    result = CliRunner().invoke(main, [str(word) for word in words], input=given)
    return result.exit_code, result.output


def openssl(folder: Path, words: str) -> str:
    done = subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def test_a_signed_run_tells_who_signed_and_refuses_another_report_inside(project: Project, tmp_path: Path) -> None:
    folder, key, public = made_run(project, tmp_path), tmp_path / "key.pem", tmp_path / "public.pem"
    openssl(tmp_path, "genpkey -algorithm ed25519 -out key.pem")
    openssl(tmp_path, "pkey -in key.pem -pubout -out public.pem")
    assert "not signed" in ask("verify", folder)[1]
    who = ("--key", key, "--name", "A. Auditor", "--role", "independent auditor")
    assert ask("sign", folder, *who) == (0, f"{folder / 'signature.json'}\n")
    code, told = ask("verify", folder)
    assert code == 0 and "signed by A. Auditor (independent auditor) on 20" in told
    assert "without --key that shows that nothing was changed since, not who signed" in told
    openssl(tmp_path, "pkey -pubin -in public.pem -outform DER -out public.der")
    digest = openssl(tmp_path, "sha256 -r public.der").split()[0]
    assert f"key {digest}" in told, "the fingerprint is one that openssl prints"
    code, told = ask("verify", folder, "--key", public)
    assert code == 0 and f"by the key in {public}" in told
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    code, told = ask("report", folder)
    assert code == 2 and "is signed, and another report would break that; write it with --output DIR" in told
    code, told = ask("report", folder, "--output", tmp_path / "new" / "place")
    assert code == 0 and (tmp_path / "new" / "place" / "report.html").read_bytes() == before[folder / "report.html"]
    assert ask("report", folder, "--output", folder / "more")[0] == 2
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert ask("sign", folder, *who)[0] == 2
    assert ask("sign", folder, *who, "--replace")[0] == 0
    (folder / "report.html").write_text("changed")
    for words in (("verify", folder, "--key", public), ("sign", folder, *who, "--replace")):
        code, told = ask(*words)
        assert code == 2 and "report.html: was changed" in told


def test_a_report_hides_no_alteration_and_leaves_no_empty_folder(project: Project, tmp_path: Path) -> None:
    folder = made_run(project, tmp_path)
    worklist = (folder / "worklist.csv").read_bytes()
    (folder / "worklist.csv").write_bytes(worklist + b"forged")
    (folder / "added.txt").write_text("")
    before = ask("verify", folder)
    code, told = ask("report", folder, "--format", "csv")
    assert code == 2 and "worklist.csv: was changed" in told and "added.txt: is not in" in told
    assert "restore what differs" in told
    assert ask("report", folder, "--format", "csv", "--output", tmp_path / "elsewhere")[0] == 0
    assert ask("verify", folder) == before
    (folder / "worklist.csv").write_bytes(worklist)
    (folder / "added.txt").unlink()
    code, told = ask("report", folder, "--format", "nonsense", "--output", tmp_path / "new")
    assert code == 2 and "'nonsense'" in told and not (tmp_path / "new").exists()
    for page in ("report.html", "debug.html"):
        (folder / page).write_text("damaged")
    assert ask("report", folder, "--format", "html,csv") == (
        0,
        f"{folder / 'report.html'}\n{folder / 'report.csv'}\n{folder / 'debug.html'}\n",
    )
    assert ask("verify", folder)[0] == 0
    shutil.copytree(folder, tmp_path / "other")
    code, told = ask("report", folder, "--output", tmp_path / "other")
    assert code == 2 and "other: is a run, or lies in one" in told and ask("verify", tmp_path / "other")[0] == 0
    (folder / "manifest.json").write_text("{}")
    code, told = ask("report", folder)
    assert code == 2 and "manifest.json: is not a valid manifest" in told


def test_an_encrypted_key_is_asked_for_its_passphrase_which_is_not_shown(project: Project, tmp_path: Path) -> None:
    folder, key = made_run(project, tmp_path), tmp_path / "key.pem"
    openssl(tmp_path, "genpkey -algorithm ed25519 -aes256 -pass pass:open-sesame -out key.pem")
    command = ("sign", folder, "--key", key, "--name", "A", "--role", "auditor")
    code, told = ask(*command)
    assert code == 2 and "key.pem: is encrypted; give its passphrase" in told
    code, told = ask(*command, given="wrong\n")
    assert code == 2 and "has another passphrase" in told
    code, told = ask(*command, given="open-sesame\n")
    assert code == 0 and "sesame" not in told
    assert ask("verify", folder)[0] == 0


def test_what_verify_prints_holds_no_control_characters(project: Project, tmp_path: Path) -> None:
    folder = made_run(project, tmp_path)
    (folder / "a\x1b[31m\nb").write_text("")
    code, told = ask("verify", folder)
    assert code == 2 and "\x1b" not in told and len(told.splitlines()) == 1


def test_help_imports_nothing_heavy_and_names_every_command() -> None:
    code = (
        "import sys\nfrom audit.cli import main\n"
        "heavy = {'torch', 'transformers', 'pandas', 'numpy', 'matplotlib', 'pydantic', 'rich', 'cryptography'} & set(sys.modules)\n"
        "assert not heavy, heavy\nmain(['--help'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    for command in main.commands:
        assert command in done.stdout
        assert main.commands[command].help


def perfect(model_folder: Path, config: Path) -> dict[str, str]:
    """What the model predicts of every row of the project's data."""
    import pandas as pd

    from audit.config import Model
    from audit.models.huggingface import load_text_model
    from audit.relevance.explainer import Explainer
    from audit.relevance.texts import TextReader, score_texts

    loaded = load_text_model(Model(path=str(model_folder)), str(model_folder))
    table = pd.read_csv(config.parent / "data.csv")
    explainer = Explainer(loaded.model, TextReader(loaded.tokenizer, 48), 1, 0, {"cp_lrp": "cp_lrp"})
    table["label"] = [
        loaded.classes[i] for i in score_texts(Here(explainer), table["text"].tolist(), batch_tokens=2048).argmax(1)
    ]
    table.to_csv(config.parent / "data.csv", index=False)
    return {"rotten": "fresh", "fresh": "rotten"}


@pytest.mark.parametrize("command", ["run", "check"])
def test_labels_mapped_the_wrong_way_round_are_called_out(project: Project, model_folder: Path, command: str) -> None:
    config = project()
    swapped = perfect(model_folder, config)
    right = CliRunner().invoke(main, [command, str(config)])
    assert "WARNING" not in right.output, right.output
    labels = "model.labels={" + ", ".join(f"{a}: {b}" for a, b in swapped.items()) + "}"
    wrong = CliRunner().invoke(main, [command, str(config), "--set", labels])
    assert_matches(r"WARNING.*below chance.*check\s+model.labels", wrong.output)
