"""`lrp-audit reproduce`: the recorded config is run again in a folder of its own, and every estimate is compared."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from audit.errors import OutputError
from audit.loading import LoadedConfig, recorded_config
from audit.pipeline import run_loaded
from audit.records import AuditRecord
from audit.report.text import clean, shorten
from audit.store.compared import (
    CLOSE,
    DIFFERENT,
    FINDINGS,
    IDENTICAL,
    MISSING,
    NEW,
    SAME,
    Input,
    Outcome,
    Scalar,
    inputs,
    outcomes,
)
from audit.store.manifest import RECORD
from audit.store.runs import load_record, output_folder, require_sound

WIDTH: Final = 150
SHOWN: Final = 3  # leaves of one result
LONGEST: Final = 80  # characters of a cell
STATES: Final = (IDENTICAL, CLOSE, DIFFERENT, MISSING, NEW)


@final
@dataclass(frozen=True, slots=True)
class Reproduction:
    """A run and the same run anew; `folder` holds the new one, None where it was not kept."""

    run: Path
    folder: Path | None
    inputs: tuple[Input, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def holds(self) -> bool:
        """Whether everything came out again: counts, words and verdicts as they were, other numbers to 1e-6."""
        return all(each.holds for each in self.outcomes)

    @property
    def sentence(self) -> str:
        """How many findings, and how many other results, are identical, and what came out otherwise."""
        findings = [each for each in self.outcomes if each.kind == FINDINGS]
        others = [each for each in self.outcomes if each.kind != FINDINGS]
        return f"{_counted(findings, 'findings')}; {_counted(others, 'other results')}"

    def as_json(self) -> str:
        """Everything, also what is the same."""
        document = {
            "run": str(self.run),
            "folder": None if self.folder is None else str(self.folder),
            "reproduced": self.holds,
            "sentence": self.sentence,
            "inputs": [asdict(each) for each in self.inputs],
            "outcomes": [asdict(each) for each in self.outcomes],
        }
        return json.dumps(document, indent=2)


def reproduce(
    run_dir: str | Path, *, folder: Path | None = None, output: Path | None = None, command: Sequence[str] = ()
) -> Reproduction:
    """Run the recorded config again and compare; `folder` is that of the config, which its paths are relative to.

    Without `output` the new run is not kept. The old one is only read. Raises `AuditError` as a run does, and `OutputError` for a
    record that was changed, or whose config lies elsewhere.
    """
    run = Path(run_dir)
    record = load_record(run)
    require_sound(run)
    if output is not None:
        output_folder(run, output)
    loaded = replace(config_of(run, record, folder), command=tuple(command))
    if output is not None:
        made = run_loaded(loaded, output, again=True)
        return _compared(run, record, made.record, made.folder)
    with TemporaryDirectory(prefix="lrp-audit-") as place:
        return _compared(run, record, run_loaded(loaded, place).record, None)


def _compared(run: Path, before: AuditRecord, after: AuditRecord, folder: Path | None) -> Reproduction:
    return Reproduction(run, folder, inputs(before, after), outcomes(before, after))


def config_of(run: Path, record: AuditRecord, folder: Path | None = None) -> LoadedConfig:
    """The recorded config in its `folder`, by default where it lay; OutputError where that is not here."""
    told = record.provenance
    recorded = Path(told.config_path)
    path = recorded if folder is None else folder / (recorded.name or f"{record.name}.yaml")
    if folder is None and (not told.config_path or not path.is_file()):
        where = f"{path} is not here" if told.config_path else "its record does not tell where"
        raise OutputError(
            f"{run}: the config's folder, which its paths are relative to, is not found: {where}; give it with --folder, or start "
            "where the run was started"
        )
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent}: is no folder; give that of the config with --folder")
    return recorded_config(record.config, run / RECORD, path, written=told.config_written, overrides=told.overrides)


def _counted(found: Sequence[Outcome], noun: str) -> str:
    """`12 of 14 findings identical, 1 same to 1e-6, 1 different`."""
    states = Counter(each.state for each in found)
    rest = "".join(f", {states[state]} {state}" for state in STATES[1:] if states[state])
    return f"{states[IDENTICAL]} of {len(found)} {noun} identical{rest}"


def print_reproduction(made: Reproduction) -> None:
    """On standard output: what went in, how many came out again, what did not with both values, and one sentence."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    if any(each.state != SAME for each in made.inputs):
        console.print(_inputs_table(made.inputs))
    same = [each.name for each in made.inputs if each.state == SAME]
    console.print(Text(clean(f"went in as it did: {', '.join(same) or 'nothing'}")))
    console.print(_counts_table(made.outcomes))
    odd = [each for each in made.outcomes if not each.holds]
    if odd:
        console.print(_odd_table(odd))
    console.print(Text(made.sentence))
    if made.folder is not None:
        console.print(Text(f"the new run: {made.folder}"), soft_wrap=True)


def _inputs_table(found: Sequence[Input]) -> Table:
    """What is not known to be the same."""
    table = Table(
        "input", "state", "recorded", "now", title="what went in, where it is not the same", title_justify="left"
    )
    for each in found:
        if each.state != SAME:
            table.add_row(*map(_cell, (each.name, each.state, each.before, each.after)))
    return table


def _counts_table(found: Sequence[Outcome]) -> Table:
    table = Table("what came out", *STATES)
    for kind in dict.fromkeys(each.kind for each in found):
        states = Counter(each.state for each in found if each.kind == kind)
        table.add_row(kind, *(str(states[state]) for state in STATES))
    return table


def _odd_table(found: Sequence[Outcome]) -> Table:
    """The first leaves of each."""
    table = Table("what came out otherwise", "state", "part", "recorded", "now")
    for each in found:
        name = f"{each.kind} {each.name}" if each.name != each.kind else each.kind
        for leaf in each.differing[:SHOWN]:
            before, after = ((side or {}).get(leaf) for side in (each.before, each.after))
            table.add_row(*map(_cell, (name, each.state, leaf, before, after)))
        more = len(each.differing) - SHOWN
        if more > 0 or not each.differing:
            table.add_row(*map(_cell, (name, each.state, f"and {more} more" if each.differing else "all", None, None)))
    return table


def _cell(value: Scalar) -> Text:
    return Text("–" if value is None else f"{value:.9g}" if isinstance(value, float) else shorten(str(value), LONGEST))
