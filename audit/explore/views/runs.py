"""The runs of an audit, and what differs between this one and another."""

from typing import Any

from audit.comparison import compare
from audit.errors import AuditError
from audit.explore.query import BadQuery, Pairs
from audit.explore.shelf import Shelf
from audit.history import history


def runs(shelf: Shelf, pairs: Pairs) -> dict[str, Any]:
    """`?other=RUN_ID` compares; the other run lies beside this one."""
    folder = shelf.folder.resolve()
    found, problem, made = None, "", None
    try:
        found = next(iter(history(folder.parent)), None)
    except AuditError as error:
        problem = str(error)
    others = [step.folder for step in found.steps if step.folder != folder.name] if found else []
    other = dict(pairs).get("other", "")
    if other and other not in others:
        raise BadQuery(f"{other!r:.80} is no other run of this audit")
    if other:
        before, after = sorted([other, folder.name])
        try:
            made = compare(folder.parent / before, folder.parent / after)
        except AuditError as error:
            problem = str(error)
    return {
        "steps": found.steps[::-1] if found else (), "others": others, "other": other, "made": made, "problem": problem,
        "broken": found.broken if found else {}, "named": {each.id: each for each in shelf.record.findings},
    }  # fmt: skip
