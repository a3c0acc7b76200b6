"""What a run, a check and an explanation share: model, data and lexicons loaded, every declared term found."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from audit.aggregation import count_terms
from audit.config import Config
from audit.data.examples import Examples
from audit.data.terms import Matcher, build_matcher
from audit.data.text import TextRow, load_texts
from audit.errors import ConfigError, did_you_mean
from audit.loading import LoadedConfig
from audit.models.builtin import PREFIX, builtin_data, builtin_model
from audit.models.huggingface import TextModel, load_text_model
from audit.progress import timed
from audit.records import Match, TermCount
from audit.relevance import Explainer, composite_name, make_composite, visible_ends

UNHASHED = {"output", "report"}

Declared = dict[tuple[str, str], tuple[str, ...]]


@final
@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that is known before the first example is explained."""

    loaded: LoadedConfig
    model: TextModel
    data: Examples[TextRow]
    matcher: Matcher
    matches: tuple[tuple[Match, ...], ...]
    declared: Declared
    explainer: Explainer
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def config(self) -> Config:
        """The resolved config."""
        return self.loaded.config

    @property
    def texts(self) -> tuple[str, ...]:
        """Of the usable rows."""
        return tuple(row.text for row in self.data.payload)


def prepare(loaded: LoadedConfig) -> Prepared:
    """Load model, data and lexicons and find every declared term; nothing is explained yet."""
    config, seconds = loaded.config, dict[str, float]()
    with timed(seconds, "model"):
        model, explainer, matcher = prepare_model(loaded)
    with timed(seconds, "data"):
        data = load_texts(
            config.data, resolve_data(loaded), classes=model.classes, labels=config.model.labels, seed=config.seed
        )
        matches = _matches(config, matcher, data, explainer)
    return Prepared(loaded, model, data, matcher, matches, _declared(matcher, matches), explainer, seconds)


def prepare_model(loaded: LoadedConfig) -> tuple[TextModel, Explainer, Matcher]:
    """The part of `prepare` that needs no data."""
    composites = _composites(loaded)
    matcher = build_matcher(loaded.config.groups, loaded.folder)
    model = load_text_model(loaded.config.model, resolve_model(loaded))
    favour, against = _contrast(loaded, model)
    return model, Explainer(model.model, model.tokenizer, model.max_length, favour, against, composites), matcher


def resolve_model(loaded: LoadedConfig) -> str:
    """Folder of the model, relative to the config; a built-in model; else the name is left for the hub."""
    path = loaded.config.model.source
    if path.startswith(PREFIX):
        return str(builtin_model(path.removeprefix(PREFIX)))
    local = (loaded.folder / path).absolute()
    return str(local) if local.exists() or path.startswith((".", "/", "~")) else path


def resolve_data(loaded: LoadedConfig) -> Path:
    """File of the data, relative to the config, or a built-in dataset."""
    path = loaded.config.data.path
    return builtin_data(path.removeprefix(PREFIX)) if path.startswith(PREFIX) else (loaded.folder / path).absolute()


def count_declared(prepared: Prepared) -> tuple[TermCount, ...]:
    """How often each declared term was found in the data."""
    fewest = prepared.config.statistics.min_examples_per_term
    return count_terms(prepared.declared, prepared.texts, prepared.matches, min_examples=fewest)


def protocol_sha256(config: Config) -> str:
    """Hash of everything in the config that decides the result, taken before the first example is explained."""
    document = config.model_dump(mode="json", exclude=UNHASHED)
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _matches(
    config: Config, matcher: Matcher, data: Examples[TextRow], explainer: Explainer
) -> tuple[tuple[Match, ...], ...]:
    """Declared terms of each text, as far as the model reads it: what truncation cuts off can have no effect."""
    ends = visible_ends(explainer, [row.text for row in data.payload])
    allowed = {block.attribute: block.only for block in config.groups if block.spans}
    return tuple(
        tuple(
            match
            for match in (*matcher.find(row.text), *(s for s in row.spans if s.attribute in allowed))
            if match.end <= end and match.group in (allowed.get(match.attribute) or (match.group,))
        )
        for row, end in zip(data.payload, ends, strict=True)
    )


def _declared(matcher: Matcher, matches: Sequence[Sequence[Match]]) -> Declared:
    """Terms of each group: those of the lexicon, then what patterns and spans found."""
    declared = {key: dict.fromkeys(terms) for key, terms in matcher.terms.items()}
    for row in matches:
        for m in row:
            declared.setdefault((m.attribute, m.group), {})[m.term] = None
    return {key: tuple(terms) for key, terms in declared.items()}


def _composites(loaded: LoadedConfig) -> dict[str, Any]:
    """What is explained under, by the name that a report shows."""
    named: dict[str, Any] = {}
    for i, given in enumerate(loaded.config.relevance.composites):
        where, name = loaded.at("relevance", "composites", i), composite_name(given)
        if name in named:
            raise ConfigError(f"{where}: {name} stands twice; keep one, or give it a name of its own")
        named[name] = make_composite(given, where)
    return named


def _contrast(loaded: LoadedConfig, model: TextModel) -> tuple[int, int | None]:
    """Indices of the classes `favour` and `against` (None: the logit of `favour` alone is explained)."""
    target = loaded.config.target
    favour = class_index(model, loaded.at("target", "favour"), target.favour)
    against = None if target.against is None else class_index(model, loaded.at("target", "against"), target.against)
    if against is None and len(model.classes) == 2:
        against = 1 - favour
    if against == favour:
        raise ConfigError(
            f"{loaded.at('target')}: favour and against are both {target.favour!r}; name two different classes"
        )
    return favour, against


def class_index(model: TextModel, where: str, name: str) -> int:
    """Which logit the class is; raises `ConfigError` that starts with `where`, the place where the name was given."""
    if name not in model.classes:
        allowed = f"it has {', '.join(model.classes)}{did_you_mean(name, model.classes)}"
        raise ConfigError(f"{where}: the model has no class {name!r}; {allowed}")
    return model.classes.index(name)
