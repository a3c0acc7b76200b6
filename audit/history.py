"""`lrp-audit history`: the runs below a folder beside each other, on the terminal, as JSON and as a page."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from audit.errors import OutputError
from audit.files import write_atomically
from audit.records import AuditRecord, GatedFinding, Verdict
from audit.report.history import (
    Protocol,
    Series,
    Step,
    against,
    exit_words,
    protocols,
    series,
    sparkline,
    steps,
    told,
    worst,
)
from audit.report.text import clean, plural, shorten, when
from audit.store.summaries import histories, read_summaries, refuse_inside_run

WIDTH: Final = 150
LISTED: Final = 30  # runs on the terminal
DRAWN: Final = 12  # sparklines
NAMED: Final = 10  # broken runs
LAYOUT: Final = "1.0"  # of the JSON
CURE: Final = "give another file with --html"
COLUMNS: Final[Mapping[str, int]] = {  # and their least widths
    "run": 23, "started": 19, "exit code": 12, "gates": 12, "worst gated finding": 20, "against the run before": 12,
}  # fmt: skip
STYLES: Final[Mapping[Verdict, str]] = {Verdict.BREACH: "bold dark_orange3", Verdict.DIFFERENT: "dark_orange3"}
LEGEND: Final = (
    "Newest last. A block is |estimate| in parts of the margin, █ reaches it, ▲ BREACH, · not tested, or not shown; | another protocol, across which "
    "estimates are not comparable."
)


@final
@dataclass(frozen=True, slots=True)
class History:
    """The runs of one name, the oldest first, of which the last `shown` are asked for; `broken`: why a run could not be read."""

    name: str
    folder: Path
    every: tuple[Step, ...]
    shown: int
    broken: Mapping[str, str]

    @property
    def steps(self) -> tuple[Step, ...]:
        """The runs that are asked for."""
        return self.every[len(self.every) - self.shown :]

    @property
    def earlier(self) -> int:
        """How many runs came before these."""
        return len(self.every) - self.shown

    @property
    def protocols(self) -> list[Protocol]:
        """Of all runs, as each is a look."""
        return protocols(self.every)


def history(folder: Path, last: int | None = None) -> list[History]:
    """The runs in `folder`, or in the folders in it; the `last` of each name. Raises `OutputError` where there is none."""
    found = []
    for name, place in histories(folder).items():
        read = read_summaries(place, published=_published)
        every = tuple(steps(read.runs))
        found.append(History(name, place, every, min(last or len(every), len(every)), read.broken))
    return found


def print_broken(found: Iterable[History]) -> None:
    """What could not be read, on standard error."""
    for each in found:
        if each.broken:
            print(f"{clean(each.name)}: {plural(len(each.broken), 'broken run')} left out", file=sys.stderr)
            for name, why in list(each.broken.items())[:NAMED]:
                print(f"  {shorten(name, 120)}: {shorten(why, 300)}", file=sys.stderr)
            if len(each.broken) > NAMED:
                print(f"  and {len(each.broken) - NAMED} more", file=sys.stderr)


def print_history(found: Iterable[History]) -> None:
    """Two tables a name on standard output, runs and series, and what is to say of looks."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    for each in (one for one in found if one.every):
        console.print(_runs(each))
        if each.earlier:
            console.print(Text(f"{plural(each.earlier, 'earlier run')} not listed: --last {len(each.every)} lists all"))
        _print_series(console, each.steps)
        for protocol in {step.run.protocol_sha256: 0 for step in each.steps}:
            sentence = next(one.sentence for one in each.protocols if one.sha256 == protocol)
            console.print(Text(sentence))


def as_json(found: Iterable[History]) -> str:
    """The layout of docs/scheduling.md."""
    document = {"schema_version": LAYOUT, "histories": [_document(each) for each in found]}
    return json.dumps(document, indent=1, allow_nan=False)


def write_page(found: Sequence[History], path: Path) -> None:
    """The page; raises `OutputError` where it would lie in a run, or cannot be written."""
    from audit.report.document import history_html

    refuse_inside_run(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be made ({error.strerror}); {CURE}") from None
    write_atomically(path, history_html(found), cure=CURE)


def _published(record: AuditRecord) -> AuditRecord:
    from audit.report.publication import publication

    return publication(record).record


def _runs(of: History) -> Table:
    table = Table(title=clean(of.name), title_justify="left")
    for column, least in COLUMNS.items():
        table.add_column(column, overflow="fold", min_width=least)
    for step in of.steps:
        finding = worst(step.run)
        style = STYLES.get(finding.verdict, "") if finding else ""
        table.add_row(
            _cell(step.folder),
            _cell(when(step.run.started).removesuffix(" UTC")),
            _cell(exit_words(step.run.exit_code), "bold" if step.run.exit_code else ""),
            _cell(step.gates),
            _cell(told(finding), style),
            _cell(step.changes, "bold" if step.protocol else ""),
        )
    return table


def _print_series(console: Console, shown: Sequence[Step]) -> None:
    found = series(shown)
    table = Table("gated finding", "runs", "newest estimate", "verdict")
    for each in found[:DRAWN]:
        last = each.last
        table.add_row(
            _cell(f"{last.question}, {shorten(last.label, 60)}"), _cell(sparkline(each, shown)), _cell(against(last)), _verdict(last)
        )  # fmt: skip
    if found:
        console.print(table)
        if len(found) > DRAWN:
            console.print(
                Text(f"{len(found) - DRAWN} more, farther from their margins, are not drawn here (--html, --json)")
            )
        console.print(Text(LEGEND))


def _verdict(finding: GatedFinding) -> Text:
    return Text(finding.verdict.value, STYLES.get(finding.verdict, ""))


def _cell(text: str, style: str = "") -> Text:
    return Text(" ".join(clean(text).split()), style)


def _document(of: History) -> dict[str, Any]:
    return {
        "name": clean(of.name),
        "earlier_runs": of.earlier,
        "protocols": [
            {"sha256": each.sha256, "runs": each.runs, "looks": each.looks, "alpha": each.alpha, "held": each.held}
            for each in of.protocols
        ],
        "runs": [_run(each) for each in of.steps],
        "broken": {clean(name): clean(why) for name, why in of.broken.items()},
    }


def _run(step: Step) -> dict[str, Any]:
    changed = {"protocol": step.protocol, "settings": list(step.settings), "model": step.model, "data": step.data}
    return {"folder": clean(step.folder), "changed": changed, "summary": step.run.model_dump(mode="json")}
