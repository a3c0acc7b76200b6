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
from audit.data.examples import write_quarantine
from audit.data.terms import swap_terms, words
from audit.errors import DataError, OutputError
from audit.loading import load_config
from audit.preparation import Prepared, prepare, protocol_sha256, resolve_data
from audit.progress import progress, timed
from audit.recording import Answers, Start, make_record
from audit.records import AuditRecord, ExampleTable, Exhibit, FloatArray, SwapTable
from audit.relevance import Explained, contrast_logit, explain_texts, explain_tokens, score_texts
from audit.report.render import render
from audit.stats.cases import Evidence
from audit.stats.families import answer, share_means, term_effects
from audit.stats.questions import QUESTIONS
from audit.stats.verdicts import gate_state, withhold
from audit.store.runs import new_run_folder, write_manifest, write_record

RELEVANCE_QUESTIONS = ("contrast", "reliance", "disparity", "errors")  # the others rest on predictions alone


@final
@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: its record and its folder."""

    record: AuditRecord
    folder: Path


def run(config: str | Path, overrides: Sequence[str] = (), output: str | Path | None = None) -> Run:
    """Audit what the config file says and write the run folder; raises `AuditError` with the cure for bad input."""
    loaded = load_config(Path(config), overrides)
    start = Start(datetime.now(UTC), protocol_sha256(loaded.config))
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
    record = make_record(start, prepared, explained, evidence, answers, exhibits)
    _write(folder, record, prepared, examples, explained)
    return Run(record, folder)


def _explain(prepared: Prepared) -> Explained:
    config, data = prepared.config, prepared.data
    with _disk(gettempdir()), timed(prepared.seconds, "relevance"), progress("relevance", len(data)) as advance:
        return explain_texts(
            prepared.explainer,
            prepared.texts,
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
        for i, (text, found) in enumerate(zip(prepared.texts, prepared.matches, strict=True))
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
        composites=prepared.explainer.names,
        favourable=prepared.explainer.favour,
    )


def _answers(prepared: Prepared, explained: Explained, evidence: Evidence) -> Answers:
    config = prepared.config
    seeded = {name: _generator(config.seed, name) for name in QUESTIONS}
    broken = faults(explained.ledger, empty_maps=explained.empty_maps, examples=len(evidence.examples.id))
    findings = withhold(answer(evidence, seeded), broken, RELEVANCE_QUESTIONS)
    return Answers(
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
            prepared.data.payload[i].text,
            prepared.matches[i],
            target=target,
            composite=prepared.explainer.first,
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
