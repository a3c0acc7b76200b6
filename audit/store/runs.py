"""The run folder: a record, and nothing half-written that looks complete."""

import json
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from audit.errors import OutputError
from audit.files import write_atomically
from audit.records import SCHEMA_VERSION, AuditRecord
from audit.store.manifest import CURE, MANIFEST, RECORD, SIGNATURE, altered, refusal, write_manifest
from audit.tables import FloatArray


def write_record(folder: Path, record: AuditRecord) -> None:
    """`audit.json` with sorted keys; NaN is refused."""
    write_atomically(folder / RECORD, record.file_bytes(), cure=CURE)


def write_maps(folder: Path, maps: Mapping[str, FloatArray]) -> None:
    """`maps/exhibits.safetensors`: float16 relevance of the shown examples, `relevance/ID`; no file where none is shown."""
    from safetensors.numpy import save

    if maps:
        (folder / "maps").mkdir(exist_ok=True)
        content = save({f"relevance/{name}": values.astype(np.float16) for name, values in maps.items()})
        write_atomically(folder / "maps" / "exhibits.safetensors", content, cure=CURE)


def load_record(folder: str | Path) -> AuditRecord:
    """The record of a complete run; raises `OutputError` for a missing, incomplete, newer, invalid or altered one."""
    run = Path(folder)
    record = read_record(run)
    if broken := [each for each in altered(run) if each.file in (RECORD, MANIFEST)]:
        raise OutputError(refusal(broken))
    return record


def read_record(run: Path) -> AuditRecord:
    """The same without a look at the hashes of the manifest."""
    path = run / RECORD
    if not path.is_file():
        raise OutputError(f"{run}: holds no {RECORD}; give the folder of one run, such as reports/NAME/RUN_ID")
    if not (run / MANIFEST).is_file():
        raise OutputError(f"{run}: has no {MANIFEST}, so the run did not finish; run the audit again")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        version = str(document["schema_version"])
        if _major(version) != _major(SCHEMA_VERSION):
            raise OutputError(
                f"{path}: schema version {version}; this release reads {SCHEMA_VERSION}: use the release that wrote it"
            )
        return AuditRecord.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        what = f"{error.error_count()} problems, the first at {'.'.join(map(str, first['loc']))!r}: {first['msg']}"
        raise OutputError(f"{path}: is not a valid record ({what}); check it with lrp-audit verify") from None
    except KeyError as error:
        raise OutputError(
            f"{path}: is not a valid record (it has no {error}); check it with lrp-audit verify"
        ) from None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise OutputError(f"{path}: is not a valid record ({error}); check it with lrp-audit verify") from None


def verify(folder: str | Path, key: str | Path | None = None) -> list[str]:
    """What differs from the manifest, one sentence a file, and what is wrong with the signature; empty when all is as it was written.

    `key`: public key file of who must have signed; without it an unsigned run has no problem, and a signed one may be by anybody.
    """
    return [*map(str, altered(folder)), *_signature_problems(folder, key)]


def require_untouched(folder: str | Path, *, rewritten: Container[str] = ()) -> None:
    """Refuse a run in which anything but the `rewritten` files is not as the run wrote it: a new manifest would hide the change."""
    problems = [str(each) for each in altered(folder) if each.file not in rewritten] + _signature_problems(folder)
    if problems:
        raise OutputError(refusal(problems))


def require_sound(folder: str | Path) -> None:
    """Refuse a signed run whose signature is broken; that `audit.json` is the one of the manifest is asked by `load_record`."""
    if problems := _signature_problems(folder):
        raise OutputError(refusal(problems))


def output_folder(folder: Path, output: Path | None) -> Path:
    """Where a run's reports go, which is not made: `output`, outside of every run, or the run's own folder unless that is signed."""
    if output is None:
        if (folder / SIGNATURE).exists():
            raise OutputError(f"{folder}: is signed, and another report would break that; write it with --output DIR")
        return folder
    place = output.resolve()
    if place.is_relative_to(folder.resolve()):
        raise OutputError(f"{output}: lies in the run folder, which stays as the run wrote it; {CURE}")
    inside = any((each / MANIFEST).exists() and (each / RECORD).exists() for each in place.parents)
    if inside or (place / MANIFEST).exists() or (place / SIGNATURE).exists():
        raise OutputError(f"{output}: is a run, or lies in one, and stays as it was written; {CURE}")
    return output


def place_reports(folder: Path, output: Path | None, files: Mapping[str, bytes]) -> list[Path]:
    """Write reports where `output_folder` says; in the run's own folder with a new manifest, if all else is as the run wrote it."""
    place = output_folder(folder, output)
    if output is None:
        require_untouched(folder, rewritten=files)
    else:
        require_sound(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{output}: cannot be made ({error.strerror}); {CURE}") from None
    for name, content in files.items():
        write_atomically(place / name, content, cure=CURE)
    if output is None:
        write_manifest(folder)
    return [place / name for name in files]


def record_schema() -> dict[str, Any]:
    """JSON Schema of `audit.json`."""
    schema = AuditRecord.model_json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": f"lrp-audit record {SCHEMA_VERSION}",
    }


def _major(version: str) -> str:
    return version.partition(".")[0]


def _signature_problems(folder: str | Path, key: str | Path | None = None) -> list[str]:
    if key is None and not (Path(folder) / SIGNATURE).exists():
        return []
    from audit.store.signatures import signature_problems

    return signature_problems(folder, key)
