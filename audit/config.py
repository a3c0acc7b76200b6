"""The closed schema of an audit config: frozen pydantic models, one per block of the YAML file."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, WithJsonSchema, model_validator

Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Name = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", max_length=100)]
Gated = Literal["contrast", "disparity", "outcome", "intervention"]  # reliance has no margin, so no gate


def _named(composite: JsonValue) -> JsonValue:
    if isinstance(composite, str) or (isinstance(composite, dict) and isinstance(composite.get("name"), str)):
        return composite
    raise ValueError("write the name of a composite, or a mapping with its name: {name: attn_lrp, gamma: 0.25}")


# What lrp.composites.resolve takes; the engine alone knows its names and parameters, and a config is read without torch.
Composite = Annotated[
    JsonValue,
    AfterValidator(_named),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object", "required": ["name"]}]}),
]


class Block(BaseModel):
    """Base of every block: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Columns(Block):
    """Which column of the data file holds what."""

    id: str | None = Field("id", description="unique row id; null numbers the rows from 1")
    text: str = Field("text", description="the text to classify")
    label: str = Field("label", description="the true class, a name or an integer index")
    cluster: str | None = Field(None, description="rows that belong together: author, film, subject")
    spans: str | None = Field(None, description="JSON list of [start, end, attribute, group] in characters")
    attributes: dict[Name, str] = Field(default_factory=dict, description="attribute name: column")


class Data(Block):
    """The labelled dataset."""

    path: str = Field(description="CSV, JSONL or Parquet file, relative to the config; or builtin:NAME")
    format: Literal["csv", "jsonl", "parquet"] | None = Field(None, description="default: by the file's suffix")
    columns: Columns = Columns()
    limit: Annotated[int, Field(gt=0)] | None = Field(
        None, description="audit a seeded random sample of this many rows"
    )


class Model(Block):
    """The classifier under audit."""

    path: str = Field(description="local folder, relative to the config, a hub name, or builtin:NAME")
    revision: str | None = Field(None, description="hub revision (branch, tag or commit)")
    labels: dict[str, str] = Field(default_factory=dict, description="label in the data: class of the model")
    max_length: Annotated[int, Field(gt=2)] | None = Field(None, description="longer texts are cut, and counted")
    batch_tokens: Annotated[int, Field(gt=0)] = Field(2048, description="most tokens, with padding, in one batch")
    device: str = Field("cpu", description="torch device")
    dtype: Literal["float32", "bfloat16", "float16", "float64"] = "float32"
    allow_pickle: bool = Field(
        False, description="load weights that are not safetensors (they are still read weights-only)"
    )
    allow_remote_code: bool = Field(False, description="run Python code that comes with the model")


class Target(Block):
    """The contrast logit that is explained: `favour` minus `against`, fixed for every example."""

    favour: str = Field(description="class of the model whose logit is explained (the favourable outcome)")
    against: str | None = Field(None, description="class to subtract; default: the other one of two classes")


class Groups(Block):
    """One protected attribute, found in the text by exactly one of lexicon, patterns or spans."""

    attribute: Name
    lexicon: str | None = Field(None, description="name of a shipped lexicon, or a YAML file relative to the config")
    patterns: dict[Name, str] | None = Field(None, description="group: regular expression")
    spans: bool = Field(False, description="take the groups of this attribute from the span column")
    only: tuple[Name, ...] | None = Field(None, description="use these groups of the lexicon, in this order")

    @model_validator(mode="after")
    def _one_source(self) -> "Groups":
        given = [self.lexicon is not None, self.patterns is not None, self.spans]
        if sum(given) != 1:
            raise ValueError("give exactly one of 'lexicon', 'patterns' and 'spans: true'")
        return self


class Relevance(Block):
    """How relevance is computed."""

    composites: Annotated[tuple[Composite, ...], Field(min_length=1)] = Field(
        ("cp_lrp", "attn_lrp"),
        description="names or mappings {name, parameters} or {name, base, rules}; the first gives effect sizes, others second opinions",
    )


class Statistics(Block):
    """Protocol of the tests."""

    alpha: Fraction = Field(0.05, description="family-wise error rate within each family")
    placebos: Annotated[int, Field(ge=19)] = Field(
        999, description="placebo word groups or pairs per test (199 or more for a verdict)"
    )
    permutations: Annotated[int, Field(ge=99)] = Field(9999, description="draws of a permutation test")
    min_terms: Annotated[int, Field(ge=1)] = Field(4, description="fewest terms a side")
    min_examples_per_term: Annotated[int, Field(ge=1)] = Field(
        10, description="fewest examples a term must occur in to be tested"
    )
    min_group_size: Annotated[int, Field(ge=2)] = Field(20, description="fewest examples of a group in any comparison")


class Margins(Block):
    """The largest difference that does not matter, agreed before the run."""

    contrast: Positive = Field(0.1, description="group contrast, in standard deviations of the contrast logit")
    swap: Positive = Field(0.1, description="mean effect of swapping a term, in standard deviations of the logit")
    flips: Fraction = Field(0.05, description="share of predictions that a swap flips")
    outcome: Fraction = Field(0.05, description="difference of two rates")
    disparity: Fraction = Field(0.147, description="Cliff's delta")


class Report(Block):
    """What the report shows."""

    examples: Annotated[int, Field(ge=0, le=200)] = Field(12, description="misclassified examples shown")
    show_text: bool = Field(True, description="false: no misclassified examples and no forms of terms are shown")


class Config(Block):
    """A whole audit."""

    name: Name = Field(description="names the output folder; default: the file's name")
    task: Literal["text"] = "text"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    data: Data
    model: Model
    target: Target
    groups: Annotated[tuple[Groups, ...], Field(min_length=1)]
    relevance: Relevance = Relevance()
    statistics: Statistics = Statistics()
    margins: Margins = Margins()
    gates: tuple[Gated, ...] = Field(
        ("contrast", "intervention", "outcome"), description="questions whose verdicts set the exit code"
    )
    report: Report = Report()
    output: str = Field("reports", description="folder for the runs, relative to the working directory")

    @model_validator(mode="after")
    def _attributes_once(self) -> "Config":
        names = [group.attribute for group in self.groups]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"groups: attribute {repeated[0]!r} is declared twice")
        return self
