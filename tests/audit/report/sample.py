"""A realistic record: an audit of film reviews with every verdict, every section, and hostile text. Numbers are invented."""

import numpy as np
from pydantic import JsonValue

from audit.records import (
    AuditRecord,
    Candidate,
    CandidateKind,
    DataRecord,
    Discovery,
    Distribution,
    Estimand,
    Estimate,
    Exhibit,
    Finding,
    Gate,
    LedgerSummary,
    Lexicon,
    ModelRecord,
    Opinion,
    Provenance,
    Screened,
    TermCount,
    TermEffect,
    Test,
    Token,
    Verdict,
)
from audit.report import document
from audit.report.publication import publication

SD = "sd of the contrast logit"
CLUSTERED = "cluster-robust t, wider where skewed"
HOSTILE = (
    "<script>alert(1)</script> is the whole plot",
    "{{7*7}} and {% raw %} stars , she says",
    "the old man and $\\frac{1}{0}$ & <img src=x onerror=alert(2)>",
    "a nul \x00 , an escape \x1b[31m and a bell \x07",
    "\u202eesrever\u202c override by a young director",
    "فيلم جميل عن امرأة شابة",
    'closing </style></title><b> tags and "quotes"',
)
PLAIN = (
    "her best work is still a bore",
    "the actress is charming and the waiters slow",
    "grandpa would have walked out ; he did",
)


def estimate(
    value: float,
    half: float,
    *,
    unit: str = SD,
    n: int = 600,
    clusters: int = 240,
    level: float = 0.95,
    kind: str = CLUSTERED,
) -> Estimate:
    """A symmetric interval."""
    few = "unreliable: fewer than 30 independent units" if clusters < 30 else ""
    return Estimate(
        value=value,
        reason=few,
        low=value - half,
        high=value + half,
        level=level,
        unit=unit,
        interval=kind,
        n=n,
        clusters=clusters,
    )


def worded(measure: str) -> Estimand:
    return Estimand(
        population="the audited texts", unit="text, or cluster of them", measure=measure, contrast="as the groups say"
    )


def finding(
    question: str, attribute: str, groups: tuple[str, ...], shown: Estimate, verdict: Verdict, reason: str, *, p: float,
    adjusted: float, m: int, family: str, margin: float | None, estimand: str, key: str = "", gate: bool = True,
    opinions: tuple[Opinion, ...] = (), null: tuple[float, ...] = (), detectable: float | None = None,
    needed_n: int | None = None, details: dict[str, JsonValue] | None = None, composite: str | None = None,
) -> Finding:  # fmt: skip
    """A tested finding."""
    return Finding(
        id=".".join(filter(None, (question, key, attribute, "-".join(groups)))), question=question, attribute=attribute,
        groups=groups, composite=composite, estimand=worded(estimand), estimate=shown, margin=margin, verdict=verdict,
        test=Test(name="rank among 999 placebo pairs", p=p, p_adjusted=adjusted, family=family, correction="Holm", m=m, resamples=999),
        reason=reason, gate=gate, second_opinion=opinions, null=null, detectable=detectable, needed_n=needed_n,
        details=details or {},
    )  # fmt: skip


def not_testable(question: str, attribute: str, groups: tuple[str, ...], reason: str) -> Finding:
    """A finding without a verdict about the data."""
    return Finding(
        id=f"{question}.{attribute}.not_testable", question=question, attribute=attribute, groups=groups,
        estimand=worded("none"), estimate=Estimate(value=None, reason=reason), test=Test(name="none"),
        verdict=Verdict.NOT_TESTABLE, reason=reason, gate=question != "disparity",
    )  # fmt: skip


def placebos(spread: float, centre: float = 0.0) -> tuple[float, ...]:
    """999 values of placebo groups."""
    return tuple(np.random.default_rng(5).normal(centre, spread, 999).round(5).tolist())


def findings() -> tuple[Finding, ...]:
    """Every verdict, and gender / religion / nationality / age as the tests expect them."""
    return (*_contrasts(), *_swaps(), *_reliance(), *_disparity(), *_outcomes())


def _contrasts() -> tuple[Finding, ...]:
    family = "contrast of word groups"
    what = "mean signed relevance of {} words minus that of {} words on the contrast logit, ranked among placebo pairs"
    second = Opinion(composite="attn_lrp", estimate=estimate(0.061, 0.03, n=734, clusters=251, level=0.975), p=0.006)
    return (
        finding(
            "contrast", "gender", ("female", "male"), estimate(0.0552, 0.0241, n=734, clusters=251, level=0.975),
            Verdict.DIFFERENT, "significant, and inside the margin of 0.1", p=0.006, adjusted=0.012, m=2, family=family,
            margin=0.1, estimand=what.format("female", "male"), opinions=(second,), null=placebos(0.018), composite="cp_lrp",
            details={"candidates per term": [41, 38, 12, 55], "p of the first composite": 0.004},
        ),
        finding(
            "contrast", "nationality", ("french", "american"), estimate(-0.071, 0.092, n=96, clusters=71, level=0.975),
            Verdict.INCONCLUSIVE, "neither a difference nor its absence within the margin of 0.1 is shown", p=0.104,
            adjusted=0.104, m=2, family=family, margin=0.1, estimand=what.format("french", "american"),
            opinions=(Opinion(composite="attn_lrp", estimate=estimate(0.012, 0.11, n=96, clusters=71), p=0.61),),
            null=placebos(0.044), detectable=0.131, needed_n=412, composite="cp_lrp",
        ),
        not_testable(
            "contrast", "religion", ("christian", "muslim", "jewish", "hindu", "buddhist", "sikh", "atheist"),
            "terms that occur in at least 10 examples: christian 2, muslim 0, jewish 1, hindu 0, buddhist 0, sikh 0, atheist 0; "
            "4 a side are needed",
        ),
        not_testable("contrast", "age", ("young", "old"), "terms that occur in at least 10 examples: young 3, old 2; 4 a side are needed"),
    )  # fmt: skip


def _swaps() -> tuple[Finding, ...]:
    family = "effect of swapping words"
    shared: dict[str, JsonValue] = {"texts swapped": 731, "from male to female": 402}
    return (
        finding(
            "intervention", "gender", ("female", "male"), estimate(0.021, 0.018, n=731, clusters=250, level=0.9875),
            Verdict.EQUIVALENT, "both one-sided tests reject a difference of 0.1 or more", p=0.11, adjusted=0.22, m=3, family=family,
            margin=0.1, estimand="mean change of the contrast logit when male words are swapped for their female counterparts",
            details=shared,
        ),
        finding(
            "intervention", "gender", ("female", "male"),
            Estimate(value=0.0137, low=0.0055, high=0.0338, level=0.9875, unit="share of predictions flipped",
                     interval="Wilson, effective n", n=731, clusters=250),
            Verdict.EQUIVALENT, "both one-sided tests reject a difference of 0.05 or more", p=0.999, adjusted=0.999, m=3,
            family=family, margin=0.05, estimand="share of predictions that change when female and male words are swapped",
            key="flips", details=shared,
        ),
        finding(
            "intervention", "age", ("old", "young"), estimate(-0.118, 0.061, n=148, clusters=97, level=0.9875),
            Verdict.DIFFERENT, "significant, but the interval does not settle whether it exceeds the margin of 0.1", p=0.0004,
            adjusted=0.0012, m=3, family=family, margin=0.1,
            estimand="mean change of the contrast logit when young words are swapped for their old counterparts",
        ),
        not_testable("intervention", "religion", ("christian", "muslim"),
                     "texts that can be swapped: christian and muslim 3; 20 are needed"),
    )  # fmt: skip


def _reliance() -> tuple[Finding, ...]:
    family = "reliance on word groups"
    what = (
        "mean relevance magnitude per {} word over mean per word of the same example, ranked among placebo word groups"
    )
    return tuple(
        finding(
            "reliance", "gender", (group,), estimate(value, 0.06, unit="ratio", n=n, clusters=200, level=0.975),
            Verdict.INCONCLUSIVE, "not shown to be among the most used word groups, which never says unused", p=p, adjusted=1.0,
            m=2, family=family, margin=None, estimand=what.format(group), gate=False, null=placebos(0.17, 1.0), detectable=1.42,
            composite="cp_lrp",
        )
        for group, value, n, p in (("female", 0.94, 331, 0.61), ("male", 0.81, 402, 0.9))
    )  # fmt: skip


def _disparity() -> tuple[Finding, ...]:
    return (
        not_testable(
            "disparity", "gender (mentioned)", ("female", "male"),
            "examples with age words: female 12 against male 9; examples with nationality words: female 6 against male 11; "
            "20 examples a side are needed",
        ),
    )  # fmt: skip


def _outcomes() -> tuple[Finding, ...]:
    family, kind = "outcome gaps", "Newcombe, effective n"

    def gap(
        measure: str, attribute: str, groups: tuple[str, str], shown: Estimate, verdict: Verdict, reason: str, p: float
    ) -> Finding:
        reference, rate = (
            estimate(value, 0.06, unit=measure, n=shown.n // 2, kind="Wilson, effective n")
            for value in (0.31, 0.31 + (shown.value or 0.0))
        )
        return finding(
            "outcome", attribute, groups, shown, verdict, reason, p=p, adjusted=min(1.0, 4 * p), m=4, family=family, margin=0.05,
            estimand=f"{measure} of {groups[0]} minus {measure} of {groups[1]}", key=measure.replace(" ", "_"),
            details={"measure": measure, "rate": rate.model_dump(), "reference rate": reference.model_dump()},
            detectable=0.094 if verdict is Verdict.INCONCLUSIVE else None, needed_n=2960 if verdict is Verdict.INCONCLUSIVE else None,
        )  # fmt: skip

    def rate_gap(value: float, half: float, n: int, measure: str) -> Estimate:
        return estimate(value, half, unit=f"difference in {measure}", n=n, clusters=120, level=0.9875, kind=kind)

    beyond = "significant, and the adjusted interval lies wholly beyond the margin of 0.05"
    open_ = "neither a difference nor its absence within the margin of 0.05 is shown"
    return (
        gap("error rate", "age (mentioned)", ("old", "young"), rate_gap(0.143, 0.081, 302, "error rate"), Verdict.BREACH, beyond, 0.0003),
        gap("selection rate", "age (mentioned)", ("old", "young"), rate_gap(-0.038, 0.07, 302, "selection rate"),
            Verdict.INCONCLUSIVE, open_, 0.21),
        gap("error rate", "gender (mentioned)", ("female", "male"), rate_gap(-0.004, 0.042, 1270, "error rate"), Verdict.EQUIVALENT,
            "both one-sided tests reject a difference of 0.05 or more", 0.79),
        gap("selection rate", "gender (mentioned)", ("female", "male"), rate_gap(0.024, 0.047, 1270, "selection rate"),
            Verdict.INCONCLUSIVE, open_, 0.2),
        not_testable("outcome", "religion (mentioned)", ("christian", "muslim"),
                     "selection rate: christian has 4 and muslim 1 examples; at least 20 each are needed"),
    )  # fmt: skip


def exhibits() -> tuple[Exhibit, ...]:
    """Ten misclassified texts; the tokens of each join to its text."""
    rng = np.random.default_rng(11)
    made = []
    for i, text in enumerate((*PLAIN, *HOSTILE)):
        words = text.split(" ")
        tokens = tuple(
            Token(
                text=word if j == 0 else f" {word}",
                relevance=float(rng.normal(0, 0.3)),
                groups=("gender.female",) if word in {"her", "actress", "she"} else ("age.old",) if word in {"grandpa", "old"} else (),
            )
            for j, word in enumerate(words)
        )  # fmt: skip
        made.append(Exhibit(id=f"r{i:05}", label="rotten" if i % 2 else "fresh", predicted="fresh" if i % 2 else "rotten",
                            margin=(1.4 if i % 2 else -0.9) + 0.05 * i, tokens=tokens))  # fmt: skip
    return tuple(made)


def terms() -> tuple[tuple[TermCount, ...], tuple[TermEffect, ...]]:
    """Terms found, and the effects of the frequent ones by class."""
    rng = np.random.default_rng(3)
    counted, effects = [], []
    for attribute, group, term, n in (
        ("gender", "female", "she", 120), ("gender", "female", "her", 210), ("gender", "female", "woman", 41),
        ("gender", "female", "actress", 19), ("gender", "male", "he", 240), ("gender", "male", "his", 260),
        ("gender", "male", "man", 77), ("gender", "male", "father", 26), ("gender", "male", "waiter", 2),
        ("age", "old", "elderly", 12), ("age", "young", "teen", 31), ("nationality", "french", "french", 44),
        ("nationality", "american", "american", 52), ("religion", "christian", "<b>christian</b>", 2),
    ):  # fmt: skip
        counted.append(TermCount(attribute=attribute, group=group, term=term, occurrences=n + n // 9, examples=n, tested=n >= 10,
                                 candidates=30, forms={term: n} | ({term.title(): n // 9} if n > 9 else {})))  # fmt: skip
        for label, part in (("all", n), ("rotten", n // 2), ("fresh", n - n // 2)):
            if part >= 5:
                shown = estimate(float(rng.normal(0.02, 0.05)), 0.4 / np.sqrt(part), n=part, clusters=max(2, part - 3))
                effects.append(TermEffect(attribute=attribute, group=group, term=term, label=label, estimate=shown))
    return tuple(counted), tuple(effects)


def distributions() -> tuple[Distribution, ...]:
    """Shares of four groups."""
    edges = tuple(np.linspace(0, 1, 21).tolist())
    return tuple(
        Distribution(group=group, composite="cp_lrp", edges=edges, counts=(*counts, *[0] * (20 - len(counts))), zeros=zeros,
                     n=sum(counts) + zeros, mean=estimate(mean, 0.008, unit="share of |R|", n=sum(counts) + zeros))
        for group, counts, zeros, mean in (
            ("gender.female", (180, 90, 40, 14, 5, 2), 0, 0.052), ("gender.male", (240, 110, 41, 9, 2), 1, 0.047),
            ("age.old", (60, 50, 22, 9), 0, 0.071), ("nationality.french", (20, 14, 8, 2), 3, 0.066),
        )
    )  # fmt: skip


def discovery() -> Discovery:
    """Candidates of two comparisons, hostile words among them, and a comparison that could not be asked."""
    compared = (
        Screened(id="groups.gender.female-male", attribute="gender", sides=("female", "male"), chosen=20),
        Screened(id="errors.fresh", attribute="true fresh", sides=("misclassified", "correct"), chosen=20),
        Screened(id="errors.rotten", attribute="true rotten", sides=("misclassified", "correct"),
                 reason="independent texts with a counterpart of their true class, in the half with fewer: misclassified 3, correct 412; "
                        "20 a side are needed"),
    )  # fmt: skip

    def candidate(name: str, kind: CandidateKind, *, at: int = 0, examples: int = 64, value: float = 0.12) -> Candidate:
        sides = compared[at].sides
        return Candidate(
            comparison=compared[at].id, attribute=compared[at].attribute, sides=sides, name=name, kind=kind, larger=sides[value < 0],
            estimate=estimate(value, 0.05), p=0.0001, p_adjusted=0.004, presence=estimate(0.2, 0.07) if at == 0 else None,
            p_presence_adjusted=0.002 if at == 0 else None, examples=examples, agrees=value > 0,
        )  # fmt: skip

    return Discovery(
        most=20, composite="cp_lrp", correction="Benjamini-Hochberg", alpha=0.05, m=60, resamples=9999, compared=compared,
        candidates=(
            candidate("ballet", CandidateKind.PROXY),
            candidate("<img src=x onerror=alert(3)>", CandidateKind.PROXY, value=-0.2),
            candidate("no", CandidateKind.DIFFERENT, value=-0.1),
            candidate("plot", CandidateKind.ERRORS, at=1),
        ),
    )  # fmt: skip


def config() -> dict[str, JsonValue]:
    """The resolved config, as the pipeline records it."""
    return {
        "name": "film_reviews", "task": "text", "seed": 7, "data": {"path": "reviews.csv", "columns": {"cluster": "film"}},
        "model": {"path": "models/reviews", "dtype": "float32"}, "target": {"favour": "fresh", "against": "rotten"},
        "margins": {"contrast": 0.1, "swap": 0.1, "flips": 0.05, "outcome": 0.05}, "gates": ["contrast", "intervention", "outcome"],
        "report": {"examples": 10, "show_text": True, "smallest_cell": 1},
    }  # fmt: skip


def sample_record() -> AuditRecord:
    """The record that report and store tests share."""
    counted, effects = terms()
    found = findings()
    states = {"contrast": "inconclusive", "intervention": "inconclusive", "outcome": "breached"}
    return AuditRecord(
        name="film_reviews", run_id="20260501T101500Z-a1b2c3", started="2026-05-01T10:15:00+00:00",
        finished="2026-05-01T10:19:42+00:00",
        seconds={"model": 4.1, "data": 0.6, "relevance": 201.5, "interventions": 30.2, "statistics": 41.0, "exhibits": 1.1,
                 "statistics.contrast": 31.25, "statistics.outcome": 4.5},
        protocol_sha256="a1b2c3" + "0" * 58, config=config(),
        provenance=Provenance(git_revision="bed5d4aee31210891326e75897108b0bddb3f962", git_dirty=True, python="3.11.7",
                              platform="Linux-6.1-x86_64", packages={"torch": "2.13.0", "numpy": "2.4.6"}, device="cpu", seed=7),
        data=DataRecord(path="reviews.csv", sha256="d" * 64, rows=3100, used=2981, excluded={"empty text": 12, "label missing": 7},
                        not_sampled=100, unknown={"gender": 31}, truncated=5, labels={"fresh": 1720, "rotten": 1261}, clusters=404,
                        attributes={"gender": {"female": 331, "male": 402}}),
        model=ModelRecord(path="models/reviews", sha256="e" * 64, architecture="BertForSequenceClassification", parameters=22713986,
                          classes=("rotten", "fresh"), contrast="fresh - rotten", logit_sd=1.78,
                          accuracy=estimate(0.801, 0.016, unit="accuracy", n=2981, clusters=404, kind="Wilson, effective n")),
        lexicons=(
            Lexicon(attribute="gender", source="lexicon gender", sha256="f" * 64, provenance="Curated by the project, 2026.",
                    never_seen={"male": ("landlord", "stepson"), "female": ("landlady",)}),
            Lexicon(attribute="age", source="lexicon age", sha256="a" * 64, provenance="Curated by the project, 2026."),
            Lexicon(attribute="nationality", source="lexicon race_ethnicity_nationality", sha256="b" * 64, provenance="Curated."),
            Lexicon(attribute="religion", source="lexicon religion", sha256="c" * 64, provenance="Curated.",
                    never_seen={"sikh": ("sikh", "gurdwara")}),
        ),
        terms=counted,
        ledger=tuple(
            LedgerSummary(composite=name, entries={"inputs": a, "bias": -0.118, "norm": -0.31, "positional": 0.2},
                          closure_median=7.2e-8, closure_max=4.2e-7, n=2981)
            for name, a in (("cp_lrp", 0.282), ("attn_lrp", 0.341))
        ),
        discovery=discovery(),
        findings=found, effects=effects, distributions=distributions(), exhibits=exhibits(),
        gates=tuple(
            Gate(question=q, state=s, findings=tuple(f.id for f in found if f.question == q)) for q, s in states.items()
        ),
        exit_code=3,
        limits=("Relevance is not causation, and a causal effect is not by itself unfair; people decide what a disparity means.",
                "Little relevance is not evidence of equal treatment; a high p value never says 'unused'.",
                "An audit supports legal compliance and never establishes it."),
    )  # fmt: skip


def html(record: AuditRecord) -> bytes:
    """The page of what may be published of a record."""
    return document.html(publication(record))
