"""The whole audit, stage by stage: the only module that knows several stages."""

import hashlib
import json
import platform
import subprocess
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from tempfile import gettempdir
from typing import final

import numpy as np

from audit.aggregation import count_terms, distributions, example_frame, mentions
from audit.checks.intervention import SwappedText, swap_effects
from audit.checks.validity import faults
from audit.config import Config
from audit.data.terms import Matcher, build_matcher, swap_terms, words
from audit.data.text import TextData, load_texts, write_quarantine
from audit.errors import ConfigError, DataError, OutputError
from audit.loading import LoadedConfig, load_config
from audit.models.builtin import PREFIX, builtin_data, builtin_model
from audit.models.huggingface import TextModel, load_text_model
from audit.progress import progress
from audit.records import (
    AuditRecord,
    DataRecord,
    ExampleTable,
    Exhibit,
    FloatArray,
    Lexicon,
    Match,
    ModelRecord,
    Provenance,
    SwapTable,
)
from audit.relevance import (
    Explained,
    Explainer,
    contrast_logit,
    explain_texts,
    explain_tokens,
    score_texts,
    visible_ends,
)
from audit.report.render import render
from audit.stats.cases import Evidence
from audit.stats.families import answer, below_chance, share_means, term_effects
from audit.stats.intervals import wilson
from audit.stats.questions import QUESTIONS
from audit.stats.verdicts import exit_code, gate_state, withhold
from audit.store.runs import new_run_folder, write_manifest, write_record

PACKAGES = (
    "lrp-audit",
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "scipy",
    "pandas",
    "statsmodels",
    "fairlearn",
    "safetensors",
)
RELEVANCE_QUESTIONS = ("contrast", "reliance", "disparity")  # the others rest on predictions alone
UNHASHED = {"output", "report"}
LIMITS = (
    "Relevance is not causation, and a causal effect is not by itself unfair; people decide what a disparity means.",
    "A proxy outside the declared word groups is invisible here, and so is what no word carries.",
    "Little relevance is not evidence of equal treatment; a high p value never says 'unused'.",
    "Groups are read from words in the text or from given columns: they are perceived or mentioned, not self-identified.",
    "The audit is no defence against a model owner who wants to mislead it.",
    "Relevance shares of different models must not be ranked against each other.",
    "An audit supports legal compliance and never establishes it.",
)

Declared = dict[tuple[str, str], tuple[str, ...]]


@final
@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that is known before the first example is explained."""

    loaded: LoadedConfig
    model: TextModel
    data: TextData
    matcher: Matcher
    matches: tuple[tuple[Match, ...], ...]
    declared: Declared
    explainer: Explainer
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def config(self) -> Config:
        """The resolved config."""
        return self.loaded.config


@final
@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: its record and its folder."""

    record: AuditRecord
    folder: Path


def run(config: str | Path, overrides: Sequence[str] = (), output: str | Path | None = None) -> Run:
    """Audit what the config file says and write the run folder; raises `AuditError` with the cure for bad input."""
    loaded = load_config(Path(config), overrides)
    started = datetime.now(UTC)
    protocol = protocol_sha256(loaded.config)
    run_id = f"{started:%Y%m%dT%H%M%SZ}-{protocol[:6]}"
    prepared = prepare(loaded)
    folder = new_run_folder(Path(output or loaded.config.output), loaded.config.name, run_id)
    explained = _explain(prepared)
    examples = _examples(prepared, explained)
    with _timed(prepared, "interventions"):
        swaps = _swaps(prepared, explained.scores)
    with _timed(prepared, "statistics"):
        evidence = _evidence(prepared, explained, examples, swaps)
        seeded = {name: _generator(loaded.config.seed, name) for name in QUESTIONS}
        broken = faults(explained.ledger, empty_maps=explained.empty_maps, examples=len(examples.id))
        findings = withhold(answer(evidence, seeded), broken, RELEVANCE_QUESTIONS)
        gates = tuple(gate_state(question, findings) for question in loaded.config.gates)
        shown = distributions(explained.groups, evidence.composites[0], share_means(evidence))
        effects = term_effects(evidence, prepared.model.classes)
    with _timed(prepared, "exhibits"):
        exhibits = _exhibits(prepared, examples)
    terms = count_terms(
        prepared.declared,
        prepared.data.text,
        prepared.matches,
        min_examples=loaded.config.statistics.min_examples_per_term,
    )
    model = _model_record(prepared, evidence)
    record = AuditRecord(
        name=loaded.config.name,
        run_id=run_id,
        started=started.isoformat(timespec="seconds"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds={name: round(value, 2) for name, value in prepared.seconds.items()},
        protocol_sha256=protocol,
        config=loaded.config.model_dump(mode="json"),
        provenance=_provenance(prepared),
        data=_data_record(prepared, explained),
        model=model,
        lexicons=_lexicons(prepared, {(t.attribute, t.group, t.term) for t in terms}),
        terms=terms,
        ledger=explained.ledger,
        findings=findings,
        effects=effects,
        distributions=shown,
        exhibits=exhibits,
        gates=gates,
        exit_code=exit_code(gates, valid=not broken),
        limits=(*LIMITS, *prepared.model.notes),
        warnings=(
            *(f"the explanation is not valid: {fault}" for fault in broken),
            *below_chance(model.accuracy, model.classes),
        ),
    )
    _write(folder, record, prepared, examples, explained)
    return Run(record, folder)


def prepare(loaded: LoadedConfig) -> Prepared:
    """Load model, data and lexicons and find every declared term; nothing is explained yet."""
    config, seconds = loaded.config, dict[str, float]()
    start = time.perf_counter()
    model, explainer, matcher = prepare_model(loaded)
    seconds["model"] = time.perf_counter() - start
    start = time.perf_counter()
    data = load_texts(
        config.data, resolve_data(loaded), classes=model.classes, labels=config.model.labels, seed=config.seed
    )
    matches = _matches(config, matcher, data, explainer)
    seconds["data"] = time.perf_counter() - start
    return Prepared(loaded, model, data, matcher, matches, _declared(matcher, matches), explainer, seconds)


def prepare_model(loaded: LoadedConfig) -> tuple[TextModel, Explainer, Matcher]:
    """The part of `prepare` that needs no data."""
    matcher = build_matcher(loaded.config.groups, loaded.folder)
    model = load_text_model(loaded.config.model, resolve_model(loaded))
    return model, _explainer(loaded.config, model), matcher


def resolve_model(loaded: LoadedConfig) -> str:
    """Folder of the model, relative to the config; a built-in model; else the name is left for the hub."""
    path = loaded.config.model.path
    if path.startswith(PREFIX):
        return str(builtin_model(path.removeprefix(PREFIX)))
    local = (loaded.folder / path).absolute()
    return str(local) if local.exists() or path.startswith((".", "/", "~")) else path


def resolve_data(loaded: LoadedConfig) -> Path:
    """File of the data, relative to the config, or a built-in dataset."""
    path = loaded.config.data.path
    return builtin_data(path.removeprefix(PREFIX)) if path.startswith(PREFIX) else (loaded.folder / path).absolute()


def protocol_sha256(config: Config) -> str:
    """Hash of everything in the config that decides the result, taken before the first example is explained."""
    document = config.model_dump(mode="json", exclude=UNHASHED)
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _generator(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _matches(config: Config, matcher: Matcher, data: TextData, explainer: Explainer) -> tuple[tuple[Match, ...], ...]:
    """Declared terms of each text, as far as the model reads it: what truncation cuts off can have no effect."""
    ends = visible_ends(explainer, data.text)
    allowed = {block.attribute: block.only for block in config.groups if block.spans}
    return tuple(
        tuple(
            match
            for match in (*matcher.find(text), *(s for s in spans if s.attribute in allowed))
            if match.end <= end and match.group in (allowed.get(match.attribute) or (match.group,))
        )
        for text, spans, end in zip(data.text, data.spans, ends, strict=True)
    )


def _declared(matcher: Matcher, matches: Sequence[Sequence[Match]]) -> Declared:
    """Terms of each group: those of the lexicon, then what patterns and spans found."""
    declared = {key: dict.fromkeys(terms) for key, terms in matcher.terms.items()}
    for row in matches:
        for m in row:
            declared.setdefault((m.attribute, m.group), {})[m.term] = None
    return {key: tuple(terms) for key, terms in declared.items()}


def _explainer(config: Config, model: TextModel) -> Explainer:
    favour = _class_index(model, "target.favour", config.target.favour)
    against = None if config.target.against is None else _class_index(model, "target.against", config.target.against)
    if against is None and len(model.classes) == 2:
        against = 1 - favour
    if against == favour:
        raise ConfigError(f"target: favour and against are both {config.target.favour!r}; name two different classes")
    return Explainer(model.model, model.tokenizer, model.max_length, favour, against, config.relevance.composites)


def _class_index(model: TextModel, path: str, name: str) -> int:
    if name not in model.classes:
        raise ConfigError(f"{path}: the model has no class {name!r}; it has {', '.join(model.classes)}")
    return model.classes.index(name)


def _explain(prepared: Prepared) -> Explained:
    config, data = prepared.config, prepared.data
    with _disk(gettempdir()), _timed(prepared, "relevance"), progress("relevance", len(data.text)) as advance:
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


def _provenance(prepared: Prepared) -> Provenance:
    revision, dirty = _git(prepared.loaded.folder)
    return Provenance(
        git_revision=revision,
        git_dirty=dirty,
        python=platform.python_version(),
        platform=platform.platform(),
        packages={name: metadata.version(name) for name in PACKAGES},
        device=prepared.config.model.device,
        seed=prepared.config.seed,
    )


def _git(folder: Path) -> tuple[str | None, bool | None]:
    """Revision and dirty flag of the checkout that holds the config, if there is one."""

    def ask(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    revision = ask("rev-parse", "HEAD")
    return revision, None if revision is None else bool(ask("status", "--porcelain"))


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


@contextmanager
def _timed(prepared: Prepared, stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    prepared.seconds[stage] = time.perf_counter() - start
