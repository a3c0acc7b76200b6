"""The whole audit, stage by stage, from a config file to a run folder."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from logging import ERROR, INFO, WARNING
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from audit.aggregation import distributions
from audit.baseline import against_baseline
from audit.cost import announce
from audit.data.examples import write_quarantine
from audit.debug.contrasts import OfContrast, OfPairs, Pushes, declared_signals
from audit.debug.summary import Debugged, debugged
from audit.engines.choice import check_engine, engine
from audit.engines.kept import Kept
from audit.errors import AtWorkError, DataError
from audit.files import failure
from audit.loading import LoadedConfig, load_config
from audit.log import Event, tell
from audit.notification import notify, notify_failure, of_run
from audit.preparation import (
    declared,
    identity,
    identity_of_parts,
    load_explainer,
    prepare,
    protocol_change,
    protocol_sha256,
)
from audit.progress import progress, timed
from audit.questions import QUESTIONS
from audit.recording import Answers, Start, example_frame, make_record
from audit.records import AuditRecord, Finding
from audit.relevance.explainer import contrast_logit
from audit.relevance.sums import Explained
from audit.report.publication import publication
from audit.report.render import render
from audit.stats.cases import Evidence
from audit.stats.discovery import discover
from audit.stats.families import answer, share_means
from audit.stats.grades import graded
from audit.stats.impact import impact
from audit.stats.rules import with_rules
from audit.stats.signals import signals
from audit.stats.validity import faults, validity_checks
from audit.stats.verdicts import gate_state, withhold
from audit.store.explanations import UNCHANGED, KeptRow, write_explanations
from audit.store.manifest import write_manifest
from audit.store.regression import write_checks
from audit.store.runs import load_record, write_maps, write_record
from audit.store.summaries import write_summary
from audit.store.tables import ROWS, TABLE
from audit.store.virelay import Portfolio, require_h5py, write_virelay
from audit.store.worklists import write_worklist
from audit.store.workplace import workplace
from audit.tables import ExampleTable, ValidityTable
from audit.tasks.resolving import resolve_data
from audit.tasks.shown import examples_shown, kept_rows, others_shown, with_exhibits
from audit.tasks.task import Gallery, Task, misclassified
from audit.tracking import require_tracker, track

LEVELS: Final = {3: ERROR, 4: ERROR, 5: WARNING}  # by exit code, in logs
RELEVANCE_QUESTIONS = tuple(name for name, question in QUESTIONS.items() if question.explained)


@final
@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: its record and its folder; `made` now, or by an earlier run of the same inputs."""

    record: AuditRecord
    folder: Path
    made: bool = True


def run(
    config: str | Path,
    overrides: Sequence[str] = (),
    output: str | Path | None = None,
    *,
    command: Sequence[str] = (),
    again: bool = False,
) -> Run:
    """Audit what the config file says and write the run folder; raises `AuditError` with the cure for bad input.

    An interrupted run of the same inputs is gone on with; a finished one is given back, unless it is to be run `again`. `command` is
    what the command line was given; it is kept in the record.
    """
    loaded = replace(load_config(Path(config), overrides), command=tuple(command))
    asked, place = loaded.config.notify, Path(output or loaded.config.output) / loaded.config.name
    try:
        require_tracker(loaded)
        found = run_loaded(loaded, output, again=again)
    except AtWorkError:  # the run that is at work tells how it ended
        raise
    except (Exception, KeyboardInterrupt) as error:
        notify_failure(asked, loaded.config.name, error, place)
        raise
    _tell_end(found)
    if loaded.config.tracking:
        track(found.record, found.folder)
    notify(asked, of_run(found.record.exit_code, found.folder), place)
    return found


def _tell_end(found: Run) -> None:
    record, folder = found.record, str(found.folder)
    for warning in record.warnings:
        tell(Event.WARNING, warning, level=WARNING, run_id=record.run_id)
    body = f"{record.name} finished with exit code {record.exit_code}: {folder}"
    level = LEVELS.get(record.exit_code, INFO)
    tell(
        Event.RUN_FINISHED, body, level=level, exit_code=record.exit_code, name=record.name, run_id=record.run_id, folder=folder,
        made=found.made,
    )  # fmt: skip


def run_loaded(loaded: LoadedConfig, output: str | Path | None = None, *, again: bool = False) -> Run:
    """The same of a config that is already loaded; nobody is notified."""
    if loaded.config.debug.virelay:
        require_h5py(loaded.at("debug", "virelay"))
    check_engine(loaded)
    began, task = datetime.now(UTC), prepare(loaded)
    with workplace(Path(output or loaded.config.output) / loaded.config.name, identity(task)) as place:
        finished = None if again else place.finished()
        if finished is not None:
            place.clear()
            return Run(load_record(finished).located(finished), finished, made=False)
        place.begin()
        protocol = protocol_sha256(loaded.config, declared(task))
        start = Start(began, protocol, protocol_change(task, protocol, place.parent), place.identity)
        with engine(
            load_explainer, loaded, task.explainer, folder=place.parts, identity=identity_of_parts(task)
        ) as workers:
            record = _audited(task, start, workers, place.draft)
        folder = place.publish(start.run_id)
        return Run(record.located(folder), folder)


def _audited(task: Task[Any], start: Start, workers: Kept, folder: Path) -> AuditRecord:
    """Every stage, and all files of the run in `folder`."""
    with _disk(folder):
        announce(task)
    loaded, explained = task.loaded, _explain(task, workers)
    examples = _examples(task, explained.common)
    validity = _validity(task, examples)
    evidence = task.evidence(explained, examples, workers)
    with timed(task.seconds, "statistics"):
        answers = against_baseline(task, evidence, _answers(task, explained.common, evidence, validity))
    wrong = misclassified(examples, task.telling)
    shown = wrong[: loaded.config.report.examples]
    with timed(task.seconds, "debug"):
        found = debugged(evidence, shown, task.represent, _pushes(task, evidence), task.concepts)
    with timed(task.seconds, "exhibits"):
        gallery = task.exhibits(examples_shown(examples, task.model.classes, shown))
        others = others_shown(examples, task.model.classes, found.record, task.explainer.target) if shown else []
        beside = task.exhibits(others, gallery.scale).exhibits
        kept = _kept(task, evidence, answers.findings, gallery, (wrong, [each.row for each in others]))
    record = make_record(
        start, task, explained, evidence, answers, gallery.exhibits, with_exhibits(found.record, beside)
    )
    if loaded.config.debug.virelay and len(found.clustered.rows):
        with _disk(folder), timed(task.seconds, "virelay"):
            portfolio = _portfolio(task, evidence, found)
            write_virelay(folder, record.name, task.model.classes, portfolio, evidence.composites[0])
    _write(folder, record, task, evidence, gallery, found, kept)
    return record


def _kept(
    task: Task[Any], evidence: Evidence, findings: Sequence[Finding], gallery: Gallery, told: tuple[Sequence[int], Sequence[int]]
) -> list[KeptRow]:  # fmt: skip
    """Explanations for whoever explores the run: those of the report, others, and as many of the first of them with something changed.

    `told` are rows of errors, and of what a report shows beside them. None where the config shows no contents.
    """
    examples, most = evidence.examples, task.loaded.config.debug.explained if task.contents else 0
    every = examples_shown(examples, task.model.classes, kept_rows(evidence, findings, *told, most))
    known = {each.id for each in gallery.shown}
    more = [*(each for each in every if each.id not in known), *task.changed(every)[:most]]
    with progress("examples explained", len(more)) as advance:
        others = task.exhibits(more, gallery.scale, advance)
    return [
        (each.id, each.change.name if each.change else UNCHANGED, found)
        for made in (gallery, others)
        for each, found in zip(made.shown, made.explanations, strict=True)
    ]


def _portfolio(task: Task[Any], evidence: Evidence, found: Debugged) -> Portfolio:
    """Of the examples that made the clusters, as many as are asked for, errors first."""
    examples, made = evidence.examples, found.clustered
    wrong = (examples.predicted != examples.label)[made.rows]
    kept = np.sort(np.argsort(~wrong, kind="stable")[: task.loaded.config.debug.virelay])
    rows = made.rows[kept]
    seen, maps = task.maps(rows)
    groups = {name: np.unique(column[rows], return_inverse=True)[1] for name, column in examples.attributes.items()}
    colours = {**groups, "strategy": made.number[rows], "misclassified": wrong[kept].astype(int)}
    side = np.where(examples.margin[rows] < 0, -1.0, 1.0)
    return Portfolio(
        seen,
        side[:, None, None] * maps,
        examples.scores[rows],
        examples.label[rows],
        made.embedding[kept],
        made.eigenvalues,
        colours,
    )


def _pushes(task: Task[Any], evidence: Evidence) -> Pushes:
    """Of two classes the contrast is that of predicted and true class."""
    explainer, found = task.explainer, signals(evidence)
    if explainer.against is not None and len(task.model.classes) == 2 and found is not None:
        return OfContrast(found, declared_signals(evidence), evidence.composites[0], explainer.favour)
    names = frozenset[str]() if found is None else frozenset(np.array(found.names)[~found.allowed].tolist())
    return OfPairs(partial(task.pairs, scale=evidence.scale), names)


def _explain(task: Task[Any], workers: Kept) -> Any:
    with timed(task.seconds, "relevance"), progress("relevance", task.explanations) as advance:
        return task.explain(workers, advance)


def _validity(task: Task[Any], examples: ExampleTable) -> ValidityTable:
    with timed(task.seconds, "validity"), progress("validity", task.flips) as advance:
        return task.validity(examples.scores, advance)


def _examples(task: Task[Any], explained: Explained) -> ExampleTable:
    data, margin = task.data, contrast_logit(task.explainer, explained.scores)
    if len(margin) < 2 or margin.std() == 0:
        raise DataError(
            f"{resolve_data(task.loaded)}: the model gives all {len(margin)} usable {task.noun}s the same contrast logit, so "
            f"there is nothing to compare; give more or more varied {task.noun}s, or check the model"
        )
    return ExampleTable(
        data.id,
        data.label,
        explained.scores.argmax(1),
        margin,
        explained.scores,
        data.cluster,
        data.attributes,
        data.covariates,
    )


def _answers(task: Task[Any], explained: Explained, evidence: Evidence, validity: ValidityTable) -> Answers:
    config, first = task.loaded.config, evidence.composites[0]
    voting = evidence.composites
    checks = validity_checks(validity, evidence.examples.cluster, evidence.scale, voting)
    broken = faults(checks, [each for each in explained.ledger() if each.composite in voting])
    asked = answer(evidence, seconds=task.seconds)
    with timed(task.seconds, "statistics.rules"):
        found = withhold(asked, broken, RELEVANCE_QUESTIONS) if broken else with_rules(asked, evidence)
    findings = tuple(graded(each, config.margins) for each in found)
    with timed(task.seconds, "discovery"):
        discovery = None if broken else discover(evidence)
    with timed(task.seconds, "impact"):
        ratios = impact(evidence)
    return Answers(
        findings=findings,
        gates=tuple(gate_state(question, findings) for question in config.gates),
        distributions=distributions(evidence.groups[first], first, share_means(evidence)),
        validity=checks,
        faults=broken,
        discovery=discovery,
        impact=ratios,
    )


def _write(
    folder: Path, record: AuditRecord, task: Task[Any], evidence: Evidence, gallery: Gallery, debug: Debugged,
    kept: Sequence[KeptRow],
) -> None:  # fmt: skip
    """Everything, the manifest last: a folder without one is incomplete and is refused by its readers."""
    with _disk(folder):
        shown = {**task.contents, **debug.columns}
        example_frame(evidence, shown).to_parquet(folder / TABLE, index=False, row_group_size=ROWS)
        write_worklist(folder, debug.listed(evidence), debug.groups)
        write_checks(folder, record, task.loaded.folder, evidence.examples.id)
        write_quarantine(folder / "quarantine.jsonl", task.data.quarantined)
        write_maps(folder, gallery.maps)
        write_explanations(folder, kept)
        write_record(folder, record)
        write_summary(folder, publication(record).record)
        render(record, folder, ("html", *task.loaded.config.report.formats))
        write_manifest(folder)


@contextmanager
def _disk(folder: Path | str) -> Iterator[None]:
    """Turn a failure to write into its cure."""
    try:
        yield
    except OSError as error:
        raise failure(error)(
            f"{folder}: could not be written ({error.strerror or error}); free some space and run it again: it goes on where it was; "
            "or give another folder with --output (TMPDIR for temporary files), where it starts anew"
        ) from error
