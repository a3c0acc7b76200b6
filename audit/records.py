"""The versioned record that every report is rendered from: frozen pydantic models, written to `audit.json`."""

from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, JsonValue

SCHEMA_VERSION = "2.0"


class Verdict(StrEnum):
    """What may be said of one finding; never 'pass' from p > .05."""

    BREACH = "BREACH"
    DIFFERENT = "DIFFERENT"
    EQUIVALENT = "EQUIVALENT"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_TESTABLE = "NOT TESTABLE"


SHOWN: Final = (Verdict.BREACH, Verdict.DIFFERENT)
"""Verdicts under which a difference is shown."""


class Entry(BaseModel):
    """Base of every part of the record: frozen and closed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(Entry):
    """A number never travels alone: `value` with interval, unit and counts, or None with the reason.

    `n` is None only in what is published: it, or what it tells of another group, is too small to show. `dropped` is then not told
    either, and its 0 means nothing: read `left_out`.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    unit: str = ""
    interval: str = ""
    n: int | None = 0
    clusters: int | None = None
    dropped: int = 0
    reason: str = ""

    @property
    def left_out(self) -> int | None:
        """How many examples were dropped; None where that is not published."""
        return None if self.n is None else self.dropped


class Estimand(Entry):
    """What a finding estimates: `measure` per `unit`, compared as `contrast` says, among the `population`, under `condition`."""

    population: str
    unit: str
    measure: str
    contrast: str
    condition: str = ""

    @property
    def words(self) -> str:
        """The estimand as one sentence."""
        parts = (f"{self.measure}: {self.contrast}", self.condition, f"over {self.population}", f"unit: {self.unit}")
        return "; ".join(filter(None, parts))


class Test(Entry):
    """One hypothesis test; `p_adjusted` is corrected within `family`, which has `m` testable members and spends `alpha`.

    `omnibus`: p of no difference between any of the groups of which a pair is tested; `p_adjusted` is never below it.
    """

    __test__ = False  # not a pytest class
    name: str
    p: float | None = None
    p_adjusted: float | None = None
    family: str = ""
    correction: str = ""
    m: int = 0
    alpha: float | None = None
    resamples: int | None = None
    omnibus: float | None = None


class Sensitivity(Entry):
    """The finding under another choice than the config's: what is `changed`, the estimate then, and the verdict it would have.

    `same_unit`: sizes can be compared; if not, as of another composite, only whether a difference is shown, and in which direction.
    """

    changed: str
    estimate: Estimate
    verdict: Verdict
    same_unit: bool = True


class Check(Entry):
    """The finding's question asked of an intervention: how (`by`), what it gives in the place of relevance, and predictions it flips.

    `flips` is the share of predictions that change beyond that of the control, where the question is about one feature alone.
    """

    by: str
    estimate: Estimate
    flips: Estimate | None = None


class Agreement(Entry):
    """How net relevance of a feature goes with what hiding it does (`by`), over examples and features that were hidden.

    `spearman` is the rank correlation; `sign` how often the directions agree, of effects from .1 sd of the contrast logit.
    """

    composite: str
    by: str
    spearman: Estimate
    sign: Estimate


class ValidityCheck(Entry):
    """One thing asked of the explanation itself, on a sample: `asks` is its key in `audit.questions.REQUIREMENTS`.

    `by` is a fill or a composite. `holds` is None where it is not required, or there is too little to say; then `estimate` tells why.
    """

    asks: str
    by: str
    estimate: Estimate
    holds: bool | None


class Grade(StrEnum):
    """How far a difference that is shown is backed by interventions; the first is the strongest."""

    CONFIRMED = "confirmed"
    SUPPORTED = "supported"
    SUGGESTIVE = "suggestive"
    REFUTED = "refuted by intervention"


class Finding(Entry):
    """One row of the verdict grid; `flips` are the entries of `sensitivity` under which the verdict, or its direction, is another.

    `grade` is None where no difference is shown; `grounds` says in one sentence why it is what it is.
    """

    id: str
    question: str
    attribute: str
    groups: tuple[str, ...]
    composite: str | None = None
    estimand: Estimand
    estimate: Estimate
    test: Test
    margin: float | None = None
    verdict: Verdict
    reason: str
    gate: bool = False
    second_opinion: tuple["Opinion", ...] = ()
    detectable: float | None = None
    needed_n: int | None = None
    null: tuple[float, ...] = ()
    sensitivity: tuple[Sensitivity, ...] = ()
    checks: tuple[Check, ...] = ()
    grade: Grade | None = None
    grounds: str = ""
    details: dict[str, JsonValue] = {}

    @property
    def flips(self) -> tuple[Sensitivity, ...]:
        """Other choices with another verdict, or a difference in the other direction; where nothing can be tested there is none."""
        return tuple(other for other in self.sensitivity if self._another(other) or self._turned(other))

    def _another(self, other: Sensitivity) -> bool:
        if other.same_unit or other.verdict is Verdict.NOT_TESTABLE:
            return other.verdict not in (self.verdict, Verdict.NOT_TESTABLE)
        return self.verdict in SHOWN and other.verdict not in SHOWN

    def _turned(self, other: Sensitivity) -> bool:
        one, two = self.estimate.value, other.estimate.value
        shown = {self.verdict, other.verdict} <= set(SHOWN)
        return shown and one is not None and two is not None and one * two < 0

    @property
    def fragile(self) -> bool:
        """Whether another choice would give another verdict or direction."""
        return bool(self.flips)


class Opinion(Entry):
    """The same quantity under another composite: does the verdict survive the rule?"""

    composite: str
    estimate: Estimate
    p: float | None = None
    null: tuple[float, ...] = ()


class TermCount(Entry):
    """How often a declared term was found; None where too few to publish. `tested`: enough examples to enter a relevance test."""

    attribute: str
    group: str
    term: str
    occurrences: int | None
    examples: int | None
    tested: bool
    candidates: int | None = None
    forms: dict[str, int | None] = {}


class TermEffect(Entry):
    """Mean net relevance of a term on the contrast logit, over examples that hold it, per true class ('all' = every class)."""

    attribute: str
    group: str
    term: str
    label: str
    estimate: Estimate


class Distribution(Entry):
    """Shares of relevance of one group over the examples that hold it: how many are exactly 0, and how many lie in each bin.

    All groups of a record have the same bins, which end at the largest share. What is published joins bins that are too small
    to show; `zeros` is None where they were joined to the first bin.
    """

    group: str
    composite: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    zeros: int | None
    n: int
    mean: Estimate


class Token(Entry):
    """A piece of text with its signed relevance; `text` includes the blanks before it, so that tokens join to the text."""

    text: str
    relevance: float
    groups: tuple[str, ...] = ()


class RegionShare(Entry):
    """One region of one image: share of |R|, net R over sum |R|, share of the pixels; None where it is absent or the map is empty."""

    name: str
    share: float | None
    net: float | None
    size: float | None


class Exhibit(Entry):
    """One misclassified example, a text or an image: relevance of predicted minus true class; `margin` is that logit.

    `picture` is a base64 JPEG: the image as the model sees it (as `report.images` allows), beside its map in the colours of `scale`,
    the relevance per pixel over sum |R| that the strongest colour stands for.
    """

    id: str
    label: str
    predicted: str
    margin: float
    tokens: tuple[Token, ...] = ()
    regions: tuple[RegionShare, ...] = ()
    picture: str = ""
    scale: float | None = None


class LedgerSummary(Entry):
    """Where the explained logit went, median over examples per composite, as a share of the sum of |terms|: above 0 what
    pushed the logit to the side on which it lies, below 0 what pushed against it.

    `used`: what the engine calls the composite; for `auto`, what it chose and why. `attribute`, `group`: empty for all examples.
    Too small to publish: `n` or `empty_maps` None, and no entries.
    """

    composite: str
    used: str = ""
    attribute: str = ""
    group: str = ""
    entries: dict[str, float]
    closure_median: float
    closure_max: float
    empty_maps: int | None = 0
    empty_ids: tuple[str, ...] = ()
    n: int | None


class Lexicon(Entry):
    """Where the terms of an attribute come from."""

    attribute: str
    source: str
    sha256: str
    provenance: str
    never_seen: dict[str, tuple[str, ...]] = {}


class RegionRecord(Entry):
    """One region of the images: where its masks come from, how often it is there, and how much relevance it holds.

    `share` and `net` are means by composite. `ratios` of the mean share are description only: to the mean `area`, to the share when
    the map is `mirrored` and to that when the map is moved to a `random place`. `cells` are rows of 0 and 1 of a region that is
    the same in every photograph, in the cells of the mean maps.
    """

    name: str
    source: str
    provenance: str
    error_rate: float | None = None
    present: int | None
    absent: int | None
    unmatched: int = 0
    aligned: bool
    overlap: float | None = None
    size: Estimate
    share: dict[str, Estimate]
    net: dict[str, Estimate]
    ratios: dict[str, Estimate]
    cells: tuple[str, ...] = ()


class MeanMap(Entry):
    """Mean over photographs of R over sum |R|, per cell, of one group and true class; attribute and group are "" for all.

    `error`: its standard error over `clusters` independent ones; empty for fewer than two.
    """

    attribute: str
    group: str
    label: str
    composite: str
    n: int
    clusters: int
    mean: tuple[tuple[float, ...], ...]
    error: tuple[tuple[float, ...], ...]


class DataRecord(Entry):
    """Counts that add up: rows = used + sum(excluded) + not_sampled; None where a cell is too small to publish."""

    path: str
    sha256: str
    rows: int
    used: int
    excluded: dict[str, int]
    not_sampled: int = 0
    unknown: dict[str, int | None]
    truncated: int
    labels: dict[str, int | None]
    clusters: int | None
    attributes: dict[str, dict[str, int | None]]


class ModelRecord(Entry):
    """The model under audit; `notes` says what was changed or declared to make it one that can be audited."""

    path: str
    sha256: str
    architecture: str
    parameters: int
    classes: tuple[str, ...]
    contrast: str
    logit_sd: float
    accuracy: Estimate
    notes: tuple[str, ...] = ()


class CandidateKind(StrEnum):
    """What is shown of a candidate: it occurs more often on one side, what it carries differs, or that goes with errors."""

    PROXY = "proxy"
    DIFFERENT = "used differently"
    ERRORS = "goes with errors"


class Screened(Entry):
    """One comparison in which candidates were looked for: how many words or cells were `chosen`, or the `reason` why none could be."""

    id: str
    attribute: str
    sides: tuple[str, ...]
    chosen: int = 0
    reason: str = ""


class Candidate(Entry):
    """A word or cell that nobody declared and that differs between the `sides` of a comparison, first minus second.

    `estimate` is the difference of what it carries, `presence` that of the share of examples that hold it, both of the held-out half
    and within true classes; `larger` is the side on which a proxy occurs more often, or which has the larger contribution.
    `examples` hold it in all data. `agrees`: every other composite has the sign, None if there is none. Of a cell, `box` is left,
    top, right, bottom in pixels of the input, `photograph` the same in those of the photographs.
    """

    comparison: str
    attribute: str
    sides: tuple[str, str]
    name: str
    kind: CandidateKind
    larger: str
    estimate: Estimate
    p: float
    p_adjusted: float
    presence: Estimate | None = None
    p_presence_adjusted: float | None = None
    examples: int | None = None
    agrees: bool | None = None
    box: tuple[int, int, int, int] | None = None
    photograph: tuple[int, int, int, int] | None = None


class Withheld(Entry):
    """How many candidates of a kind a comparison has that are not shown, as too few examples hold them, or do not."""

    comparison: str
    kind: CandidateKind
    n: int


class Discovery(Entry):
    """The search for what nobody declared: at most `most` a comparison are chosen on one half and tested, all `m` together, on the other.

    `aligned`: whether the measured regions lie in the same place of the input in every photograph, None for texts and where none is
    measured; `covered` cells are declared. `m` counts tests of contributions alone. Only what is published has `withheld` candidates.
    """

    most: int
    composite: str
    correction: str
    alpha: float
    m: int
    resamples: int
    compared: tuple[Screened, ...]
    candidates: tuple[Candidate, ...]
    aligned: bool | None = None
    covered: int = 0
    withheld: tuple[Withheld, ...] = ()


class Provenance(Entry):
    """What is needed to run it again."""

    git_revision: str | None
    git_dirty: bool | None
    python: str
    platform: str
    packages: dict[str, str]
    device: str
    seed: int


class Gate(Entry):
    """One question that decides the exit code: the worst verdict among its findings."""

    question: str
    state: str
    findings: tuple[str, ...]


class ProtocolChange(Entry):
    """The last finished run of the same name that had another protocol, and the settings in which that differs."""

    run_id: str
    protocol_sha256: str
    settings: tuple[str, ...]


class AuditRecord(Entry):
    """The whole audit; `audit.json` is this, and every report is rendered from it alone.

    `seconds` of a stage; "statistics.QUESTION" is the part of `statistics` that a family of questions took.
    The file is the auditor's: it keeps every count and id. A report shows `audit.report.privacy.published` of it.
    """

    schema_version: str = SCHEMA_VERSION
    name: str
    run_id: str
    started: str
    finished: str
    seconds: dict[str, float]
    protocol_sha256: str
    protocol_changed: ProtocolChange | None = None
    config: dict[str, JsonValue]
    provenance: Provenance
    data: DataRecord
    model: ModelRecord
    lexicons: tuple[Lexicon, ...] = ()
    terms: tuple[TermCount, ...] = ()
    regions: tuple[RegionRecord, ...] = ()
    concentration: dict[str, Estimate] = {}
    maps: tuple[MeanMap, ...] = ()
    ledger: tuple[LedgerSummary, ...]
    findings: tuple[Finding, ...]
    effects: tuple[TermEffect, ...] = ()
    distributions: tuple[Distribution, ...]
    exhibits: tuple[Exhibit, ...]
    agreement: tuple[Agreement, ...] = ()
    validity: tuple[ValidityCheck, ...] = ()
    discovery: Discovery | None = None
    gates: tuple[Gate, ...]
    exit_code: int
    limits: tuple[str, ...]
    warnings: tuple[str, ...] = ()


Finding.model_rebuild()
