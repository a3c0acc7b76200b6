"""`python -m bench.planted.page > docs/benchmark.md`: the page of the benchmarks, from rows of results alone."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bench import method_cost
from bench.geco.page import section
from bench.planted.claims import FEWEST_MODELS, claims
from bench.planted.comparing import Evidence
from bench.planted.protocol import read_protocol
from bench.planted.results import FOLDER, check_protocol, results_file, rows
from bench.planted.summary import smallest_detectable
from bench.planted.tables import TABLES, cells
from bench.planted.units import RHOS, enumerated

HEAD: Final = """# Benchmarks: planted reliance, and GECO

Written by `python -m bench.planted.page` from rows of results; do not edit. `make planted` measures the planted reliance, and goes on
where it stopped.

A unit is a model, trained on the spot. **The truth is what the planted attribute does to that very model**: TE is the mean
change of the contrast logit when the attribute alone is toggled in the audited examples, in standard deviations of that logit; how
strongly it was planted (rho) does not count. Null: rho 0 and |TE| below {null}. Positive: |TE| from {text} (texts) and {image} (images).
What is under test is `audit.run` on a folder with data, model and YAML. A text audit names a pair of groups by its *contrast*, an image
audit a region by its *reliance*; a finding counts when it is *{decided[text]}* (texts) and *{decided[image]}* (images), as
`bench/planted/protocol.json` declares. How the models are made: [design 006](design/006-benchmark.md).
"""
MEASURED: Final = """
Protocol `{sha}`: {n} rows of evaluation seeds, of {units} models where {all_units} are to be measured; {failed} rows failed. Of models of
rho 0, {floor} are below the accuracy floor of {least} and stay in. Calibration: {calibration} rows, for cuts and seconds alone. Intervals
are of 95 %: of shares Wilson's, of correlations and slopes bootstrap over models, of areas Newcombe's (2006, method 5, with Hanley and
McNeil's variance), of paired differences Newcombe's (1998). A draw of the bootstrap in which nothing varies has no value; such draws
are left out and counted.
"""
NOTHING: Final = """
**Not measured yet.** No row of an evaluation seed stands beside this page, so nothing that is asked below is known to hold. GECO, at the
end, is measured.
"""
HOW_JUDGED: Final = f"""A claim holds by its estimate, false alarms over all null models also by their upper bound; how sure that is, the
interval says (of seconds: the smallest and the largest ratio). Of fewer than {FEWEST_MODELS} models, a claim counts as not measured. An
audit whose explanation is not valid withholds its verdicts: power counts that as a miss, and false alarms are judged on models that
were answered. Traps are arms that attract alarms, of models on which the planted feature has no effect (|TE| below that of null
models, at any rho); of “two attributes” it is the second one that must not be named."""
MARKS: Final = {True: "yes", False: "**no**", None: "not measured yet"}


def page(evidence: Evidence) -> str:
    """The planted reliance in Markdown."""
    return "\n".join([_head(evidence), *_sections(evidence)])


def _head(evidence: Evidence) -> str:
    truth, decided = evidence.protocol["truth"], evidence.protocol["decisions"]
    return HEAD.format(null=truth["null"], **truth["positive"], decided=decided) + _measured(evidence)


def _measured(evidence: Evidence) -> str:
    if not evidence.rows:
        return NOTHING
    protocol, found, answered = evidence.protocol, evidence.rows, evidence.answered
    low = {row["key"] for row in answered if row["rho"] == 0 and row["truth"]["accuracy"] < protocol["accuracy_floor"]}
    return MEASURED.format(
        sha=protocol.sha256[:16], n=len(found), units=len({row["key"] for row in found}),
        all_units=len(list(enumerated(protocol, "evaluation", tuple(RHOS)))),
        failed=len(found) - len(answered), floor=len(low), least=protocol["accuracy_floor"],
        calibration=len(evidence.calibration),
    )  # fmt: skip


def _sections(evidence: Evidence) -> Iterator[str]:
    yield "## What is to be reached\n"
    made = list(claims(evidence))
    known = [claim.holds for claim in made if claim.holds is not None]
    if not evidence.answered:
        yield _table(("asked, not measured yet",), [(claim.words,) for claim in made])
        return
    held, missed, missing = known.count(True), known.count(False), len(made) - len(known)
    yield f"Of {len(made)} claims {held} hold, {missed} do not, and {missing} are not measured yet.\n{HOW_JUDGED}\n"
    yield _table(("asked", "found", "holds"), [(claim.words, claim.found, MARKS[claim.holds]) for claim in made])
    yield from _tables(evidence)


def _tables(evidence: Evidence) -> Iterator[str]:
    for title, table in TABLES.items():
        found = [cells(line) for line in table.lines(evidence)]
        yield f"## {title}\n\n{table.words}\n"
        yield _table(table.columns, found) if found else "Not measured yet.\n"
        if title == "Power by effect":
            yield from (_detectable(evidence, modality) for modality in RHOS)


def _detectable(evidence: Evidence, modality: str) -> str:
    least = smallest_detectable(evidence.seen(modality))
    return f"Smallest detectable effect, {modality}: {'not known' if least is None else f'{least:.2f} sd'}.\n"


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    head = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    return head + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def committed(folder: Path = FOLDER) -> str:
    """The page of the rows in the folder, then GECO; raises ProtocolChanged where rows are of another protocol."""
    protocol, found = read_protocol(), {}
    for part in ("evaluation", "calibration"):
        path = results_file(part, folder)
        found[part] = rows(path)
        check_protocol(found[part], protocol, path)
    planted = page(Evidence(found["evaluation"], found["calibration"], protocol))
    return "\n".join([planted, method_cost.section(), section()])


if __name__ == "__main__":
    print(committed(), end="")
