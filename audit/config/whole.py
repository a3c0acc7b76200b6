"""The whole config, and what its blocks ask of one another."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, model_validator

from audit.config.base import Block, Name
from audit.config.baseline import Baseline
from audit.config.compliance import Compliance
from audit.config.data import Data
from audit.config.engine import Engine
from audit.config.features import Groups, Region
from audit.config.model import Model, Target
from audit.config.notify import Notify
from audit.config.output import Debug, Report
from audit.config.relevance import LRP, Relevance
from audit.config.statistics import Checks, Margins, Statistics
from audit.errors import did_you_mean
from audit.questions import QUESTIONS, gates

GATES: Final = tuple(dict.fromkeys((*gates("text"), *gates("image"))))
if TYPE_CHECKING:
    Gated = str
else:
    Gated = Literal[GATES]
IMAGE_GATES: Final = ("disparity", "outcome")


class Config(Block):
    """A whole audit."""

    name: Name = Field(description="names the output folder; default: the file's name")
    task: Literal["text", "image"] = "text"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    about: str = Field("", description="what this audit is about, in words; stands at the top of the report")
    requires: tuple[str, ...] = Field(
        (), description="what you must supply, in words; told when the data are not there"
    )
    data: Data
    model: Model
    target: Target
    groups: tuple[Groups, ...] = Field((), description="protected attributes in texts")
    regions: tuple[Region, ...] = Field((), description="regions of images")
    relevance: Relevance = Relevance()
    statistics: Statistics = Statistics()
    checks: Checks = Checks()
    margins: Margins = Margins()
    gates: tuple[Gated, ...] = Field(
        ("contrast", "intervention", "outcome"),
        description=f"questions whose verdicts set the exit code; default for images: {', '.join(IMAGE_GATES)}",
    )
    engine: Engine = Engine()
    baseline: Baseline | None = Field(
        None, description="an earlier run that this one must not be worse than; further gates"
    )
    debug: Debug = Debug()
    report: Report = Report()
    compliance: Compliance = Compliance()
    notify: Notify = Notify()
    tracking: Literal["mlflow"] | None = Field(
        None,
        description="a store that each run is logged to: mlflow takes MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME from the environment",
    )
    output: str = Field("reports", description="folder for the runs, relative to the working directory")

    def alpha_of(self, question: str) -> float:
        """What the tests of one question may spend in one run: the gates share it evenly, so that a run breaches none by chance."""
        return self.statistics.spent / (self._gates if question in self.gates else 1)

    @property
    def alpha_of_baseline(self) -> float:
        """What each gate against the baseline may spend in one run: the share of any gate."""
        return self.statistics.spent / max(1, self._gates)

    @property
    def _gates(self) -> int:
        return len(self.gates) + len(self.worse_by)

    @property
    def worse_by(self) -> Mapping[str, float]:
        """The margin of every question that is a gate against the baseline."""
        given = self.baseline.worse_by if self.baseline else {}
        margins = given if isinstance(given, Mapping) else dict.fromkeys(self.gates, given)
        return {question: float(str(margin)) for question, margin in margins.items()}

    @model_validator(mode="after")
    def _what_the_task_needs(self) -> "Config":
        needed, other = ("groups", "regions") if self.task == "text" else ("regions", "groups")
        if getattr(self, other):
            task = "image" if other == "regions" else "text"
            raise ValueError(f"{other}: not for task {self.task!r}; declare {needed}, or write `task: {task}`")
        if not getattr(self, needed):
            raise ValueError(f"{needed}: required for task {self.task!r}: say what relevance is summed over")
        if self.task == "text" and self.model.module:
            raise ValueError("model.module: only for task 'image'; give model.path")
        never, allowed = set(self.gates) - set(gates(self.task)), ", ".join(gates(self.task))
        if never:
            raise ValueError(f"gates: {min(never)!r} is no gate for task {self.task!r}; choose from {allowed}")
        if self.debug.virelay and self.task == "text":
            raise ValueError("debug.virelay: ViRelAy shows photographs alone; leave it out for task 'text'")
        if self.debug.virelay and (not self.debug.clustered or self.report.images != "show"):
            raise ValueError(
                "debug.virelay: it writes photographs with their clusters; it needs debug.clustered above 0, and report.images: show"
            )
        if self.debug.layers and self.relevance.method != LRP:
            raise ValueError(
                f"debug.layers: {self.relevance.method} knows no layers; they need relevance.method: {LRP}"
            )
        names = [region.name for region in self.regions]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"regions: two regions have one name, {twice[0]!r}; give each its own")
        attributes = {*self.data.columns.attributes, *(block.attribute for block in self.groups)}
        asked = {*self.statistics.reference, *(name for names in self.statistics.intersections for name in names)}
        if asked - attributes:
            known = ", ".join(sorted(attributes)) or "none is declared"
            raise ValueError(
                f"statistics: {min(asked - attributes)!r} is no attribute of this audit; attributes: {known}"
            )
        if self.task == "image" and self.statistics.sign != "|R|":
            raise ValueError(
                "statistics.sign: images are compared by |R|, which their re-initialised copies are measured in"
            )
        if self.statistics.sign == "net" and self.data.columns.covariates:
            raise ValueError(
                "statistics.sign: net relevance cannot be adjusted for covariates, which takes shares; use |R|, R+ or R-"
            )
        if self.statistics.jitter and not (self.model.preprocessing and self.model.preprocessing.crop):
            raise ValueError("statistics.jitter: needs model.preprocessing.crop, which it shifts")
        return self

    @model_validator(mode="after")
    def _baseline_names_questions(self) -> "Config":
        known = [name for name, asked in QUESTIONS.items() if self.task in asked.put]
        for question in self.worse_by:
            if question not in known:
                near = did_you_mean(question, known) or f"; choose from {', '.join(known)}"
                raise ValueError(f"baseline.worse_by: {question!r:.80} is no question for task {self.task!r}{near}")
        if self.baseline and not self.worse_by:
            raise ValueError(
                "baseline.worse_by: there is no gate that one number could be for; write {question: margin}"
            )
        return self

    @model_validator(mode="after")
    def _compliance_names_columns(self) -> "Config":
        columns = {*self.compliance.axes.values(), *([self.compliance.strata] if self.compliance.strata else [])}
        if columns - self.data.columns.attributes.keys():
            known = ", ".join(self.data.columns.attributes) or "none is declared"
            odd = min(columns - self.data.columns.attributes.keys())
            raise ValueError(f"compliance: {odd!r} is no column in data.columns.attributes; those are: {known}")
        return self

    @model_validator(mode="after")
    def _attributes_once(self) -> "Config":
        names = [group.attribute for group in self.groups]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"groups: attribute {repeated[0]!r} is declared twice")
        return self
