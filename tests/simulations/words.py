"""The placebo nulls on the fine-tuned film review model: groups of words that nobody declared, and effects of words that are known.

A pretend group is random words, or words near a random one in the model's own embedding (coherent, as real groups are); the two of
a pair are far apart, or from one neighbourhood, as words for women and men are. What a word does is measured by masking it, or
by swapping it for a word of the other group. Cost: the model explains 3,000 snippets once, two minutes; then half a second a test.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, final

import numpy as np
from scipy import stats

from audit.data.terms import words
from audit.parts import Here
from audit.relevance.explainer import contrast_logit
from audit.relevance.texts import score_texts
from audit.stats import nulls
from audit.stats.intervals import BoolArray
from audit.stats.nulls import Design
from audit.stats.placebos import NEAREST, Pool, build_pool, candidates, usable
from audit.tables import FloatArray, IntArray, WordTable
from bench.agreement import masked_effects
from bench.real_model import Audited, audited
from tests.simulations.rates import LEVEL, Rate, seeded

COMPOSITES: Final = ("cp_lrp", "attn_lrp")
SNIPPETS: Final = 3000
SIZES: Final = (4, 6, 8, 12, 18, 26)
FREQUENT: Final = 10  # examples of a word
PLACEBOS: Final = 199
MOST: Final = 0.08  # upper bound of a rate of false alarms
EFFECT, NO_EFFECT = 0.2, 0.06  # sd of the contrast logit that masking a word moves it by
SWAP_BANDS: Final = (0.1, 0.5)
SWAPPED: Final = 60  # texts per pair


@final
@dataclass(frozen=True, eq=False)
class Reviews:
    """Explained snippets of unseen films: `neutral` types occur often and about equally in both classes (|z| < 1).

    `classes[k]` is the table of the snippets of true class k, which directions are asked of.
    """

    run: Audited
    table: WordTable
    classes: tuple[WordTable, ...]
    unit: FloatArray
    frequent: IntArray
    neutral: BoolArray

    @property
    def scale(self) -> float:
        return float(self.run.margin.std(ddof=1))

    def often(self, label: int) -> list[int]:
        """Types that occur in enough snippets of a true class."""
        return np.flatnonzero(
            np.bincount(self.classes[label].type, minlength=len(self.table.types)) >= FREQUENT
        ).tolist()

    @property
    def design(self) -> Design:
        return Design(self.run.cluster, k=PLACEBOS, min_terms=1, min_examples=FREQUENT)

    def pool(self, *groups: IntArray, neutral: bool = False, label: int | None = None) -> Pool:
        """What placebos of these declared groups are drawn from, within one true class where one is given."""
        table = self.table if label is None else self.classes[label]
        made = build_pool(replace(table, groups={("pretend", str(i)): group for i, group in enumerate(groups)}))
        return replace(made, eligible=made.eligible[self.neutral[made.eligible]]) if neutral else made


@cache
def reviews(snippets: int = SNIPPETS) -> Reviews:
    """Explained once a process; raises AuditError where the packages of the demo are missing."""
    run = audited(snippets, COMPOSITES)
    table = run.explained.words
    frequency = np.bincount(table.type, minlength=len(table.types))
    positive = np.bincount(table.type, run.label[table.example], minlength=len(table.types))
    rate = float(run.label.mean())
    z = (positive - frequency * rate) / np.sqrt(np.maximum(frequency, 1) * rate * (1 - rate))
    enough = frequency >= FREQUENT
    classes = tuple(table.only(run.label[table.example] == k) for k in range(2))
    return Reviews(run, table, classes, build_pool(table).unit, np.flatnonzero(enough), enough & (np.abs(z) < 1))


Groups = tuple[IntArray, IntArray]
Draw = Callable[[Reviews, IntArray, int, np.random.Generator], Groups]


def _random(world: Reviews, among: IntArray, size: int, rng: np.random.Generator) -> Groups:
    drawn = rng.choice(among, 2 * size, replace=False)
    return drawn[:size], drawn[size:]


def _near(world: Reviews, among: IntArray, anchor: int, most: int) -> IntArray:
    return among[np.argsort(-(world.unit[among] @ world.unit[anchor]), kind="stable")[:most]]


def _coherent(world: Reviews, among: IntArray, size: int, rng: np.random.Generator) -> Groups:
    one, two = rng.choice(among, 2, replace=False)
    a = rng.choice(_near(world, among, int(one), 2 * size), size, replace=False)
    return a, rng.choice(_near(world, np.setdiff1d(among, a), int(two), 2 * size), size, replace=False)


def _neighbours(world: Reviews, among: IntArray, size: int, rng: np.random.Generator) -> Groups:
    near = _near(world, among, int(rng.choice(among)), 3 * size)
    drawn = rng.choice(near, 2 * size, replace=False)
    return drawn[:size], drawn[size:]


def _opposed(world: Reviews, among: IntArray, size: int, rng: np.random.Generator) -> Groups:
    """Two groups of the words whose masking moves the logit furthest each way: chosen by what they do, not by the relevance tested."""
    effects = _masked()
    known = among[np.isin(among, list(effects))]
    order = known[np.argsort([effects[term] for term in known.tolist()], kind="stable")]
    return rng.choice(order[-4 * size :], size, replace=False), rng.choice(order[: 4 * size], size, replace=False)


PRETEND: Final[dict[str, Draw]] = {
    "random words": _random,
    "coherent words": _coherent,
    "coherent words, both near one word": _neighbours,
}  # fmt: skip


def _mean_relevance(world: Reviews) -> FloatArray:
    table, size = world.table, len(world.table.types)
    return np.bincount(table.type, table.relevance[COMPOSITES[0]], size) / np.maximum(
        np.bincount(table.type, minlength=size), 1
    )


Test = Callable[[Reviews, Groups, bool, np.random.Generator], float | None]


def _reliance(world: Reviews, groups: Groups, neutral: bool, rng: np.random.Generator) -> float | None:
    pool = world.pool(groups[0], neutral=neutral)
    return nulls.agreed(nulls.reliance_test(pool, groups[0], COMPOSITES, design=world.design, rng=rng))


def _contrast(world: Reviews, groups: Groups, neutral: bool, rng: np.random.Generator) -> float | None:
    pool = world.pool(*groups, neutral=neutral)
    return nulls.agreed(nulls.contrast_test(pool, *groups, COMPOSITES, design=world.design, scale=world.scale, rng=rng))


def _direction(world: Reviews, groups: Groups, neutral: bool, rng: np.random.Generator) -> float | None:
    """Of the first word that occurs often enough in a true class, either one as likely."""
    label = int(rng.integers(len(world.classes)))
    pool = world.pool(groups[0], label=label)
    terms = usable(pool, groups[0], min_examples=FREQUENT)
    return _directed(world, int(terms[0]), label, neutral, rng) if len(terms) else None


def _directed(world: Reviews, term: int, label: int, neutral: bool, rng: np.random.Generator) -> float | None:
    """A word among those that are as frequent in the snippets of a true class."""
    pool = world.pool(np.array([term]), neutral=neutral, label=label)
    return nulls.agreed(nulls.direction_test(pool, term, COMPOSITES, design=world.design, scale=world.scale, rng=rng))


def _incoherent(world: Reviews, groups: Groups, neutral: bool, rng: np.random.Generator) -> float | None:
    """The contrast, ranked among pairs of words that match in frequency alone."""
    pool, (a, b) = world.pool(*groups), groups
    drawn = _alike(pool, [*a.tolist(), *b.tolist()], rng)
    weight = world.table.relevance[COMPOSITES[0]]
    means = [
        nulls.group_means(pool, np.vstack([own, others]), weight)
        for own, others in ((a, drawn[:, : len(a)]), (b, drawn[:, len(a) :]))
    ]
    difference = means[0] - means[1]
    return nulls.rank_p(float(difference[0]), difference[1:], two_sided=True)


def _alike(pool: Pool, terms: Sequence[int], rng: np.random.Generator) -> IntArray:
    """Types `[placebos, terms]` of each term's frequency, none twice in a row: where one is taken, the next candidate is."""
    drawn = np.full((PLACEBOS, len(terms)), -1)
    for slot in rng.permutation(len(terms)):
        found = candidates(pool, terms[slot], nearest=max(NEAREST, len(terms)))
        place = rng.integers(0, len(found), PLACEBOS)
        while (taken := (drawn == found[place][:, None]).any(axis=1)).any():
            place = np.where(taken, (place + 1) % len(found), place)
        drawn[:, slot] = found[place]
    return drawn


def _rows(world: Reviews, groups: Groups, neutral: bool, rng: np.random.Generator) -> float | None:
    """The contrast against 0, texts as the unit."""
    found = nulls.contrast(world.pool(*groups), *groups, COMPOSITES[0], cluster=world.run.cluster, scale=world.scale)
    return None if found.low is None or found.high is None else float(found.low <= 0 <= found.high)


TESTS: Final[dict[str, Test]] = {
    "reliance": _reliance,
    "contrast": _contrast,
    "direction of one word": _direction,
    "contrast, placebos of like frequency only": _incoherent,
    "contrast against 0, texts as the unit": _rows,
}  # fmt: skip


@final
@dataclass(frozen=True, slots=True)
class Pretend:
    """A test on pretend groups of one kind; `neutral`: they and their placebos are label-neutral words. `asked`: it is offered."""

    test: str
    kind: str
    neutral: bool = False
    asked: bool = True


CASES: Final = (
    *(Pretend("reliance", kind) for kind in ("random words", "coherent words")),
    *(Pretend("contrast", kind) for kind in PRETEND),
    Pretend("direction of one word", "random words"),
    *(Pretend("reliance", kind, neutral=True, asked=False) for kind in ("random words", "coherent words")),
    *(Pretend("contrast", kind, neutral=True, asked=False) for kind in PRETEND),
    Pretend("direction of one word", "random words", neutral=True, asked=False),
    Pretend("contrast, placebos of like frequency only", "coherent words", asked=False),
    Pretend("contrast against 0, texts as the unit", "random words", asked=False),
)  # fmt: skip


def false_alarms(case: Pretend, n: int, *, snippets: int = SNIPPETS, again: str = "") -> Rate:
    """How often p <= .05, of `n` pretend groups or pairs of every size in turn; `again` draws others."""
    world, rng = reviews(snippets), seeded("words", case.test, case.kind, str(case.neutral), *filter(None, [again]))
    p = list[float | None]()
    among = world.frequent[world.neutral[world.frequent]] if case.neutral else world.frequent
    for i in range(n):
        groups = PRETEND[case.kind](world, among, SIZES[i % len(SIZES)], rng)
        p.append(TESTS[case.test](world, groups, case.neutral, rng))
    tested = [value for value in p if value is not None]
    return Rate(sum(value <= LEVEL for value in tested), len(tested), n - len(tested))


@final
@dataclass(frozen=True, slots=True)
class Power:
    """Detections among what truly has no effect, a small and a large one."""

    name: str
    none: Rate
    small: Rate
    large: Rate
    agreement: float


def term_power(*, neutral: bool) -> Power:
    """Single words against the effect of masking them, beyond that of masking any word."""
    world, rng, effects = reviews(), seeded("words", "terms", str(neutral)), _masked()
    asked = [(term, label) for label in range(len(world.classes)) for term in world.often(label) if term in effects]
    p = [_directed(world, term, label, neutral, rng) for term, label in asked]
    truth, shown = np.array([effects[term] for term, _ in asked]), _mean_relevance(world)[[term for term, _ in asked]]
    return _power(
        "direction of one word in a true class, against masking", neutral, truth, p, shown, (NO_EFFECT, EFFECT)
    )


@cache
def _masked() -> dict[int, float]:
    """Effect of masking each type that occurs often enough, in sd of the contrast logit."""
    world = reviews()
    effect = masked_effects(world.run.explainer, world.run.texts, world.run.margin)
    mean = (effect.groupby("term")["effect"].mean() - effect["effect"].mean()) / world.scale
    known = {name: i for i, name in enumerate(world.table.types)}
    return {known[term]: float(value) for term, value in mean.items() if term in known}


def pair_power(n: int, *, neutral: bool) -> Power:
    """Pairs of groups against the effect of swapping their words for each other."""
    world, rng, found = reviews(), seeded("words", "pairs", str(neutral)), _swapped(n)
    p = [_contrast(world, groups, neutral, rng) for groups, _ in found]
    shown = [_contrasted(world, groups) for groups, _ in found]
    truth = np.array([effect for _, effect in found])
    return _power("contrast of pairs, against swaps", neutral, truth, p, np.array(shown), SWAP_BANDS)


def _contrasted(world: Reviews, groups: Groups) -> float:
    found = nulls.contrast(world.pool(*groups), *groups, COMPOSITES[0], cluster=world.run.cluster, scale=world.scale)
    return found.value or 0.0


@cache
def _swapped(n: int) -> list[tuple[Groups, float]]:
    """Pairs, half of them of words with effects to one side each, and the effect of swapping their words."""
    world, rng = reviews(), seeded("words", "pairs")
    drawn = [(_opposed, _random)[i % 2](world, world.frequent, SIZES[i // 2 % len(SIZES)], rng) for i in range(n)]
    return [(groups, swap_effect(world, groups, rng)) for groups in drawn]


def swap_effect(world: Reviews, groups: Groups, rng: np.random.Generator) -> float:
    """Mean effect in sd of the contrast logit of the i-th word of the first group in place of the i-th of the second."""
    names = [[world.table.types[k] for k in group] for group in groups]
    turns = {**dict(zip(names[0], names[1], strict=True)), **dict(zip(names[1], names[0], strict=True))}
    places = [(i, *hit) for i, text in enumerate(world.run.texts) for hit in words(text) if hit[2] in turns]
    chosen = [places[k] for k in rng.permutation(len(places))[:SWAPPED]]
    swapped = [world.run.texts[i][:start] + turns[name] + world.run.texts[i][end:] for i, start, end, name in chosen]
    after = contrast_logit(world.run.explainer, score_texts(Here(world.run.explainer), swapped, batch_tokens=2048))
    change = after - world.run.margin[[i for i, *_ in chosen]]
    forward = np.array([name in names[1] for *_, name in chosen])
    sides = [change[forward].mean() if forward.any() else 0.0, -change[~forward].mean() if (~forward).any() else 0.0]
    return float(np.mean(sides)) / world.scale


def _power(
    name: str, neutral: bool, truth: FloatArray, p: Sequence[float | None], relevance: FloatArray, bands: tuple[float, float]
) -> Power:  # fmt: skip
    tested = np.array([value is not None for value in p])
    hit = np.array([value is not None and value <= LEVEL for value in p])
    size = np.abs(truth)
    parts = (size < bands[0], (size >= bands[0]) & (size < bands[1]), size >= bands[1])
    rates = [Rate(int(hit[part].sum()), int(tested[part].sum()), int((~tested)[part].sum())) for part in parts]
    pool = "label-neutral words" if neutral else "all words"
    return Power(f"{name}; placebos: {pool}", *rates, float(stats.spearmanr(truth, relevance)[0]))
