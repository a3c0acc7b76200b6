"""From what the stages made of a prepared audit to its record."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import final

import numpy as np

from audit.preparation import Prepared, count_declared
from audit.provenance import provenance
from audit.records import (
    AuditRecord,
    DataRecord,
    Distribution,
    Exhibit,
    Finding,
    Gate,
    Lexicon,
    ModelRecord,
    TermEffect,
)
from audit.relevance import Explained
from audit.stats.cases import Evidence
from audit.stats.families import below_chance
from audit.stats.intervals import wilson
from audit.stats.verdicts import exit_code

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
class Start:
    """When a run started, and the hash of its protocol."""

    moment: datetime
    protocol: str

    @property
    def run_id(self) -> str:
        """Sortable by time, and telling protocols apart."""
        return f"{self.moment:%Y%m%dT%H%M%SZ}-{self.protocol[:6]}"


@final
@dataclass(frozen=True, slots=True)
class Answers:
    """What the statistics hand on; `faults` says why the explanation is not valid, and is empty where it is."""

    findings: tuple[Finding, ...]
    gates: tuple[Gate, ...]
    effects: tuple[TermEffect, ...]
    distributions: tuple[Distribution, ...]
    faults: tuple[str, ...]


def make_record(
    start: Start,
    prepared: Prepared,
    explained: Explained,
    evidence: Evidence,
    answers: Answers,
    exhibits: tuple[Exhibit, ...],
) -> AuditRecord:
    """Everything that `audit.json` holds."""
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
        used=len(data),
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
        path=prepared.config.model.source,
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
