"""What is described without a verdict: terms, regions, maps, shares, examples, and where the logit went."""

from pydantic import Field

from audit.records.base import Entry, Estimate


class TermCount(Entry):
    """How often a declared term was found; None where too few to publish. `tested`: enough examples to enter a relevance test."""

    attribute: str
    group: str
    term: str
    occurrences: int | None
    examples: int | None
    tested: bool
    candidates: int | None = None
    forms: dict[str, int | None] = Field(default_factory=dict)


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


class Explanation(Entry):
    """One explained input: `ledger` maps an entry to its part of the explained logit, which is `output`.

    A text has `tokens`, an image `regions` and `picture`, its map over the photograph as a file called `name`.
    """

    explained: str
    composite: str
    output: float
    predicted: str
    ledger: dict[str, float]
    tokens: tuple[Token, ...] = ()
    regions: tuple[RegionShare, ...] = ()
    picture: bytes = b""
    name: str = ""


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
    never_seen: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class RegionRecord(Entry):
    """One region of the images: where its masks come from, how often it is there, and how much relevance it holds.

    `share` and `net` are means by composite. `ratios` of the mean share are description only: to the mean `area`, to the share when
    the map is `mirrored` and to that when the map is moved to a `random place`. `cells` are rows of 0 and 1 of a region that is
    the same in every photograph, in the cells of the mean maps. `sha256` is that of its masks as the model sees them, wherever they
    come from, of all photographs in their order (None in older records); the hash of the data holds mask and annotation files too.
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
    sha256: str | None = None


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
