"""Candidates nobody declared: error rates without any difference, power on planted words, slow oracles, what is never offered."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

from audit.config import Checks, Config, Data, Groups, Model, Region, Statistics, Target
from audit.records import CandidateKind, Discovery
from audit.stats.cases import Evidence
from audit.stats.discovery import difference_within, discover
from audit.stats.joint_permutation import joint_permutation
from audit.stats.screening import Layers, comparisons, layers_of, split
from audit.stats.signals import of_cells, of_words, signals
from audit.tables import CellTable, ExampleTable, WordTable

WORDS, N = 60, 320
FIRST, SECOND = "cp_lrp", "attn_lrp"


@dataclass
class Texts:
    """`count` `[n, words]` of each word in each text, `relevance` `[n, words]` of each occurrence."""

    count: np.ndarray
    relevance: np.ndarray
    label: np.ndarray
    who: np.ndarray
    cluster: np.ndarray
    predicted: np.ndarray | None = None
    second: float = 1.0  # what the second composite makes of relevance

    def evidence(
        self, *, declared: tuple[int, ...] = (), seed: int = 0, candidates: int = 20, **statistics
    ) -> Evidence:
        n, words = self.count.shape
        example, kind = np.nonzero(self.count)
        relevance = self.relevance[example, kind]
        table = WordTable(
            example.astype(np.int32), kind.astype(np.int32), self.count[example, kind],
            {FIRST: relevance, SECOND: self.second * relevance}, {FIRST: np.abs(relevance), SECOND: np.abs(relevance)},
            {FIRST: np.ones(n), SECOND: np.ones(n)}, tuple(f"w{j}" for j in range(words)), np.zeros((words, 2)),
            {("other", "a"): np.array(declared, dtype=np.int64)},
        )  # fmt: skip
        margin = np.where(np.arange(n) % 2, 1.0, -1.0) * np.sqrt((n - 1) / n)  # sd 1
        predicted = self.label if self.predicted is None else self.predicted
        config = Config(
            name="x", seed=seed, data=Data(path="x"), model=Model(path="x"), target=Target(favour="a"),
            checks=Checks(candidates=candidates),
            groups=(Groups(attribute="other", patterns={"a": "a"}),), statistics=Statistics(**{"permutations": 999} | statistics), gates=(),
        )  # fmt: skip
        examples = ExampleTable(
            np.arange(n).astype(str), self.label, predicted, margin, np.stack([-margin, margin], 1), self.cluster, {"who": self.who}
        )  # fmt: skip
        return Evidence(config, examples, table, {}, {}, {}, (FIRST, SECOND), 1, ("rotten", "fresh"))


def drawn(seed: int, *, cluster_size: int = 1, n: int = N) -> Texts:
    """Nothing differs at equal label: words and their relevance follow the label, and so does the group; both keep to clusters."""
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(n // cluster_size), cluster_size)
    label = rng.integers(0, 2, n)
    keeps = rng.random(n // cluster_size)[cluster] if cluster_size > 1 else rng.random(n)
    who = np.where(keeps < 0.25 + 0.3 * label, "a", "b")
    rate = np.exp(rng.uniform(np.log(0.08), np.log(0.5), WORDS)) * np.exp(rng.normal(0, 0.3, (2, WORDS)))[label]
    if cluster_size > 1:
        rate = rate * np.exp(rng.normal(-0.5, 1.0, (n // cluster_size, WORDS)))[cluster]
    count = (rng.random((n, WORDS)) < rate) * rng.integers(1, 3, (n, WORDS))
    mean = rng.normal(0, 0.1, (2, WORDS))[label]
    return Texts(count, mean + rng.normal(0, 0.1, (n, WORDS)), label, who, cluster)


def found_in(evidence: Evidence) -> Discovery:
    found = discover(evidence)
    assert found is not None
    return found


@pytest.mark.parametrize("cluster_size", [1, 8])
def test_without_a_difference_a_comparison_offers_a_candidate_in_alpha_of_audits_at_most(cluster_size: int) -> None:
    runs, asked = 100, 0
    alarms = 0
    for seed in range(runs):
        found = found_in(
            drawn(seed, cluster_size=cluster_size, n=N * min(cluster_size, 3)).evidence(seed=seed, min_group_size=10)
        )
        alarms += bool(found.candidates)
        asked += found.compared[0].chosen > 0
    assert asked > 0.9 * runs
    assert alarms <= 10, f"{alarms} of {runs}: more than 10 happen in 1 % of such hundreds at alpha .05"


def more_frequent(seed: int, *, mean: float, share: float = 0.5) -> Texts:
    """20 words that stand far more often in texts of a, which are this share; what they carry has one `mean` on both sides."""
    rng = np.random.default_rng([seed, 9])
    label, who = rng.integers(0, 2, N), np.where(rng.random(N) < share, "a", "b")
    rate = np.where(who == "a", 0.7, 0.25)[:, None]
    count = (rng.random((N, 20)) < rate).astype(np.int64)
    return Texts(count, mean / rate + rng.normal(0, 0.1, (N, 20)), label, who, np.arange(N))


@pytest.mark.parametrize(("mean", "share"), [(0.0, 0.5), (0.1, 0.5), (0.0, 0.25), (0.1, 0.75)])
def test_true_differences_of_presence_make_no_chance_contribution_an_offer(mean: float, share: float) -> None:
    runs, alarms, chosen = 100, 0, 0
    for seed in range(runs):
        found = found_in(more_frequent(seed, mean=mean, share=share).evidence(seed=seed, min_group_size=10))
        alarms += bool(found.candidates)
        chosen += found.m
    assert alarms <= 10, f"{alarms} of {runs}: more than 10 happen in 1 % of such hundreds at alpha .05"
    assert chosen == 20 * runs, "one test a word: that of what it carries"


def test_words_used_differently_and_equally_often_are_marked_as_proxies_in_alpha_of_offers_at_most() -> None:
    runs, shares, offered = 150, [], 0
    for seed in range(runs):
        rng = np.random.default_rng([seed, 5])
        label, who = rng.integers(0, 2, N), np.where(rng.random(N) < 0.5, "a", "b")
        count = (rng.random((N, 20)) < 0.5).astype(np.int64)
        relevance = 0.3 + 0.1 * (who == "a")[:, None] + rng.normal(0, 0.05, (N, 20))
        texts = Texts(count, relevance, label, who, np.arange(N))
        kinds = [each.kind for each in found_in(texts.evidence(seed=seed, min_group_size=10)).candidates]
        shares.append(kinds.count(CandidateKind.PROXY) / max(1, len(kinds)))
        offered += len(kinds)
    assert offered > 3 * runs and np.mean(shares) <= 0.05, (
        "the rows that offer a word tell its presence: without a correction for that it is .10"
    )


def planted(seed: int = 0, *, cluster_size: int = 1) -> Texts:
    """w0 stands mostly in texts of a; w1 equally in both and pushes both; w2 equally, and pushes a only; all three carry relevance."""
    texts, rng = drawn(seed, n=480, cluster_size=cluster_size), np.random.default_rng([seed, 1])
    a = texts.who == "a"
    for word, rate in ((0, np.where(a, 0.6, 0.15)), (1, 0.5), (2, 0.5)):
        texts.count[:, word] = rng.random(480) < rate
        texts.relevance[:, word] = 0.4 + rng.normal(0, 0.1, 480)
    texts.relevance[~a, 2] -= 0.4
    return texts


@pytest.mark.parametrize("cluster_size", [1, 4])
def test_a_planted_proxy_is_marked_a_word_used_differently_is_found_and_a_word_used_alike_is_none(
    cluster_size: int,
) -> None:
    for seed in range(5):
        found = {each.name: each for each in found_in(planted(seed, cluster_size=cluster_size).evidence()).candidates}
        assert found["w0"].kind is CandidateKind.PROXY and found["w0"].larger == "a"
        assert found["w2"].kind is CandidateKind.DIFFERENT and found["w2"].larger == "a"
        assert "w1" not in found
        assert found["w0"].agrees and found["w0"].examples == int(
            (planted(seed, cluster_size=cluster_size).count[:, 0] > 0).sum()
        )
        assert found["w0"].estimate.low > 0 and found["w0"].presence.low > 0


def test_declared_words_and_words_that_a_half_holds_too_rarely_are_never_chosen() -> None:
    texts = planted()
    assert "w0" not in {each.name for each in found_in(texts.evidence(declared=(0,))).candidates}
    often = {each.name for each in found_in(texts.evidence(min_examples_per_term=10)).candidates}
    rarely = {each.name for each in found_in(texts.evidence(min_examples_per_term=100)).candidates}
    assert {"w0", "w2"} <= often and "w0" not in rarely


def test_a_composite_of_another_sign_is_said() -> None:
    found = {each.name: each for each in found_in(replace(planted(), second=-1.0).evidence()).candidates}
    assert found["w0"].agrees is False
    alone = found_in(replace(planted().evidence(), composites=(FIRST,))).candidates
    assert [each.agrees for each in alone] == [None] * len(alone) != []


def test_no_candidates_means_no_search_and_too_few_examples_say_why() -> None:
    assert discover(planted().evidence(candidates=0)) is None
    compared = {each.id: each for each in found_in(planted().evidence(min_group_size=120)).compared}
    reason = compared["groups.who.a-b"].reason
    assert (
        reason.startswith("independent texts with a counterpart of their true class")
        and "120 a side are needed" in reason
    )
    assert "misclassified 0" in compared["errors.fresh"].reason


def test_words_of_errors_are_no_proxies_and_their_presence_is_not_asked() -> None:
    texts = planted()
    rng = np.random.default_rng(2)
    wrong = rng.random(480) < 0.35
    texts.count[:, 3], texts.relevance[:, 3] = rng.random(480) < np.where(wrong, 0.7, 0.2), 0.5
    texts.predicted = np.where(wrong, 1 - texts.label, texts.label)
    found = [each for each in found_in(texts.evidence()).candidates if each.comparison.startswith("errors")]
    assert {(each.name, each.kind) for each in found} >= {("w3", CandidateKind.ERRORS)}
    assert all(each.kind is CandidateKind.ERRORS and each.presence is None for each in found)


def test_the_same_seed_gives_the_same_bytes_and_another_attribute_changes_no_draw() -> None:
    given = planted().evidence(permutations=9999)
    one, two = found_in(given), found_in(planted().evidence(permutations=9999))
    assert one.model_dump_json() == two.model_dump_json()
    assert one.model_dump_json() != found_in(planted().evidence(seed=1, permutations=9999)).model_dump_json()
    more = {**given.examples.attributes, "else": np.roll(given.examples.attributes["who"], 7)}
    other = found_in(replace(given, examples=replace(given.examples, attributes=more)))
    raw = {(each.comparison, each.name): each.p for each in other.candidates}
    assert all(raw.get((each.comparison, each.name), each.p) == each.p for each in one.candidates)


def test_halves_share_no_cluster() -> None:
    cluster = np.random.default_rng(0).integers(0, 41, 500)
    halves = split(cluster, np.random.default_rng(1))
    assert not set(cluster[halves.choosing]) & set(cluster[halves.testing])
    assert abs(len(set(cluster[halves.choosing])) - len(set(cluster[halves.testing]))) <= 1


def occurrences(texts: Texts) -> Iterator[tuple[int, int, float]]:
    """Oracle: every occurrence of every word, one by one."""
    for i, j in itertools.product(range(len(texts.count)), range(WORDS)):
        for _ in range(int(texts.count[i, j])):
            yield i, j, float(texts.relevance[i, j])


def test_contributions_and_their_difference_are_those_of_a_slow_oracle() -> None:
    texts = drawn(3)
    expected = np.zeros((N, WORDS))
    for i, j, relevance in occurrences(texts):
        expected[i, j] += relevance
    evidence = texts.evidence(min_group_size=10)
    fast = of_words(evidence.words, N, evidence.scale)
    assert np.stack([fast.column(j, FIRST) for j in range(WORDS)], 1) == pytest.approx(expected, abs=1e-12)
    assert np.stack([fast.holds(j) for j in range(WORDS)], 1) == pytest.approx((texts.count > 0).astype(float))
    (compared, *_) = comparisons(evidence)
    half = layers_of(evidence, compared, np.arange(N) % 2 == 0)
    differences, weights = [], []
    for k in (0, 1):
        sides = [
            [expected[i, 5] for i in range(0, N, 2) if texts.label[i] == k and texts.who[i] == name] for name in "ab"
        ]
        differences.append(np.mean(sides[0]) - np.mean(sides[1]))
        weights.append(len(sides[0]) * len(sides[1]) / (len(sides[0]) + len(sides[1])))
    found = difference_within(expected[half.rows, 5], half, level=0.95, unit="")
    assert found.value == pytest.approx(np.average(differences, weights=weights))


def test_joint_permutation_is_every_arrangement_counted() -> None:
    rng = np.random.default_rng(4)
    layer, side = np.repeat([0, 1], [6, 5]), np.array([1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0], dtype=bool)
    values = np.round(rng.normal(size=(11, 3)) * (rng.random((11, 3)) < [[1.0, 0.5, 0.3]]), 2)
    centred = values - np.stack([values[layer == k].mean(0) for k in (0, 1)])[layer]
    sums = np.array([
        centred[list(one)].sum(0) + centred[[6 + i for i in two]].sum(0)
        for one in itertools.combinations(range(6), 2) for two in itertools.combinations(range(5), 2)
    ])  # fmt: skip
    exact = (np.abs(sums) >= np.abs(centred[side].sum(0)) - 1e-9).mean(0)
    found = joint_permutation(values, side, layer, rng=np.random.default_rng(5), resamples=999)
    assert found == pytest.approx(exact, abs=0.06)
    assert joint_permutation(np.zeros((11, 1)), side, layer, rng=rng, resamples=99).tolist() == [1.0]


def test_rare_words_keep_their_level_far_in_the_tail() -> None:
    rng, p = np.random.default_rng(6), []
    for _ in range(40):
        values = np.zeros((300, 60))
        for word in range(60):
            values[rng.choice(300, 12, replace=False), word] = rng.normal(0.3, 0.1, 12)
        p.append(joint_permutation(values, rng.random(300) < 0.15, rng.integers(0, 2, 300), rng=rng, resamples=1999))
    shares = [(np.concatenate(p) <= alpha).mean() for alpha in (0.05, 0.01, 0.002)]
    assert shares[0] < 0.06 and shares[1] < 0.015 and shares[2] < 0.005


def cells(n: int = 300, *, declared: tuple[int, ...] = ()) -> Evidence:
    """Cell 3 of four carries more for a; the maps of ten photographs are empty."""
    texts = drawn(1, n=n)
    given, rng = texts.evidence(), np.random.default_rng(7)
    net = rng.normal(0, 0.1, (n, 4)).astype(np.float32)
    net[texts.who == "a", 3] += 0.1
    net[:10] = np.nan
    boxes = np.array([[0, 0, 5, 5], [5, 0, 10, 5], [0, 5, 5, 10], [5, 5, 10, 10]])
    table = CellTable({FIRST: net, SECOND: net}, boxes, boxes * 2 + 3, np.isin(np.arange(4), declared), aligned=True)
    config = given.config.model_copy(
        update={"task": "image", "groups": (), "regions": (Region(name="r", grid=(1, 1)),)}
    )
    return replace(given, words=None, cells=table, config=config)


def test_a_cell_is_named_by_its_boxes_and_declared_ones_are_left_out() -> None:
    (one, *_) = found_in(cells()).candidates
    assert (one.box, one.photograph, one.larger, one.kind) == (
        (5, 5, 10, 10),
        (13, 13, 23, 23),
        "a",
        CandidateKind.DIFFERENT,
    )
    assert one.presence is None and one.examples is None
    left = found_in(cells(declared=(3,)))
    assert (5, 5, 10, 10) not in {each.box for each in left.candidates} and left.covered == 1 and left.aligned is True


def test_photographs_with_an_empty_map_are_not_compared() -> None:
    found = signals(cells())
    assert found is not None and found.usable.sum() == 290 and len(found.example) == 4 * 290
    assert of_cells(cells().cells).column(0, FIRST)[:10].tolist() == [0.0] * 10


def test_a_difference_without_layers_has_a_reason() -> None:
    empty = Layers(np.zeros(0, int), np.zeros(0, int), np.zeros(0, bool), np.zeros(0, int))
    assert difference_within(np.zeros(0), empty, level=0.95, unit="").reason == "no layer holds both sides"
