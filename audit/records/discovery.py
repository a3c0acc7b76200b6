"""Candidates nobody declared."""

from enum import StrEnum

from audit.records.base import Entry, Estimate


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
