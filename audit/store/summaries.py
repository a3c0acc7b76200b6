"""`summary.json` of a run, and the summaries of the runs below a folder; the first line of the file is all but its findings, so that what
came before the newest runs need not be read whole."""

import gc
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from pydantic import ValidationError

from audit.errors import OutputError
from audit.files import write_atomically
from audit.records import SUMMARY_VERSION, AuditRecord, DataSummary, Finding, GatedFinding, RunSummary
from audit.store.manifest import CURE, MANIFEST, RECORD

SUMMARY: Final = "summary.json"
SEAM: Final = b",\n"  # between the line of all but the findings and these
MOST: Final = 20_000_000  # bytes of a summary that is read


@final
@dataclass(frozen=True, slots=True)
class Summaries:
    """Finished runs by the names of their folders, the oldest first, and why the others below the same folder cannot be read."""

    runs: Mapping[str, RunSummary]
    broken: Mapping[str, str]


def summary(record: AuditRecord) -> RunSummary:
    """The run in a few kB; of a published record, nothing that may not be published."""
    asked = record.config.get("statistics")
    statistics = asked if isinstance(asked, Mapping) else {}
    alpha, looks = statistics.get("alpha"), statistics.get("looks")
    gated = {gate.question for gate in record.gates}
    data = record.data
    return RunSummary(
        name=record.name,
        run_id=record.run_id,
        started=record.started,
        finished=record.finished,
        exit_code=record.exit_code,
        protocol_sha256=record.protocol_sha256,
        protocol_changed=record.protocol_changed,
        identity=record.identity,
        alpha=alpha if isinstance(alpha, float) else None,
        looks=looks if isinstance(looks, int) else 1,
        data=DataSummary(
            sha256=data.sha256,
            rows=data.rows,
            used=data.used,
            excluded=sum(data.excluded.values()),
            not_sampled=data.not_sampled,
        ),
        model_sha256=record.model.sha256,
        code_revision=record.provenance.code_revision,
        release=record.provenance.packages.get("lrp-audit", ""),
        gates={gate.question: gate.state for gate in record.gates},
        findings=tuple(_gated(each) for each in record.findings if each.question in gated),
        verdicts=dict(Counter(each.verdict.value for each in record.findings)),
        warnings=len(record.warnings),
    )


def write_summary(folder: Path, record: AuditRecord) -> None:
    """`summary.json` of a run."""
    write_document(folder, summary(record))


def write_document(folder: Path, document: RunSummary) -> None:
    """`summary.json`, a line of it a finding."""
    rows = ",\n".join(each.model_dump_json() for each in document.findings)
    head = document.model_dump_json(exclude={"findings"})
    content = head[:-1].encode() + SEAM + f'"findings":[\n{rows}\n]}}\n'.encode()
    write_atomically(folder / SUMMARY, content, cure=CURE)


def read_summaries(
    folder: Path, *, last: int | None = None, published: Callable[[AuditRecord], AuditRecord] = lambda record: record
) -> Summaries:
    """Of every folder in `folder` that is no hidden one and holds no runs itself; files are read as they are (see `verify`).

    `last`: so many of the newest runs have their findings; None: all have. `published`: what is summed up of the record of a run that
    has no summary yet.
    """
    found, broken = dict[str, RunSummary](), dict[str, str]()

    def read(names: Iterable[str], kept: Callable[[Path], RunSummary | None]) -> None:
        for name in names:
            try:
                found[name] = kept(folder / name) or _whole(folder / name, published)
            except OutputError as error:
                found.pop(name, None)
                if is_run(folder / name) or not holds_runs(folder / name):
                    broken[name] = str(error)

    with _uncollected():
        read(_folders(folder), _head if last else lambda _: None)
        whole = set[str]()
        while last and (
            newest := set(_order(found)[-last:]) - whole
        ):  # again where one of them turned out to be broken
            read(newest, lambda _: None)
            whole |= newest
    return Summaries({name: found[name] for name in _order(found)}, dict(sorted(broken.items())))


def _order(found: Mapping[str, RunSummary]) -> list[str]:
    return sorted(found, key=lambda name: (found[name].started, len(name), name))


def histories(folder: Path) -> dict[str, Path]:
    """Folders of runs by name: `folder` itself, if runs lie in it, and folders in it in which runs lie; OutputError if there is none."""
    if not folder.is_dir():
        raise OutputError(f"{folder}: is no folder; give the one that runs are written to, such as reports/NAME")
    if is_run(folder):
        raise OutputError(f"{folder}: is one run; give the folder in which it lies, such as {folder.resolve().parent}")
    below = [folder / name for name in sorted(_folders(folder))]
    runs = [each for each in below if is_run(each)]
    names = {} if len(runs) == len(below) else {each.name: each for each in below if holds_runs(each)}
    if not runs and not names:
        raise OutputError(f"{folder}: holds no finished run; run an audit, or give the folder that its runs lie in")
    return {folder.resolve().name: folder, **names} if runs else names


def is_run(folder: Path) -> bool:
    """Whether it is a run folder, a damaged one too."""
    return any((folder / name).exists() for name in (MANIFEST, SUMMARY, RECORD))


def holds_runs(folder: Path) -> bool:
    """Whether run folders lie in it, and it is none itself."""
    return not is_run(folder) and any(is_run(folder / name) for name in _folders(folder))


def refuse_inside_run(path: Path) -> None:
    """OutputError where a file at `path` would lie in a run, which stays as it was written."""
    if any((each / MANIFEST).exists() and (each / RECORD).exists() for each in path.resolve().parents):
        raise OutputError(f"{path}: lies in a run, which stays as it was written; give a file outside of it")


def _gated(finding: Finding) -> GatedFinding:
    estimate, pair = finding.estimate, len(finding.groups) == 2
    return GatedFinding(
        id=finding.id,
        question=finding.question,
        attribute=finding.attribute,
        group=finding.groups[0] if pair else ", ".join(finding.groups),
        comparison=finding.groups[1] if pair else "",
        category=finding.quantity,
        verdict=finding.verdict,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        level=estimate.level,
        n=estimate.n,
        margin=finding.margin,
        unit=estimate.unit,
        p_adjusted=finding.test.p_adjusted,
    )


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except OSError as error:
        raise OutputError(f"{folder}: cannot be read ({error.strerror})") from None


def _head(run: Path) -> RunSummary | None:
    """All but the findings of a finished run; None where that cannot be told from the first line."""
    try:
        with (run / SUMMARY).open("rb") as file:
            line = file.readline(MOST)
        read = RunSummary.model_validate_json(line[: -len(SEAM)] + b',"findings":[]}') if line.endswith(SEAM) else None
        return _known(read) if read and (run / MANIFEST).is_file() else None
    except (OSError, ValidationError):
        return None


def _whole(run: Path, published: Callable[[AuditRecord], AuditRecord]) -> RunSummary:
    """The summary of a finished run; raises `OutputError`."""
    if not (run / MANIFEST).is_file():
        raise OutputError(f"has no {MANIFEST}, so the run did not finish")
    try:
        with (run / SUMMARY).open("rb") as file:
            return _known(RunSummary.model_validate_json(file.read(MOST)))
    except FileNotFoundError:
        from audit.store.runs import read_record

        return summary(published(read_record(run)))
    except ValidationError as error:
        raise OutputError(f"{SUMMARY} is not valid ({error.errors(include_url=False)[0]['msg']})") from None
    except OSError as error:
        raise OutputError(f"{SUMMARY} cannot be read ({error.strerror})") from None


def _known(read: RunSummary) -> RunSummary:
    if read.schema_version.partition(".")[0] != SUMMARY_VERSION.partition(".")[0]:
        raise OutputError(f"{SUMMARY} has schema version {read.schema_version}; this release reads {SUMMARY_VERSION}")
    return read


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector of cycles: it would look at hundreds of thousands of new objects again and again, of which none is garbage."""
    asked = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if asked:
            gc.enable()
