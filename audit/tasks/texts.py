"""Audits of texts: declared terms, word groups, swaps of terms, tokens of misclassified texts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from audit.aggregation import count_terms, mentions
from audit.checks.hiding import generators
from audit.checks.intervention import SwappedTexts
from audit.checks.validity import forward_passes, measure, sampled
from audit.config import Config
from audit.data.examples import Examples
from audit.data.terms import Matcher, build_matcher, words
from audit.data.text import TextRow, load_texts
from audit.errors import ConfigError
from audit.loading import LoadedConfig
from audit.match_table import MatchTable
from audit.models.huggingface import TextModel, load_text_model
from audit.parts import Advance, Engine, Here
from audit.progress import timed
from audit.records import Explanation, Lexicon, TermCount
from audit.relevance.explainer import Explainer, contrast_logit
from audit.relevance.sums import Explained
from audit.relevance.texts import (
    PUNCTUATION,
    SPECIAL,
    ExplainedTexts,
    TextExplainer,
    TextReader,
    batch_tokens,
    explain_texts,
    explain_tokens,
    visible_ends,
)
from audit.sequences import Made
from audit.stats.cases import Evidence
from audit.stats.families import term_effects
from audit.stats.groupings import joined_columns
from audit.stats.signals import Signals
from audit.tables import ExampleTable, FeatureName, FloatArray, IntArray, Match, ValidityTable
from audit.tasks.resolving import composites, contrast, data_block, resolve_data, resolve_model, witnesses
from audit.tasks.task import Gallery, Shown, explanation, named
from audit.tasks.text_effects import HiddenTexts, Scorer, hidden_texts, swapped_texts, swaps, text_fills
from audit.tasks.text_exhibits import column, concepts, exhibits, pairs, represent, swapped
from audit.tasks.text_specimens import TextSpecimens

CONCEPT_BATCH: Final = 16
LETTERS: Final = 4  # of a token, about
Declared = dict[tuple[str, str], tuple[str, ...]]


@final
@dataclass(frozen=True, slots=True)
class TextTask:
    """Model, data and lexicons are loaded, and every declared term is found; of each text the model reads what is before its end."""

    noun: ClassVar[str] = "text"
    loaded: LoadedConfig
    model: TextModel
    data: Examples[TextRow]
    matcher: Matcher
    ends: IntArray
    matches: MatchTable
    declared: Declared
    explainer: TextExplainer
    batch_tokens: int
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def config(self) -> Config:
        """The resolved config."""
        return self.loaded.config

    @property
    def texts(self) -> Sequence[str]:
        """Of the usable rows, each read when it is asked for."""
        payload = self.data.payload
        return Made(len(payload), lambda i: payload[i].text)

    @property
    def explanations(self) -> int:
        """One a text and composite."""
        return len(self.data) * len(self.explainer.names)

    @property
    def readings(self) -> int:
        """One a text."""
        return len(self.data)

    @property
    def sizes(self) -> IntArray:
        """Characters that the model reads."""
        return np.array(self.ends, dtype=np.int64)

    @property
    def interventions(self) -> int:
        """Forward passes with words swapped or hidden."""
        return sum(map(len, self._swapped.values())) + len(self.hidden()[1].distinct()[0])

    @property
    def _swapped(self) -> dict[str, SwappedTexts]:
        return {name: swapped_texts(self.texts, self.matches, lexicon) for name, lexicon in self.matcher.data.items()}

    def hidden(self) -> tuple[list[FeatureName], HiddenTexts]:
        """What is hidden in which text, and the text then; nothing where `checks.examples` is 0."""
        fills, most = text_fills(self.explainer.reader.tokenizer.mask_token), self.config.checks.examples
        texts, matches = (self.texts, self.matches) if most else ((), ())
        seen = Made(len(texts), lambda i: texts[i][: self.ends[i]])
        return hidden_texts(seen, matches, fills, most=most, draws=generators(self.config.seed))

    @property
    def _mentions(self) -> dict[str, NDArray[np.str_]]:
        return {name: mentions(self.matches, name) for name in dict.fromkeys(name for name, _ in self.declared)}

    @property
    def flips(self) -> int:
        """Forward passes that the validity of the explanation takes."""
        return forward_passes(
            len(sampled(len(self.data), self.config)), len(text_fills(self.explainer.reader.tokenizer.mask_token))
        )

    @property
    def columns(self) -> dict[str, NDArray[np.str_]]:
        """What texts mention, and the data's own columns."""
        return joined_columns(self._mentions, self.data.attributes)

    @property
    def features(self) -> dict[str, tuple[str, NDArray[np.bool_]]]:
        """The words of each attribute."""
        return {name: (name, column != "(none)") for name, column in self._mentions.items()}

    @property
    def tests(self) -> dict[str, int]:
        """Groups, pairs of groups, and terms of a class, of which enough texts hold enough terms."""
        statistics, (text, key) = self.config.statistics, self.matches.pairs
        held = np.unique(key * len(self.model.classes) + self.data.label[text], return_counts=True)[1]
        tested = Counter((term.attribute, term.group) for term in self.terms() if term.tested)
        groups = Counter(attribute for (attribute, _), n in tested.items() if n >= statistics.min_terms)
        return {
            "reliance": sum(groups.values()),
            "contrast": sum(n if n > 2 else n // 2 for n in groups.values()),
            "direction": int((held >= statistics.min_examples_per_term).sum()),
        }

    @property
    def lexicons(self) -> dict[str, str]:
        """Hash of the file that declares the terms of each attribute."""
        return {lexicon.attribute: lexicon.sha256 for lexicon in self.matcher.lexicons}

    @property
    def batch(self) -> int:
        """By the tokens that a batch may hold, at `LETTERS` each."""
        return max(1, int(self.batch_tokens * LETTERS / max(1.0, self.sizes.mean())))

    def load(self, rows: IntArray) -> list[str]:
        """They are in memory."""
        return [self.data.payload[i].text for i in rows.tolist()]

    def sample(self, chosen: Sequence[int]) -> Explained:
        """Relevance of the chosen texts."""
        texts, matches = [self.data.payload[i].text for i in chosen], [self.matches[i] for i in chosen]
        return self._explain(Here(self.explainer), texts, matches).common

    def explain(self, engine: Engine | None = None, advance: Advance = lambda n: None) -> ExplainedTexts:
        """Relevance of all texts."""
        return self._explain(engine or Here(self.explainer), self.texts, self.matches, advance)

    def _explain(
        self,
        engine: Engine,
        texts: Sequence[str],
        matches: Sequence[tuple[Match, ...]],
        advance: Advance = lambda n: None,
    ) -> ExplainedTexts:
        return explain_texts(
            engine,
            texts,
            matches,
            self.declared,
            words=words,
            batch_tokens=self.batch_tokens,
            advance=advance,
        )

    def evidence(self, explained: ExplainedTexts, examples: ExampleTable, engine: Engine | None = None) -> Evidence:
        """Words, groups and the effects of swapped terms."""
        with timed(self.seconds, "interventions"):
            score = Scorer(engine or Here(self.explainer), explained.common.scores, self.batch_tokens)
            swaps, effects = score.swaps(self._swapped), score.effects(*self.hidden())
        return Evidence(
            config=self.config,
            examples=examples,
            words=explained.words,
            groups=explained.common.groups,
            mentions=self._mentions,
            swaps=swaps,
            composites=self.explainer.voting,
            witnesses=self.explainer.witnesses,
            favourable=self.explainer.favour,
            classes=self.model.classes,
            effects=effects,
        )

    def validity(self, scores: FloatArray, advance: Advance = lambda n: None) -> ValidityTable:
        """What asking the explanation itself gives on a sample of texts."""
        rows, reader = sampled(len(self.data), self.config), self.explainer.reader
        seen = [self.texts[i][: self.ends[i]] for i in rows]
        fills, size = text_fills(reader.tokenizer.mask_token), self.batch_tokens
        margin = contrast_logit(self.explainer, scores[rows])
        specimens = TextSpecimens(self.explainer, rows, seen, fills, size)
        return measure(specimens, margin, seed=self.config.seed, advance=advance)

    @property
    def contents(self) -> dict[str, Any]:
        """The texts."""
        return {"text": column(self.texts)} if self.config.report.show_text else {}

    @property
    def telling(self) -> NDArray[np.bool_]:
        """Texts that mention a declared term."""
        return self.matches.held

    def exhibits(
        self, shown: Sequence[Shown], scale: float | None = None, advance: Advance = lambda n: None
    ) -> Gallery:
        """Texts with their tokens, each on its own scale."""
        told = shown if self.config.report.show_text else ()
        return exhibits(self.explainer, self.model.classes, self.texts, self.matches, told, advance)

    def changed(self, shown: Sequence[Shown]) -> list[Shown]:
        """With the terms of one attribute swapped."""
        return swapped(self.texts, self.matches, self.matcher, shown)

    def represent(self, rows: IntArray) -> FloatArray:
        """Of the classifier's last two layers."""
        size = self.batch_tokens
        return represent(self.explainer, [self.data.payload[i].text for i in rows.tolist()], batch_tokens=size)

    def concepts(self, rows: IntArray, layers: Sequence[str]) -> dict[str, FloatArray]:
        """Of the words of each group, special tokens and punctuation."""
        names = (*(f"{a}.{g}" for a, g in self.declared), SPECIAL, PUNCTUATION)
        return concepts(self.explainer, self.texts, self.matches, names, rows, layers, size=CONCEPT_BATCH)

    def maps(self, rows: IntArray) -> tuple[Any, FloatArray]:
        """None: the config refuses to ask for it."""
        raise NotImplementedError

    def pairs(self, rows: IntArray, targets: IntArray, scale: float) -> Signals:
        """By words."""
        size = self.batch_tokens
        return pairs(self.explainer, self.texts, rows, targets, scale=scale, batch_tokens=size)

    def parts(self, explained: ExplainedTexts, evidence: Evidence) -> dict[str, Any]:
        """Terms with their effects, lexicons and how many texts were cut."""
        terms = self.terms()
        return {
            "terms": terms,
            "lexicons": _lexicons(self, {(t.attribute, t.group, t.term) for t in terms}),
            "effects": term_effects(evidence, self.model.classes),
            "truncated": int(explained.truncated.sum()),
        }

    def terms(self) -> tuple[TermCount, ...]:
        """How often each declared term was found in the data."""
        fewest = self.config.statistics.min_examples_per_term
        return count_terms(self.declared, self.texts, self.matches, min_examples=fewest)

    def plan(self) -> Table:
        """Groups with a term in the data; those without are in the last row."""
        counted, statistics, empty = self.terms(), self.config.statistics, []
        table = Table(
            "attribute", "group", "terms seen", f"in {statistics.min_examples_per_term}+ examples", "enough terms"
        )
        for attribute, group in self.declared:
            mine = [term for term in counted if (term.attribute, term.group) == (attribute, group)]
            tested = sum(term.tested for term in mine)
            verdict = (
                "yes" if tested >= statistics.min_terms else f"no: relevance NOT TESTABLE below {statistics.min_terms}"
            )
            if mine:
                table.add_row(attribute, group, str(len(mine)), str(tested), verdict)
            else:
                empty.append(f"{attribute}.{group}")
        if empty:
            table.add_row("(any)", f"no term seen: {', '.join(empty)}", "0", "0", "no")
        return table


def load_text_task(loaded: LoadedConfig) -> TextTask:
    """Load model, data and lexicons and find every declared term."""
    config, seconds = loaded.config, dict[str, float]()
    with timed(seconds, "model"):
        model, explainer, matcher = _load_model(loaded)
    with timed(seconds, "data"):
        data = load_texts(
            data_block(loaded),
            resolve_data(loaded),
            classes=model.classes,
            labels=config.model.labels,
            seed=config.seed,
        )
        payload = data.payload
        ends = np.array(visible_ends(explainer, Made(len(payload), lambda i: payload[i].text)), dtype=np.int64)
        matches = _matches(config, matcher, data, ends)
    asked, declared = config.engine.batch_size, _declared(matcher, matches)
    size = batch_tokens(explainer) if asked == "auto" else asked
    return TextTask(loaded, model, data, matcher, ends, matches, declared, explainer, size, seconds)


@final
@dataclass(frozen=True, slots=True)
class OneText:
    """A config's model, loaded once to explain one text after the other."""

    model: TextModel
    explainer: TextExplainer
    matcher: Matcher

    def __call__(self, text: str, target: str | None = None, composite: Any = None) -> Explanation:
        """By the first composite or another, on the contrast logit or on the logit of class `target`."""
        if not text.strip():
            raise ConfigError("the text to explain is empty; give at least one word")
        chosen, explained = named(self.explainer, self.model.classes, target)
        rules = composite or self.explainer.first
        tokens, result = explain_tokens(self.explainer, text, self.matcher.find(text), target=chosen, composite=rules)
        return explanation(result, explained, self.model.classes, tokens=tokens)

    def changed(self, text: str) -> dict[str, Explanation]:
        """The contrast with the terms of each attribute swapped that has counterparts, by the name of its column in the table of
        examples."""
        return {name: self(other) for _, name, other in swaps([text], [self.matcher.find(text)], self.matcher)}


def one_text(loaded: LoadedConfig) -> OneText:
    """The model and the lexicons: no data."""
    return OneText(*_load_model(loaded))


def load_text_explainer(loaded: LoadedConfig) -> TextExplainer:
    """What explains, for a worker."""
    return _load_model(loaded)[1]


def _load_model(loaded: LoadedConfig) -> tuple[TextModel, TextExplainer, Matcher]:
    """What needs no data."""
    chosen = composites(loaded)
    matcher = build_matcher(loaded.config.groups, loaded.folder)
    model = load_text_model(loaded.config.model, resolve_model(loaded), device=loaded.config.engine.device)
    favour, against = contrast(loaded, model.classes)
    reader = TextReader(model.tokenizer, model.max_length)
    return model, Explainer(model.model, reader, favour, against, chosen, witnesses(loaded)), matcher


def _matches(config: Config, matcher: Matcher, data: Examples[TextRow], ends: IntArray) -> MatchTable:
    """Declared terms of each text, as far as the model reads it: what truncation cuts off can have no effect."""
    allowed = {block.attribute: block.only for block in config.groups if block.spans}
    return MatchTable.of(
        [
            match
            for match in (*matcher.find(row.text), *(s for s in row.spans if s.attribute in allowed))
            if match.end <= end and match.group in (allowed.get(match.attribute) or (match.group,))
        ]
        for row, end in zip(data.payload, ends.tolist(), strict=True)
    )


def _declared(matcher: Matcher, matches: Sequence[Sequence[Match]]) -> Declared:
    """Terms of each group: those of the lexicon, then what patterns and spans found."""
    declared = {key: dict.fromkeys(terms) for key, terms in matcher.terms.items()}
    for row in matches:
        for m in row:
            declared.setdefault((m.attribute, m.group), {})[m.term] = None
    return {key: tuple(terms) for key, terms in declared.items()}


def _lexicons(task: TextTask, seen: set[tuple[str, str, str]]) -> tuple[Lexicon, ...]:
    return tuple(
        lexicon.model_copy(
            update={
                "never_seen": {
                    group: tuple(t for t in terms if (attribute, group, t) not in seen)
                    for (attribute, group), terms in task.declared.items()
                    if attribute == lexicon.attribute
                }
            }
        )
        for lexicon in task.matcher.lexicons
    )
