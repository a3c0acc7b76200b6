"""Explanations that a run keeps for whoever explores it, a row each: `explanations.parquet`, read without torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from audit.errors import OutputError
from audit.files import write_atomically
from audit.records import Explanation
from audit.store.manifest import CURE

EXPLANATIONS: Final = "explanations.parquet"
UNCHANGED: Final = ""
KeptRow = tuple[
    str, str, Explanation
]  # id, what the example was changed by (`swap.…`, `hidden.…@…`, or `UNCHANGED`), and what came out


def write_explanations(folder: Path, kept: Sequence[KeptRow]) -> None:
    """No file where none is kept."""
    import pyarrow
    from pyarrow import parquet

    if not kept:
        return
    rows = [
        {"id": name, "change": change, **found.model_dump(), "ledger": list(found.ledger.items())}
        for name, change, found in kept
    ]
    made = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.Table.from_pylist(rows, _schema()), made)
    write_atomically(folder / EXPLANATIONS, made.getvalue().to_pybytes(), cure=CURE)


def load_explanations(folder: Path, name: str) -> dict[str, Explanation]:
    """Those of one example by what it was changed by; empty where none is kept, `OutputError` for a file that cannot be read."""
    return {row["change"]: _explanation(row) for row in _read(folder, filters=[("id", "==", name)])}


def explained_ids(folder: Path) -> frozenset[str]:
    """Of which examples one is kept, read like `load_explanations`."""
    return frozenset(row["id"] for row in _read(folder, columns=["id"]))


def load_picture(folder: Path, name: str, change: str = UNCHANGED) -> bytes:
    """The JPEG of one photograph beside its map; empty where none is kept."""
    rows = _read(folder, columns=["picture"], filters=[("id", "==", name), ("change", "==", change)])
    return rows[0]["picture"] if rows else b""


def _read(folder: Path, **wanted: Any) -> list[dict[str, Any]]:
    import pyarrow
    from pyarrow import parquet

    path = folder / EXPLANATIONS
    if not path.is_file():
        return []
    try:
        rows: list[dict[str, Any]] = parquet.read_table(path, **wanted).to_pylist()
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise OutputError(f"{path}: cannot be read ({error}); explore a run that is as it was written") from None
    return rows


def _explanation(row: dict[str, Any]) -> Explanation:
    fields = {name: row[name] for name in Explanation.model_fields}
    return Explanation.model_validate(fields | {"ledger": dict(row["ledger"])})


def _schema() -> Any:
    import pyarrow

    text, number = pyarrow.string(), pyarrow.float64()
    token = pyarrow.struct([("text", text), ("relevance", number), ("groups", pyarrow.list_(text))])
    region = pyarrow.struct([("name", text), ("size", number), ("share", number), ("net", number)])
    return pyarrow.schema([
        ("id", text), ("change", text), ("explained", text), ("composite", text), ("output", number), ("predicted", text),
        ("ledger", pyarrow.map_(text, number)), ("tokens", pyarrow.list_(token)), ("regions", pyarrow.list_(region)),
        ("picture", pyarrow.binary()), ("name", text),
    ])  # fmt: skip
