"""From what the stages made of a prepared audit to its record, and to the table of its examples."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from audit.config import DELIVERY
from audit.provenance import provenance
from audit.records import (
    AuditRecord,
    Baseline,
    DataRecord,
    Discovery,
    Distribution,
    Exhibit,
    Finding,
    Gate,
    ImpactTable,
    ModelRecord,
    ProtocolChange,
    ValidityCheck,
)
from audit.records.debugging import Debugging
from audit.stats.cases import Evidence
from audit.stats.effects import agreements
from audit.stats.families import below_chance
from audit.stats.rates import wilson
from audit.stats.validity import cures, untested
from audit.stats.verdicts import exit_code
from audit.tables import GroupTable
from audit.tasks.task import Task, contrast_name

if TYPE_CHECKING:
    import pandas as pd

LIMITS = (
    "Relevance is not causation, and a causal effect is not by itself unfair; people decide what a disparity means.",
    "A proxy outside the declared word groups or regions has no verdict here; what no word or pixel carries is invisible.",
    "Little relevance is not evidence of equal treatment; a high p value never says 'unused'.",
    "Groups are read from words in the text or from given columns: they are perceived or mentioned, not self-identified.",
    "The audit is no defence against a model owner who wants to mislead it.",
    "Relevance shares of different models must not be ranked against each other.",
    "An audit supports legal compliance and never establishes it.",
)


@final
@dataclass(frozen=True, slots=True)
class Start:
    """When a run started, the hash of its protocol, how that differs from the last other one, and the hash of all that goes in."""

    moment: datetime
    protocol: str
    changed: ProtocolChange | None = None
    identity: str = ""

    @property
    def run_id(self) -> str:
        """Sortable by time, and telling protocols apart."""
        return f"{self.moment:%Y%m%dT%H%M%SZ}-{self.protocol[:6]}"


@final
@dataclass(frozen=True, slots=True)
class Answers:
    """What the statistics hand on; `faults` says why the explanation is not valid, and is empty where it is.

    `impact` are ratios of selection; `discovery` is None where no candidates were looked for, `baseline` where none is declared.
    """

    findings: tuple[Finding, ...]
    gates: tuple[Gate, ...]
    distributions: tuple[Distribution, ...]
    validity: tuple[ValidityCheck, ...]
    faults: tuple[str, ...]
    discovery: Discovery | None = None
    impact: tuple[ImpactTable, ...] = ()
    baseline: Baseline | None = None


def make_record(
    start: Start, task: Task[Any], explained: Any, evidence: Evidence, answers: Answers, exhibits: tuple[Exhibit, ...],
    debug: Debugging,
) -> AuditRecord:  # fmt: skip
    """Everything that `audit.json` holds."""
    config, model, parts = task.loaded.config, _model_record(task, evidence), task.parts(explained, evidence)
    truncated = parts.pop("truncated", 0)
    return AuditRecord(
        name=config.name,
        run_id=start.run_id,
        started=start.moment.isoformat(timespec="seconds"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds={name: round(value, 2) for name, value in task.seconds.items()},
        protocol_sha256=start.protocol,
        protocol_changed=start.changed,
        identity=start.identity,
        config=config.model_dump(mode="json", exclude=set(DELIVERY)),
        provenance=provenance(
            task.loaded.path,
            device=task.explainer.device,
            seed=config.seed,
            written=task.loaded.written,
            overrides=task.loaded.overrides,
            command=task.loaded.command,
        ),
        data=_data_record(task, truncated),
        model=model,
        ledger=explained.common.ledger(task.data.attributes, ids=task.data.id),
        findings=answers.findings,
        distributions=answers.distributions,
        exhibits=exhibits,
        **parts,
        agreement=agreements(evidence),
        validity=answers.validity,
        discovery=answers.discovery,
        impact=answers.impact,
        debug=debug,
        baseline=answers.baseline,
        gates=answers.gates,
        exit_code=exit_code(answers.gates, valid=not answers.faults),
        limits=LIMITS,
        warnings=(
            *(f"the explanation is not valid: {fault}" for fault in answers.faults),
            *cures(answers.validity, config.relevance.method),
            *untested(answers.validity),
            *below_chance(model.accuracy, model.classes),
        ),
    )


def _data_record(task: Task[Any], truncated: int) -> DataRecord:
    data, classes = task.data, task.model.classes
    return DataRecord(
        path=task.loaded.config.data.path,
        sha256=data.sha256,
        rows=data.rows,
        used=len(data),
        excluded=dict(data.excluded),
        not_sampled=data.not_sampled,
        unknown=dict(data.unknown),
        truncated=truncated,
        labels={name: int((data.label == i).sum()) for i, name in enumerate(classes)},
        clusters=data.clusters,
        attributes={
            name: {value: int(n) for value, n in zip(*np.unique(column, return_counts=True), strict=True)}
            for name, column in data.attributes.items()
        },
    )


def _model_record(task: Task[Any], evidence: Evidence) -> ModelRecord:
    model, explainer, examples = task.model, task.explainer, evidence.examples
    return ModelRecord(
        path=task.loaded.config.model.source,
        sha256=model.sha256,
        architecture=model.architecture,
        parameters=model.parameters,
        classes=model.classes,
        contrast=contrast_name(explainer, model.classes),
        logit_sd=evidence.scale,
        accuracy=wilson(examples.label == examples.predicted, cluster=examples.cluster, unit="accuracy"),
        notes=model.notes,
    )


def example_frame(evidence: Evidence, others: Mapping[str, Any]) -> "pd.DataFrame":
    """A row per example in the columns of the contract, and whatever else a finding on it can be recomputed from.

    That is: cluster, confidence and covariates, shares and net relevance under every other composite (`share.NAME@COMPOSITE`), the
    group that a text mentions, what a swap to a group's words does to the contrast logit and the prediction, and what hiding does:
    `hidden.NAME@FILL` and its control on the contrast logit, and the class predicted with everything declared hidden. `others` come last.
    """
    import pandas as pd

    examples, (first, *composites) = evidence.examples, (*evidence.composites, *evidence.witnesses)
    names = np.array(evidence.classes)
    columns: dict[str, object] = {
        "id": examples.id,
        "label": names[examples.label],
        "predicted": names[examples.predicted],
        "correct": examples.label == examples.predicted,
        "contrast": examples.margin,
        "confidence": examples.confidence,
        "cluster": examples.cluster,
        **{f"score.{name}": examples.scores[:, i] for i, name in enumerate(evidence.classes)},
        **examples.attributes,
        **{f"covariate.{name}": values for name, values in examples.covariates.items()},
        **{f"mentions.{name}": values for name, values in evidence.mentions.items()},
    }
    for measure in ("share", "net", "size", "present"):
        columns |= _by_group(evidence.groups[first], measure, "")
    for composite in composites:
        columns |= _by_group(evidence.groups[composite], "share", f"@{composite}")
        columns |= _by_group(evidence.groups[composite], "net", f"@{composite}")
    for attribute, swaps in evidence.swaps.items():
        for target in dict.fromkeys(swaps.target.tolist()):
            rows, effect = swaps.target == target, np.full(len(examples.label), np.nan)
            effect[swaps.example[rows]] = swaps.delta[rows]
            after = np.full(len(effect), None, dtype=object)
            after[swaps.example[rows]] = names[swaps.predicted[rows]]
            columns |= {f"swap.{attribute}.{target}": effect, f"swap_predicted.{attribute}.{target}": after}
    return pd.DataFrame(columns | _hidden(evidence, names) | dict(others))


def _hidden(evidence: Evidence, classes: NDArray[np.str_]) -> dict[str, object]:
    table, columns = evidence.effects, dict[str, object]()
    if table is None:
        return columns
    groups = [(k, name) for k, name in enumerate(table.names) if len(name) < 3]  # terms would be hundreds of columns
    for fill, predicted in table.predicted.items():
        columns[f"hidden_predicted@{fill}"] = classes[predicted]
        for k, name in groups:
            for measure, values in (("hidden", table.delta[fill]), ("hidden_control", table.control[fill])):
                columns[f"{measure}.{'.'.join(name)}@{fill}"] = table.whole(values[:, k], len(predicted))
    return columns


def _by_group(groups: GroupTable, measure: str, under: str) -> dict[str, object]:
    values = getattr(groups, measure)
    return {f"{measure}.{name}{under}": values[:, i] for i, name in enumerate(groups.names)}
