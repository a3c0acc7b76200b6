"""What every part of the record is made of: frozen and closed models, and numbers that never travel alone."""

from pydantic import BaseModel, ConfigDict


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

    def within(self, margin: float) -> bool:
        """Whether the interval lies strictly inside -margin to margin."""
        return self.low is not None and self.high is not None and -margin < self.low and self.high < margin
