"""The whole audit, stage by stage, from a config file to a run folder."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import gettempdir
from typing import final

import numpy as np

from audit.aggregation import distributions, example_frame, mentions
from audit.checks.intervention import SwappedText, swap_effects
from audit.checks.validity import faults
from audit.data.terms import swap_terms, words
from audit.data.text import write_quarantine
from audit.errors import DataError, OutputError
from audit.loading import load_config
from audit.preparation import Prepared, count_declared, prepare, protocol_sha256, resolve_data
from audit.progress import progress, timed
from audit.provenance import provenance
from audit.records import (
    AuditRecord,
    DataRecord,
    Distribution,
    ExampleTable,
    Exhibit,
    Finding,
    FloatArray,
    Gate,
    Lexicon,
    ModelRecord,
    SwapTable,
    TermEffect,
)
from audit.relevance import Explained, contrast_logit, explain_texts, explain_tokens, score_texts
from audit.report.render import render
from audit.stats.cases import Evidence
from audit.stats.families import answer, below_chance, share_means, term_effects
from audit.stats.intervals import wilson
from audit.stats.questions import QUESTIONS
from audit.stats.verdicts import exit_code, gate_state, withhold
from audit.store.runs import new_run_folder, write_manifest, write_record

RELEVANCE_QUESTIONS = ("contrast", "reliance", "disparity")  # the others rest on predictions alone
LIMITS = (
    "Relevance is not causation, and a causal effect is not by itself unfair; people decide what a disparity means.",
    "A proxy outside the declared word groups is invisible here, and so is what no word carries.",
    "Little relevance is not evidence of equal treatment; a high p value never says 'unused'.",
    "Groups are read from words in the text or from given columns: they are perceived or mentioned, not self-identified.",
    "The audit is no defence against a model owner who wants to mislead it.",
    "Relevance shares of different models must not be ranked against each other.",
    "An audit supports legal compliance and never establishes it.",
)


@final
@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: its record and its folder."""

    record: AuditRecord
    folder: Path


@final
@dataclass(frozen=True, slots=True)
class _Start:
    """When a run started, and the hash of its protocol."""

    moment: datetime
    protocol: str

    @property
    def run_id(self) -> str:
        """Sortable by time, and telling protocols apart."""
        return f"{self.moment:%Y%m%dT%H%M%SZ}-{self.protocol[:6]}"


@final
@dataclass(frozen=True, slots=True)
class _Answers:
    """What the statistics hand on; `faults` says why the explanation is not valid, and is empty where it is."""

    findings: tuple[Finding, ...]
    gates: tuple[Gate, ...]
    effects: tuple[TermEffect, ...]
    distributions: tuple[Distribution, ...]
    faults: tuple[str, ...]


def run(config: str | Path, overrides: Sequence[str] = (), output: str | Path | None = None) -> Run:
    """Audit what the config file says and write the run folder; raises `AuditError` with the cure for bad input."""
    loaded = load_config(Path(config), overrides)
    start = _Start(datetime.now(UTC), protocol_sha256(loaded.config))
    prepared = prepare(loaded)
    folder = new_run_folder(Path(output or loaded.config.output), loaded.config.name, start.run_id)
    explained = _explain(prepared)
    examples = _examples(prepared, explained)
    with timed(prepared.seconds, "interventions"):
        swaps = _swaps(prepared, explained.scores)
    evidence = _evidence(prepared, explained, examples, swaps)
    with timed(prepared.seconds, "statistics"):
        answers = _answers(prepared, explained, evidence)
    with timed(prepared.seconds, "exhibits"):
        exhibits = _exhibits(prepared, examples)
    record = _record(start, prepared, explained, evidence, answers, exhibits)
    _write(folder, record, prepared, examples, explained)
    return Run(record, folder)


def _explain(prepared: Prepared) -> Explained:
    config, data = prepared.config, prepared.data
    with _disk(gettempdir()), timed(prepared.seconds, "relevance"), progress("relevance", len(data.text)) as advance:
        return explain_texts(
            prepared.explainer,
            data.text,
            prepared.matches,
            prepared.declared,
            words=words,
            batch_tokens=config.model.batch_tokens,
            advance=advance,
        )


def _examples(prepared: Prepared, explained: Explained) -> ExampleTable:
    data = prepared.data
    margin = contrast_logit(prepared.explainer, explained.scores)
    if len(margin) < 2 or margin.std() == 0:
        raise DataError(
            f"{resolve_data(prepared.loaded)}: the model gives all {len(margin)} usable texts the same contrast logit, so there "
            "is nothing to compare; give more or more varied texts, or check the model"
        )
    return ExampleTable(
        data.id, data.label, explained.scores.argmax(1), margin, explained.scores, data.cluster, data.attributes
    )


def _swaps(prepared: Prepared, scores: FloatArray) -> dict[str, SwapTable]:
    found = {attribute: _swapped(prepared, attribute) for attribute in prepared.matcher.data}
    with progress("interventions", sum(map(len, found.values()))) as advance:
        return {
            attribute: swap_effects(
                rows,
                scores,
                score=lambda texts: score_texts(
                    prepared.explainer, texts, batch_tokens=prepared.config.model.batch_tokens, advance=advance
                ),
                contrast=lambda logits: contrast_logit(prepared.explainer, logits),
            )
            for attribute, rows in found.items()
        }


def _swapped(prepared: Prepared, attribute: str) -> list[SwappedText]:
    lexicon = prepared.matcher.data[attribute]
    swapped = [
        (i, swap_terms(text, [m for m in found if m.attribute == attribute], lexicon))
        for i, (text, found) in enumerate(zip(prepared.data.text, prepared.matches, strict=True))
        if any(m.attribute == attribute for m in found)
    ]
    return [SwappedText(i, swap.text, swap.source, swap.target) for i, swap in swapped if swap is not None]


def _evidence(
    prepared: Prepared, explained: Explained, examples: ExampleTable, swaps: Mapping[str, SwapTable]
) -> Evidence:
    attributes = dict.fromkeys(attribute for attribute, _ in prepared.declared)
    return Evidence(
        config=prepared.config,
        examples=examples,
        words=explained.words,
        groups=explained.groups,
        mentions={attribute: mentions(prepared.matches, attribute) for attribute in attributes},
        swaps=swaps,
        composites=prepared.explainer.composites,
        favourable=prepared.explainer.favour,
    )


def _answers(prepared: Prepared, explained: Explained, evidence: Evidence) -> _Answers:
    config = prepared.config
    seeded = {name: _generator(config.seed, name) for name in QUESTIONS}
    broken = faults(explained.ledger, empty_maps=explained.empty_maps, examples=len(evidence.examples.id))
    findings = withhold(answer(evidence, seeded), broken, RELEVANCE_QUESTIONS)
    return _Answers(
        findings=findings,
        gates=tuple(gate_state(question, findings) for question in config.gates),
        effects=term_effects(evidence, prepared.model.classes),
        distributions=distributions(explained.groups, evidence.composites[0], share_means(evidence)),
        faults=broken,
    )


def _generator(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _exhibits(prepared: Prepared, examples: ExampleTable) -> tuple[Exhibit, ...]:
    """Misclassified examples, those that mention a declared term first, then the most confident: predicted minus true class."""
    config, classes = prepared.config, prepared.model.classes
    if not config.report.show_text:
        return ()
    wrong = np.flatnonzero(examples.label != examples.predicted)
    lead = examples.scores.max(axis=1) - examples.scores[np.arange(len(examples.label)), examples.label]
    order = sorted(wrong.tolist(), key=lambda i: (not prepared.matches[i], -lead[i], i))
    exhibits = []
    for i in order[: config.report.examples]:
        target = (int(examples.predicted[i]), int(examples.label[i]))
        tokens, result = explain_tokens(
            prepared.explainer,
            prepared.data.text[i],
            prepared.matches[i],
            target=target,
            composite=prepared.explainer.composites[0],
        )
        exhibits.append(
            Exhibit(
                id=str(examples.id[i]),
                label=classes[target[1]],
                predicted=classes[target[0]],
                margin=float(result.ledger.output[0]),
                tokens=tokens,
            )
        )
    return tuple(exhibits)


def _record(
    start: _Start,
    prepared: Prepared,
    explained: Explained,
    evidence: Evidence,
    answers: _Answers,
    exhibits: tuple[Exhibit, ...],
) -> AuditRecord:
    config, model, terms = prepared.config, _model_record(prepared, evidence), count_declared(prepared)
    return AuditRecord(
        name=config.name,
        run_id=start.run_id,
        started=start.moment.isoformat(timespec="seconds"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds={name: round(value, 2) for name, value in prepared.seconds.items()},
        protocol_sha256=start.protocol,
        config=config.model_dump(mode="json"),
        provenance=provenance(prepared.loaded.folder, device=config.model.device, seed=config.seed),
        data=_data_record(prepared, explained),
        model=model,
        lexicons=_lexicons(prepared, {(t.attribute, t.group, t.term) for t in terms}),
        terms=terms,
        ledger=explained.ledger,
        findings=answers.findings,
        effects=answers.effects,
        distributions=answers.distributions,
        exhibits=exhibits,
        gates=answers.gates,
        exit_code=exit_code(answers.gates, valid=not answers.faults),
        limits=(*LIMITS, *prepared.model.notes),
        warnings=(
            *(f"the explanation is not valid: {fault}" for fault in answers.faults),
            *below_chance(model.accuracy, model.classes),
        ),
    )


def _data_record(prepared: Prepared, explained: Explained) -> DataRecord:
    data, classes = prepared.data, prepared.model.classes
    return DataRecord(
        path=prepared.config.data.path,
        sha256=data.sha256,
        rows=data.rows,
        used=len(data.text),
        excluded=dict(data.excluded),
        not_sampled=data.not_sampled,
        unknown=dict(data.unknown),
        truncated=int(explained.truncated.sum()),
        labels={name: int((data.label == i).sum()) for i, name in enumerate(classes)},
        clusters=data.clusters,
        attributes={
            name: {value: int(n) for value, n in zip(*np.unique(column, return_counts=True), strict=True)}
            for name, column in data.attributes.items()
        },
    )


def _model_record(prepared: Prepared, evidence: Evidence) -> ModelRecord:
    model, explainer, examples = prepared.model, prepared.explainer, evidence.examples
    favour = model.classes[explainer.favour]
    return ModelRecord(
        path=prepared.config.model.path,
        sha256=model.sha256,
        architecture=model.architecture,
        parameters=model.parameters,
        classes=model.classes,
        contrast=favour if explainer.against is None else f"{favour} - {model.classes[explainer.against]}",
        logit_sd=evidence.scale,
        accuracy=wilson(examples.label == examples.predicted, cluster=examples.cluster, unit="accuracy"),
    )


def _lexicons(prepared: Prepared, seen: set[tuple[str, str, str]]) -> tuple[Lexicon, ...]:
    return tuple(
        lexicon.model_copy(
            update={
                "never_seen": {
                    group: tuple(t for t in terms if (attribute, group, t) not in seen)
                    for (attribute, group), terms in prepared.declared.items()
                    if attribute == lexicon.attribute
                }
            }
        )
        for lexicon in prepared.matcher.lexicons
    )


def _write(folder: Path, record: AuditRecord, prepared: Prepared, examples: ExampleTable, explained: Explained) -> None:
    """Everything, the manifest last: a folder without one is incomplete and is refused by its readers."""
    with _disk(folder):
        frame = example_frame(examples, explained.groups, prepared.model.classes)
        frame.to_parquet(folder / "examples.parquet", index=False)
        write_quarantine(folder / "quarantine.jsonl", prepared.data.quarantined)
        write_record(folder, record)
        render(record, folder)
        write_manifest(folder)


@contextmanager
def _disk(folder: Path | str) -> Iterator[None]:
    """Turn a failure to write into its cure."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{folder}: could not be written ({error.strerror or error}), so the run is incomplete and will not be read; "
            "free some space, or give another folder with --output (TMPDIR for temporary files)"
        ) from error
