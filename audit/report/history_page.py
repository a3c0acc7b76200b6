"""What `history.html` shows of each name: which charts, which rows of the table, and what is left out with its number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol, final

from audit.records import GatedFinding, Verdict
from audit.report.history import Protocol as Looks
from audit.report.history import Series, Step, series, worst
from audit.report.history_charts import Drawn, chart

MOST_CHARTS: Final = 12
LEAST_CHARTS: Final = 2
ALL_CHARTS: Final = 48  # of a page with several names
NEWEST: Final = 250  # rows of the table of runs
MOST_BREACHED: Final = 1_000  # older ones with a breach
MOST_PROTOCOLS: Final = 40


class Told(Protocol):
    """The runs of one name, as `audit.history` reads them."""

    @property
    def name(self) -> str: ...
    @property
    def steps(self) -> Sequence[Step]: ...
    @property
    def earlier(self) -> int: ...
    @property
    def protocols(self) -> list[Looks]: ...
    @property
    def broken(self) -> Mapping[str, str]: ...


@final
@dataclass(frozen=True)
class Section:
    """One name on the page; `most` charts are drawn."""

    number: int
    told: Told
    most: int

    @cached_property
    def every(self) -> list[Series]:
        """Gated findings that have an estimate to draw, the most urgent first."""
        return [each for each in series(self.told.steps) if each.drawable]

    @cached_property
    def withheld(self) -> list[Series]:
        """Those that were tested, and of which no estimate may be shown."""
        return [each for each in series(self.told.steps) if not each.drawable]

    @cached_property
    def charts(self) -> list[tuple[Series, Drawn]]:
        """Of the most urgent."""
        return [
            (each, chart(f"series-{self.number}-{i}", each, self.told.steps))
            for i, each in enumerate(self.every[: self.most], 1)
        ]

    @property
    def undrawn(self) -> int:
        """How many gated findings have no chart."""
        return max(0, len(self.every) - self.most)

    @property
    def undrawn_breaches(self) -> int:
        """How many of these breach in the newest run."""
        newest = [each.points[-1] for each in self.every[self.most :]]
        return sum(each is not None and each.verdict is Verdict.BREACH for each in newest)

    @cached_property
    def rows(self) -> list[tuple[Step, GatedFinding | None]]:
        """The newest runs, and older ones with a breach; the newest last."""
        steps = self.told.steps
        older = [step for step in steps[:-NEWEST] if "breached" in step.run.gates.values()]
        return [(step, worst(step.run)) for step in (*older[-MOST_BREACHED:], *steps[-NEWEST:])]

    @property
    def protocols(self) -> list[Looks]:
        """The newest, newest last."""
        return self.told.protocols[-MOST_PROTOCOLS:]


def sections(histories: Sequence[Told]) -> list[Section]:
    """Names that have runs; with many names fewer charts each."""
    shown = [each for each in histories if each.steps]
    most = max(LEAST_CHARTS, min(MOST_CHARTS, ALL_CHARTS // max(1, len(shown))))
    return [Section(i, each, most) for i, each in enumerate(shown, 1)]
