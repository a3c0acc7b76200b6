"""The blocks `report` and `debug`: what is shown to whom."""

from typing import Annotated, Literal

from pydantic import Field

from audit.config.base import Block

Format = Literal["html", "pdf", "json", "csv", "model-card", "junit", "sarif", "ml-bom"]
People = Literal["show", "blur", "hide"]  # how photographs of people are shown


class Report(Block):
    """What the report shows."""

    formats: tuple[Format, ...] = Field(
        ("html",), description="what a run writes, HTML always: docs/reports.md lists them"
    )
    examples: Annotated[int, Field(ge=0, le=200)] = Field(12, description="misclassified examples shown")
    show_text: bool = Field(True, description="false: no misclassified examples and no forms of terms are shown")
    images: People = Field("blur", description="photographs in the report; show only where everybody on them agreed")
    smallest_cell: Annotated[int, Field(ge=1)] = Field(
        5, description="counts below it are not shown, nor what they could be computed from; 1 shows all"
    )
    hash_ids: bool = Field(True, description="ids of examples are shown as keyed hashes; false shows the ids")


class Debug(Block):
    """How errors are summed up for whoever mends the model; no verdict depends on it."""

    explained: Annotated[int, Field(ge=0, le=5000)] = Field(
        150,
        description="examples whose explanations are kept for lrp-audit explore, and as many with their terms swapped or a region hidden: "
        "errors and those that drive findings; report.show_text and report.images hold for them",
    )
    unsure: Annotated[int, Field(ge=0)] = Field(
        200,
        description="examples of the highest entropy that are asked what makes the model hesitate; at most a tenth of all",
    )
    virelay: Annotated[int, Field(ge=0)] = Field(
        0,
        description="photographs, of those that make the clusters, that are written as a ViRelAy project with their maps",
    )
    layers: tuple[str, ...] = Field(
        (), description="modules whose channels are asked what they carry inside regions, or on words (LRP alone)"
    )
    concept_examples: Annotated[int, Field(ge=20)] = Field(
        200, description="examples, drawn at random, that are explained at those layers"
    )
    clustered: Annotated[int, Field(ge=0)] = Field(
        4000,
        description="examples, drawn at random, whose explanations make the clusters that the others join; 0: none",
    )
