"""The placebo null on synthetic word tables: matching, calibration on random and coherent pretend groups, power,
cost.
"""

import time

import numpy as np
import pytest

from audit.stats import nulls, placebos
from audit.tables import FloatArray, IntArray, WordTable

EXAMPLES, TYPES, TOPICS = 600, 700, 40


class World:
    """Texts of Zipf-distributed words in topics; embeddings share a common direction, as a model's do."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.topic = rng.integers(0, TOPICS, TYPES)
        self.embedding = rng.normal(size=(TOPICS, 32))[self.topic] + rng.normal(size=(TYPES, 32)) + 2.0
        chance = rng.permutation(1 / (np.arange(TYPES) + 20))
        cells = [np.unique(rng.choice(TYPES, 25, p=chance / chance.sum())) for _ in range(EXAMPLES)]
        self.example = np.repeat(np.arange(EXAMPLES), [len(cell) for cell in cells])
        self.type = np.concatenate(cells)
        self.common = np.flatnonzero(np.bincount(self.type, minlength=TYPES) >= 10)
        centred = self.embedding - self.embedding[self.common].mean(axis=0)
        self.unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)

    def group(self, size: int, coherent: bool, rng: np.random.Generator, out: IntArray) -> IntArray:
        free = np.setdiff1d(self.common, out)
        if not coherent:
            return np.asarray(rng.choice(free, size, replace=False))
        return np.asarray(free[np.argsort(-(self.unit[free] @ self.unit[rng.choice(free)]))[:size]])

    def relevance(self, share: float, rng: np.random.Generator) -> FloatArray:
        """Word effects, of which `share` of the variance belongs to the topic, plus noise per row."""
        effect = np.sqrt(share) * rng.normal(size=TOPICS)[self.topic] + np.sqrt(1 - share) * rng.normal(size=TYPES)
        return np.asarray(effect[self.type] + rng.normal(size=len(self.type)))

    def table(
        self, relevance: FloatArray, groups: dict[tuple[str, str], IntArray], count: IntArray | None = None
    ) -> WordTable:
        magnitude = np.exp(relevance / 2)
        count = np.ones(len(self.type), dtype=int) if count is None else count
        average = np.bincount(self.example, magnitude * count) / np.bincount(self.example, count)
        words = tuple(f"w{index}" for index in range(TYPES))
        return WordTable(
            self.example,
            self.type,
            count,
            {"c": relevance},
            {"c": magnitude},
            {"c": average},
            words,
            self.embedding,
            groups,
        )


def slow_mean(table: WordTable, types: IntArray, weight: FloatArray) -> float:
    values = []
    for example in np.unique(table.example):
        rows = np.flatnonzero((table.example == example) & np.isin(table.type, types))
        if len(rows):
            values.append((weight[rows] * table.count[rows]).sum() / table.count[rows].sum())
    return float(np.mean(values))


@pytest.fixture(scope="module")
def world() -> World:
    return World(np.random.default_rng(0))


def pair(world: World, size: int, coherent: bool, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    a = world.group(size, coherent, rng, np.zeros(0, dtype=int))
    return a, world.group(size, coherent, rng, a)


def test_group_means_and_effects_equal_the_slow_definition(world: World) -> None:
    rng = np.random.default_rng(1)
    a, b = pair(world, 5, False, rng)
    table = world.table(world.relevance(0.5, rng), {("x", "a"): a, ("x", "b"): b}, rng.integers(1, 4, len(world.type)))
    pool, codes = placebos.build_pool(table), np.arange(EXAMPLES)
    means = nulls.group_means(pool, np.stack([a, b]), table.relevance["c"])
    expected = [slow_mean(table, a, table.relevance["c"]), slow_mean(table, b, table.relevance["c"])]
    assert means == pytest.approx(expected, abs=1e-12)
    found = nulls.contrast(pool, a, b, "c", cluster=codes, scale=2.0)
    assert found.value == pytest.approx((expected[0] - expected[1]) / 2)
    ratio = table.magnitude["c"] / table.average["c"][table.example]
    assert nulls.enrichment(pool, a, "c", cluster=codes).value == pytest.approx(slow_mean(table, a, ratio))


def test_placebos_match_frequency_and_coherence_and_avoid_every_declared_word(world: World) -> None:
    rng = np.random.default_rng(2)
    a, b = pair(world, 8, True, rng)
    third = world.group(5, False, rng, np.concatenate([a, b]))
    table = world.table(world.relevance(0.5, rng), {("x", "a"): a, ("x", "b"): b, ("y", "c"): third})
    pool = placebos.build_pool(table)
    one, two = placebos.draw_pairs(pool, a, b, k=199, rng=rng)
    for found, terms in ((one, a), (two, b)):
        assert not np.isin(found.types, np.concatenate([a, b, third])).any()
        assert all(len(set(row)) == len(row) for row in found.types.tolist())
        for slot, term in enumerate(terms):
            assert np.isin(found.types[:, slot], placebos.candidates(pool, int(term))).all()
        assert abs(found.matched.mean() - found.coherence) < 0.12
        assert found.coherence > 0.2
    assert not any(set(left) & set(right) for left, right in zip(one.types.tolist(), two.types.tolist(), strict=True))


def test_candidates_lie_within_the_width_or_are_the_nearest_twelve(world: World) -> None:
    pool = placebos.build_pool(world.table(np.zeros(len(world.type)), {}))
    for term in (int(np.argmax(pool.frequency)), int(world.common[0])):
        found = placebos.candidates(pool, term)
        distance = np.abs(np.log2(pool.frequency[found] / pool.frequency[term]))
        assert len(found) == 12 or (len(found) > 12 and distance.max() <= 0.4)


def test_rank_p_counts_the_observed_value_itself() -> None:
    null = np.arange(99.0)
    assert nulls.rank_p(1000.0, null, two_sided=False) == 0.01
    assert nulls.rank_p(-1000.0, null, two_sided=False) == 1.0
    assert nulls.rank_p(-1000.0, null, two_sided=True) == 0.01


def test_identical_draws_count_as_one(world: World) -> None:
    pool = placebos.build_pool(world.table(np.zeros(len(world.type)), {}))
    terms = world.common[:4]
    df, shared = nulls.effective_draws(pool, terms, np.tile(terms, (50, 1)), np.ones(4))
    assert df == pytest.approx(1.0, abs=1e-3) and shared == pytest.approx(1.0, abs=1e-3)


def test_too_few_terms_are_not_testable_and_the_reason_names_the_counts(world: World) -> None:
    rng = np.random.default_rng(3)
    a, b = pair(world, 6, False, rng)
    table = world.table(world.relevance(0.5, rng), {("x", "a"): a[:3], ("x", "b"): b})
    pool, design = placebos.build_pool(table), nulls.Design(np.arange(EXAMPLES), k=99, min_terms=4, min_examples=10)
    test = nulls.contrast_test(pool, a[:3], b, ("c",), design=design, scale=1.0, rng=rng)["c"]
    assert test.p is None and test.estimate.value is None
    assert "3 terms occur in at least 10 examples; 4 are needed" in test.estimate.reason
    assert nulls.reliance_test(pool, a[:3], ("c",), design=design, rng=rng)["c"].p is None


def contrasts(pool: placebos.Pool, a: IntArray, b: IntArray) -> FloatArray:
    weight = pool.table.relevance["c"]
    return nulls.group_means(pool, a, weight) - nulls.group_means(pool, b, weight)


def false_alarms(
    coherent: bool, size: int, *, seed: int, worlds: int = 3, groups: int = 4, draws: int = 25
) -> tuple[float, ...]:
    """Rejection rates of contrast, reliance, and the naive contrasts (incoherent placebos; rows as the unit)."""
    rng, rejected = np.random.default_rng(seed), []
    for _ in range(worlds):
        world = World(rng)
        for _ in range(groups):
            a, b = pair(world, size, coherent, rng)
            pool = placebos.build_pool(world.table(np.zeros(len(world.type)), {("x", "a"): a, ("x", "b"): b}))
            pairs, single = (
                placebos.draw_pairs(pool, a, b, k=99, rng=rng),
                placebos.draw_placebos(pool, a, k=99, rng=rng),
            )
            lists = [np.tile(placebos.candidates(pool, int(term)), (99, 1)) for term in (*a, *b)]
            loose = placebos._choose(lists, 10**9, rng)
            worth = nulls.effective_draws(
                pool, np.r_[a, b], np.hstack([pairs[0].types, pairs[1].types]), np.repeat([1.0, -1.0], size)
            )
            alone = nulls.effective_draws(pool, a, single.types, np.ones(size))
            for _ in range(draws):
                relevance = world.relevance(0.5, rng)
                table = world.table(relevance, {})
                live = placebos.Pool(table, pool.order, pool.start, pool.frequency, pool.eligible, pool.unit)
                naive = nulls.contrast(live, a, b, "c", cluster=np.arange(EXAMPLES), scale=1.0)
                null = contrasts(live, pairs[0].types, pairs[1].types)
                scattered = contrasts(live, loose[:, :size], loose[:, size:]) if coherent else null
                assert naive.value is not None and naive.low is not None and naive.high is not None
                ratio = nulls._weights(live, "c", ratio=True)
                enriched = nulls.group_means(live, np.vstack([a, single.types]), ratio)
                rejected.append((
                    nulls.placebo_p(naive.value, null, worth, two_sided=True) <= 0.05,
                    nulls.placebo_p(enriched[0], enriched[1:], alone, two_sided=False) <= 0.05,
                    nulls.rank_p(naive.value, scattered, two_sided=True) <= 0.05,
                    naive.low > 0 or naive.high < 0,
                ))  # fmt: skip
    return tuple(np.mean(rejected, axis=0).tolist())


@pytest.mark.parametrize("size", [4, 26])
def test_random_pretend_groups_are_flagged_at_the_nominal_rate_and_rows_as_units_are_not(size: int) -> None:
    ours, reliance, _, rows = false_alarms(False, size, seed=11, worlds=3, groups=8, draws=20)
    assert 0.02 < ours < 0.08 and 0.02 < reliance < 0.08
    assert rows > 0.3


@pytest.mark.parametrize("size", [4, 8])
def test_coherent_pretend_groups_are_flagged_at_the_nominal_rate_and_incoherent_placebos_are_not_enough(
    size: int,
) -> None:
    ours, reliance, loose, rows = false_alarms(True, size, seed=12, worlds=6, groups=8, draws=20)
    assert 0.02 < ours < 0.08 and 0.02 < reliance < 0.08
    assert loose > 0.1 and rows > 0.3


def test_a_planted_group_is_found(world: World) -> None:
    rng, found = np.random.default_rng(13), []
    for _ in range(10):
        a, b = pair(world, 8, False, rng)
        relevance = world.relevance(0.5, rng) + 2.0 * np.isin(world.type, a) - 2.0 * np.isin(world.type, b)
        pool = placebos.build_pool(world.table(relevance, {("x", "a"): a, ("x", "b"): b}))
        design = nulls.Design(np.arange(EXAMPLES), k=199, min_terms=4, min_examples=10)
        contrast = nulls.contrast_test(pool, a, b, ("c",), design=design, scale=1.0, rng=rng)["c"].p
        reliance = nulls.reliance_test(pool, a, ("c",), design=design, rng=rng)["c"].p
        assert contrast is not None and reliance is not None
        found.append((contrast <= 0.05, reliance <= 0.05))
    assert np.mean(found, axis=0) == pytest.approx([1.0, 1.0], abs=0.21)


def test_a_dozen_tests_of_999_placebos_take_seconds(world: World) -> None:
    rng = np.random.default_rng(14)
    a, b = pair(world, 12, True, rng)
    pool = placebos.build_pool(world.table(world.relevance(0.5, rng), {("x", "a"): a, ("x", "b"): b}))
    design = nulls.Design(np.arange(EXAMPLES), k=999, min_terms=4, min_examples=10)
    start = time.process_time()
    test = nulls.contrast_test(pool, a, b, ("c",), design=design, scale=1.0, rng=rng)["c"]
    assert time.process_time() - start < 5 and len(test.null) > 900


def test_direction_of_a_term_is_calibrated_and_finds_a_term_that_pushes(world: World) -> None:
    """One word among words of its frequency, two-sided: 120 pretend terms, and one whose relevance is moved by 3 sd."""
    rng, p = np.random.default_rng(31), []
    design = nulls.Design(cluster=np.arange(EXAMPLES), k=199, min_terms=1, min_examples=10)
    for _ in range(12):
        relevance = world.relevance(0.5, rng)
        for term in rng.choice(world.common, 10, replace=False).tolist():
            pool = placebos.build_pool(world.table(relevance, {("x", "y"): np.array([term])}))
            p.append(nulls.direction_test(pool, term, ["c"], design=design, scale=1.0, rng=rng)["c"].p)
    alarms = sum(value is not None and value <= 0.05 for value in p)
    assert None not in p and alarms / len(p) <= 0.08
    term = int(world.common[3])
    moved = np.where(world.type == term, relevance + 4, relevance)
    pool = placebos.build_pool(world.table(moved, {("x", "y"): np.array([term])}))
    found = nulls.direction_test(pool, term, ["c"], design=design, scale=2.0, rng=rng)["c"]
    assert found.p is not None and found.p <= 0.05 and found.estimate.unit == "sd of the contrast logit"
    rows = world.type == term
    assert found.estimate.value == pytest.approx(float(moved[rows].mean()) / 2)


def test_a_group_without_one_term_is_ranked_among_the_same_placebos_without_theirs(world: World) -> None:
    rng = np.random.default_rng(32)
    groups = [np.asarray(world.common[:6]), np.asarray(world.common[6:11])]
    relevance = world.relevance(0.3, rng)
    pool = placebos.build_pool(world.table(relevance, {("x", "a"): groups[0], ("x", "b"): groups[1]}))
    design = nulls.Design(cluster=np.arange(EXAMPLES), k=199, min_terms=4, min_examples=5)
    tests = nulls.contrast_test(pool, groups[0], groups[1], ["c"], design=design, scale=1.0, rng=rng)
    term = int(groups[0][2])
    p, left = nulls.without_term(pool, tests, groups, 0, term, scale=1.0)
    assert left[0].tolist() == [t for t in groups[0].tolist() if t != term] and left[1] is groups[1]
    one, two = tests["c"].placebos
    kept = groups[0] != term
    null = nulls.group_means(pool, one.types[:, kept], relevance) - nulls.group_means(pool, two.types, relevance)
    observed = slow_mean(pool.table, left[0], relevance) - slow_mean(pool.table, left[1], relevance)
    worth = nulls.effective_draws(
        pool, np.concatenate(left), np.hstack([one.types[:, kept], two.types]), np.repeat([1.0, -1.0], [5, 5])
    )
    assert p == pytest.approx(nulls.placebo_p(observed, null, worth, two_sided=True))


def test_a_group_that_pushes_less_than_its_placebos_is_no_finding() -> None:
    null = np.random.default_rng(40).normal(0.15, 0.03, 999)
    assert nulls._said(0.03, null, (500.0, 0.0), two_sided=True) == (1.0, -1.0)
    p, sign = nulls._said(0.35, null, (500.0, 0.0), two_sided=True)
    assert p < 0.01 and sign == 1.0
    p, sign = nulls._said(-0.1, null, (500.0, 0.0), two_sided=True)
    assert p < 0.01 and sign == -1.0


def test_reach_is_where_p_is_alpha() -> None:
    null = np.random.default_rng(41).normal(0.1, 1.0, 1999)
    for two_sided in (True, False):
        reach = nulls._reach(null, (60.0, 0.1), 0.02, two_sided=two_sided)
        beyond, within = (null.mean() + reach * step for step in (1.02, 0.98))
        assert nulls.placebo_p(beyond, null, (60.0, 0.1), two_sided=two_sided) <= 0.02
        assert nulls.placebo_p(within, null, (60.0, 0.1), two_sided=two_sided) >= 0.02


def test_a_single_word_is_ranked_among_each_word_of_its_frequency_once(world: World) -> None:
    rng, term = np.random.default_rng(42), int(world.common[3])
    pool = placebos.build_pool(world.table(world.relevance(0.5, rng), {("x", "y"): np.array([term])}))
    drawn = placebos.draw_words(pool, term, k=10_000, rng=rng)
    assert len(np.unique(drawn.types)) == len(drawn.types) == int(drawn.candidates[0])
    assert len(placebos.draw_words(pool, term, k=20, rng=rng).types) == min(20, int(drawn.candidates[0]))
    near = np.abs(np.log2(pool.frequency[drawn.types[:, 0]] / pool.frequency[term]))
    assert (near <= placebos.WIDTH).all() or len(drawn.types) == placebos.NEAREST
