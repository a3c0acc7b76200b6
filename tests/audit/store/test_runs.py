"""Run folders that are missing, half-written, changed or in the way."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.errors import OutputError
from audit.records import SCHEMA_VERSION, AuditRecord, DataRecord, Estimate, ModelRecord, Provenance
from audit.store.manifest import MANIFEST, RECORD, write_manifest
from audit.store.runs import (
    load_record,
    output_folder,
    place_reports,
    record_schema,
    require_untouched,
    verify,
    write_record,
)

ROOT = Path(__file__).parents[3]


def record(*, accuracy: float = 0.75, name: str = "small") -> AuditRecord:
    return AuditRecord(
        name=name,
        run_id="0123abcd",
        started="2026-11-23T05:00:00Z",
        finished="2026-11-23T05:01:00Z",
        seconds={"data": 0.5},
        protocol_sha256="0" * 64,
        config={"name": name},
        provenance=Provenance(
            git_revision=None, git_dirty=None, python="3.11", platform="Linux", packages={}, device="cpu", seed=0
        ),
        data=DataRecord(
            path="a.csv",
            sha256="0" * 64,
            rows=2,
            used=2,
            excluded={},
            unknown={},
            truncated=0,
            labels={"neg": 1, "pos": 1},
            clusters=None,
            attributes={},
        ),
        model=ModelRecord(
            path="m",
            sha256="0" * 64,
            architecture="bert",
            parameters=1,
            classes=("neg", "pos"),
            contrast="pos - neg",
            logit_sd=1.0,
            accuracy=Estimate(value=accuracy, n=2),
        ),
        lexicons=(),
        terms=(),
        ledger=(),
        findings=(),
        effects=(),
        distributions=(),
        exhibits=(),
        gates=(),
        exit_code=0,
        limits=(),
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run with a page, a picture in a folder and a manifest of another tool."""
    folder = tmp_path / "run"
    (folder / "figures").mkdir(parents=True)
    write_record(folder, record())
    (folder / "report.html").write_text("<p>")
    (folder / "figures" / "a.svg").write_text("<svg/>")
    (folder / "figures" / MANIFEST).write_text("{}")
    write_manifest(folder)
    return folder


def changed(run: Path, **values: Any) -> None:
    document = json.loads((run / RECORD).read_text())
    (run / RECORD).write_text(json.dumps({**document, **values}))


def test_record_comes_back_as_it_was_written(run: Path) -> None:
    assert load_record(run) == load_record(str(run)) == record()
    assert verify(run) == []


def test_record_is_readable_text_with_sorted_keys(tmp_path: Path) -> None:
    write_record(tmp_path, record(name="é"))
    text = (tmp_path / RECORD).read_text(encoding="utf-8")
    keys = list(json.loads(text))
    assert keys == sorted(keys)
    assert '"name": "é"' in text


def test_missing_record_and_missing_manifest_are_told_apart(run: Path) -> None:
    (run / MANIFEST).unlink()
    with pytest.raises(OutputError, match=r"has no manifest\.json, so the run did not finish; run the audit again"):
        load_record(run)
    with pytest.raises(OutputError, match=r"has no manifest\.json; give the folder of one finished run"):
        verify(run)
    (run / RECORD).unlink()
    with pytest.raises(OutputError, match=r"holds no audit\.json; give the folder of one run"):
        load_record(run)
    with pytest.raises(OutputError, match=r"nowhere: holds no audit\.json"):
        load_record(run / "nowhere")


def test_newer_schema_version_is_refused_with_both_versions(run: Path) -> None:
    changed(run, schema_version="3.0")
    with pytest.raises(
        OutputError, match=rf"schema version 3\.0; this release reads {SCHEMA_VERSION}: use the release"
    ):
        load_record(run)


def test_minor_version_that_adds_nothing_is_read(run: Path) -> None:
    changed(run, schema_version=f"{SCHEMA_VERSION.partition('.')[0]}.9")
    write_manifest(run)
    assert load_record(run).name == "small"


GARBAGE = {
    "empty": (b"", "Expecting value"),
    "cut off": (b'{"schema_version": "1.0", ', "Expecting property name"),
    "not UTF-8": (b'{"a": "\xff"}', "can't decode byte 0xff"),
    "list": (b"[]", "list indices"),
    "null": (b"null", "not subscriptable"),
    "no version": (b"{}", "it has no 'schema_version'"),
    "version only": (b'{"schema_version": "2.0"}', "problems, the first at 'name': Field required"),
    "brackets without end": (b"[" * 100_000, "recursion"),
}


@pytest.mark.parametrize("case", GARBAGE)
def test_garbage_record_is_refused_with_its_reason(case: str, run: Path) -> None:
    content, said = GARBAGE[case]
    (run / RECORD).write_bytes(content)
    with pytest.raises(OutputError, match=rf"audit\.json: is not a valid record .*{said}") as caught:
        load_record(run)
    assert len(str(caught.value).splitlines()) == 1
    assert verify(run) == [f"{run / RECORD}: was changed after the run"]


def test_unknown_and_ill_typed_parts_of_a_record_are_refused_by_name(run: Path) -> None:
    changed(run, surprise=1)
    with pytest.raises(OutputError, match="1 problems, the first at 'surprise': Extra inputs are not permitted"):
        load_record(run)
    write_record(run, record())
    changed(run, exit_code="many")
    with pytest.raises(OutputError, match="the first at 'exit_code': Input should be a valid integer"):
        load_record(run)


def test_verify_finds_changed_missing_and_extra_files(run: Path) -> None:
    (run / "report.html").write_text("<q>")
    (run / "figures" / "a.svg").unlink()
    (run / "figures" / "b.svg").write_text("")
    assert verify(run) == [
        f"{run / 'figures/a.svg'}: is missing",
        f"{run / 'figures/b.svg'}: is not in the manifest",
        f"{run / 'report.html'}: was changed after the run",
    ]


def test_manifest_of_a_subfolder_is_a_file_like_any_other(run: Path) -> None:
    (run / "figures" / MANIFEST).write_text("{ }")
    assert verify(run) == [f"{run / 'figures' / MANIFEST}: was changed after the run"]


def test_file_replaced_by_a_folder_or_a_link_is_told(run: Path) -> None:
    (run / "report.html").unlink()
    (run / "report.html").mkdir()
    (run / "figures" / "a.svg").unlink()
    (run / "figures" / "a.svg").symlink_to("nowhere")
    assert verify(run) == [
        f"{run / 'figures/a.svg'}: is a symbolic link, which no run writes",
        f"{run / 'report.html'}: is an empty folder, which no run writes",
    ]


def test_a_link_to_the_very_same_content_is_no_file_of_the_run(run: Path, tmp_path: Path) -> None:
    (run / "report.html").rename(tmp_path / "elsewhere.html")
    (run / "report.html").symlink_to(tmp_path / "elsewhere.html")
    (run / "more").symlink_to(tmp_path, target_is_directory=True)
    assert verify(run) == [
        f"{run / 'more'}: is a symbolic link, which no run writes",
        f"{run / 'report.html'}: is a symbolic link, which no run writes",
    ]


def test_what_is_hidden_empty_or_no_file_is_told(run: Path) -> None:
    (run / ".hidden").write_text("")
    (run / "figures" / ".deep").mkdir()
    os.mkfifo(run / "pipe")
    assert verify(run) == [
        f"{run / '.hidden'}: is not in the manifest",
        f"{run / 'figures/.deep'}: is an empty folder, which no run writes",
        f"{run / 'pipe'}: is no regular file, and no run writes such",
    ]


PAGE = {"report.html": b"<b>"}


def test_reports_go_elsewhere_or_into_an_unsigned_run(run: Path, tmp_path: Path) -> None:
    assert place_reports(run, None, PAGE) == [run / "report.html"]
    assert verify(run) == [] and (run / "report.html").read_bytes() == b"<b>"
    assert place_reports(run, tmp_path / "new" / "place", PAGE) == [tmp_path / "new" / "place" / "report.html"]
    for inside in (run, run / "new", run / "figures" / ".." / "x"):
        with pytest.raises(OutputError, match="lies in the run folder, which stays as the run wrote it; give another"):
            output_folder(run, inside)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/x: cannot be made \(Not a directory\); give another folder"):
        place_reports(run, tmp_path / "file" / "x", PAGE)
    (run / "signature.json").write_text("{}")
    with pytest.raises(OutputError, match="is signed, and another report would break that; write it with --output DIR"):
        output_folder(run, None)


def test_no_report_goes_into_another_run(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other)
    (tmp_path / "link").symlink_to(other, target_is_directory=True)
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "signature.json").write_text("")
    for place in (other, other / "figures", other / "new" / "place", tmp_path / "link", tmp_path / "bare"):
        with pytest.raises(OutputError, match=r"is a run, or lies in one, .* give another folder with --output"):
            place_reports(run, place, PAGE)
    assert verify(other) == []


ALTERATIONS: dict[str, Callable[[Path], object]] = {
    "figures/a.svg": lambda run: (run / "figures" / "a.svg").write_text("<svg>forged</svg>"),
    "figures/manifest.json": lambda run: (run / "figures" / MANIFEST).unlink(),
    "x audit.json": lambda run: (run / "x audit.json").write_text("{}"),
    "worklist.csv": lambda run: (run / "worklist.csv").write_text("id"),
    "empty": lambda run: (run / "empty").mkdir(),
    RECORD: lambda run: changed(run, exit_code=3),
    MANIFEST: lambda run: (run / MANIFEST).write_text("{}"),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_an_altered_run_takes_no_report_which_would_hide_it(name: str, run: Path, tmp_path: Path) -> None:
    ALTERATIONS[name](run)
    before = verify(run)
    assert before
    with pytest.raises(OutputError, match=rf"run/{name}: .*\nrestore what differs and remove what was added"):
        place_reports(run, None, PAGE)
    assert verify(run) == before
    place_reports(run, tmp_path / "elsewhere", PAGE)
    assert verify(run) == before, "what is written elsewhere hides nothing"
    if name in (RECORD, MANIFEST):
        with pytest.raises(OutputError, match=rf"run/{name}: .*\nrestore what differs"):
            load_record(run)


def test_a_damaged_report_is_made_again_in_its_place(run: Path) -> None:
    (run / "report.html").write_text("damaged")
    place_reports(run, None, PAGE)
    assert verify(run) == []


def test_a_refusal_of_many_files_stays_short_and_printable(run: Path) -> None:
    for i in range(50):
        (run / f"\x1b[31m\n{i:02d}").write_text("")
    with pytest.raises(OutputError) as caught:
        require_untouched(run)
    assert len(str(caught.value).splitlines()) == 12 and "and 40 more" in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b'{"sha256": {}, "sha256": {}}',
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"sha256": []}',
        b'{"sha256": null}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_garbage_manifest_is_reported(content: bytes, run: Path) -> None:
    (run / MANIFEST).write_bytes(content)
    assert verify(run) == [f"{run / MANIFEST}: is not a valid manifest"]


def test_hash_that_is_no_text_counts_as_changed(run: Path) -> None:
    (run / MANIFEST).write_text('{"sha256": {"report.html": 5, "../run/audit.json": "x"}}')
    assert f"{run / 'report.html'}: was changed after the run" in verify(run)
    assert f"{run / '../run/audit.json'}: is missing" in verify(run)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_number_that_json_cannot_hold_is_refused_and_nothing_is_left(number: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        write_record(tmp_path, record(accuracy=number))
    assert list(tmp_path.iterdir()) == []


def test_failed_write_keeps_the_old_record_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    write_record(tmp_path, record())
    with pytest.raises(ValueError, match="surrogates not allowed"):
        write_record(tmp_path, record(name="\ud800"))
    assert [path.name for path in tmp_path.iterdir()] == [RECORD]
    assert json.loads((tmp_path / RECORD).read_text())["name"] == "small"


def test_write_in_the_way_of_a_folder_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).mkdir()
    with pytest.raises(OutputError, match=r"manifest\.json: cannot be written .Is a directory"):
        write_manifest(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST]


def test_write_into_a_folder_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"audit\.json: cannot be written .No such file or directory.; give another"):
        write_record(tmp_path / "gone", record())


def test_schema_describes_every_key_that_is_written(tmp_path: Path) -> None:
    write_record(tmp_path, record())
    document = json.loads((tmp_path / RECORD).read_text())
    schema = record_schema()
    assert schema["title"] == f"lrp-audit record {SCHEMA_VERSION}"
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) <= document.keys() == schema["properties"].keys() - {"baseline", "identity"}, (
        "written where there is one"
    )
    for part, block in [("data", "DataRecord"), ("model", "ModelRecord"), ("provenance", "Provenance")]:
        assert document[part].keys() == schema["$defs"][block]["properties"].keys()


def test_schema_is_the_same_in_every_process() -> None:
    code = "import json; from audit.store.runs import record_schema; print(json.dumps(record_schema()))"
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
        assert done.stdout == json.dumps(record_schema()) + "\n"


def test_version_2_record_keeps_its_parts() -> None:
    """A part that goes or becomes required breaks old records: raise SCHEMA_VERSION, then this list."""
    parts = (
        "name run_id started finished seconds protocol_sha256 config provenance data model lexicons terms ledger findings "
        "effects distributions exhibits gates exit_code limits"
    )
    assert SCHEMA_VERSION.startswith("2.")
    schema = AuditRecord.model_json_schema()
    assert set(schema["required"]) <= set(parts.split()) <= schema["properties"].keys()
