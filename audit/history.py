"""`lrp-audit history`: the runs below a folder beside each other, on the terminal, as JSON and as a page."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from audit.errors import OutputError
from audit.files import write_atomically
from audit.records import AuditRecord, Verdict
from audit.report.history import (
    Protocol,
    Series,
    Step,
    exit_words,
    present,
    protocols,
    series,
    sparkline,
    steps,
    together,
    told,
    worst,
)
from audit.report.text import clean, plural, shorten, when
from audit.store.summaries import histories, read_summaries, refuse_inside_run

WIDTH: Final = 150
LISTED: Final = 30  # runs on the terminal
DRAWN: Final = 12  # sparklines
NAMED: Final = 10  # broken runs
MINUTE: Final = 16  # characters of a time
LAYOUT: Final = "1.0"  # of the JSON
CURE: Final = "give another file with --html"
STYLES: Final[Mapping[Verdict, str]] = {Verdict.BREACH: "bold dark_orange3", Verdict.DIFFERENT: "dark_orange3"}
LEGEND: Final = (
    "Newest last. A block is |estimate| in parts of the margin, █ reaches it, ▲ BREACH, · not tested, or not shown; | another protocol: "
    "estimates on its two sides are not comparable."
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
        read = read_summaries(place, last=last, published=_published)
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
        shown = {step.run.protocol_sha256 for step in each.steps}
        for sentence in [one.sentence for one in each.protocols if one.sha256 in shown]:
            console.print(Text(sentence))
        if sentence := together(each.protocols):
            console.print(Text(sentence))


def json_lines(found: Sequence[History]) -> Iterator[str]:
    """One document, in pieces of a line: the layout of docs/scheduling.md."""
    yield f'{{"schema_version": "{LAYOUT}", "histories": ['
    for i, each in enumerate(found):
        yield f'{json.dumps(_document(each))[:-1]}, "runs": ['
        for k, step in enumerate(each.steps):
            yield _run(step) + ("," if k < len(each.steps) - 1 else "")
        yield "]}" + ("," if i < len(found) - 1 else "")
    yield "]}"


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
    table.add_column("run, started (UTC)", no_wrap=True)
    for column in ("exit code, gates", "worst gated finding", "against the run before"):
        table.add_column(column, overflow="fold")
    for step in of.steps:
        finding = worst(step.run)
        table.add_row(
            _lines(shorten(step.folder, 40), when(step.run.started)[:MINUTE]),
            _lines(exit_words(step.run.exit_code), step.gates, style="bold" if step.run.exit_code else ""),
            _cell(told(finding), STYLES.get(finding.verdict, "") if finding else ""),
            _cell(step.changes, "bold" if step.protocol else ""),
        )
    return table


def _print_series(console: Console, shown: Sequence[Step]) -> None:
    found = series(shown)
    table = Table("gated finding", "runs", "newest run", "verdict")
    for each in found[:DRAWN]:
        last = each.last
        table.add_row(
            _cell(f"{last.question}, {shorten(last.label, 60)}"), _cell(sparkline(each, shown)), _cell(present(each, shown)),
            _verdict(each),
        )  # fmt: skip
    if found:
        console.print(table)
        if len(found) > DRAWN:
            console.print(
                Text(
                    f"{len(found) - DRAWN} more, farther from their margins or not tested there, are not drawn here (--html, --json)"
                )
            )
        console.print(Text(LEGEND))


def _verdict(of: Series) -> Text:
    return Text("") if of.newest is None else Text(of.newest.verdict.value, STYLES.get(of.newest.verdict, ""))


def _cell(text: str, style: str = "") -> Text:
    return Text(" ".join(clean(text).split()), style)


def _lines(first: str, second: str, *, style: str = "") -> Text:
    return Text("\n").join((_cell(first, style), _cell(second)))


def _document(of: History) -> dict[str, Any]:
    return {
        "name": clean(of.name),
        "earlier_runs": of.earlier,
        "protocols": [
            {"sha256": each.sha256, "runs": each.runs, "looks": each.looks, "alpha": each.alpha, "held": each.held}
            for each in of.protocols
        ],
        "broken": {clean(name): clean(why) for name, why in of.broken.items()},
    }


def _run(step: Step) -> str:
    changed = {"protocol": step.protocol, "settings": list(step.settings), "model": step.model, "data": step.data}
    changed |= {"code": step.code, "other": step.other}
    document = {"folder": clean(step.folder), "changed": changed, "summary": step.run.model_dump(mode="json")}
    # ASCII, so that a terminal obeys nothing, and a program reads every name as it is
    return json.dumps(document).replace("\x7f", "\\u007f")
