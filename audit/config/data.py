"""The block `data`: which file, which columns, which rows."""

from typing import Annotated, Literal

from pydantic import Field

from audit.config.base import Block, Name


class Columns(Block):
    """Which column of the data file holds what."""

    id: str | None = Field("id", description="unique row id; null numbers the rows from 1")
    text: str = Field("text", description="the text to classify")
    image: str = Field("image", description="the image file to classify, relative to the data file or folder")
    label: str = Field("label", description="the true class, a name or an integer index")
    cluster: str | None = Field(None, description="rows that belong together: author, film, subject")
    spans: str | None = Field(None, description="JSON list of [start, end, attribute, group] in characters")
    attributes: dict[Name, str] = Field(default_factory=dict, description="attribute name: column")
    covariates: dict[Name, str] = Field(
        default_factory=dict,
        description="name: column of numbers that disparities of relevance must survive adjustment for",
    )


class Data(Block):
    """The labelled dataset."""

    path: str = Field(
        description="CSV, JSONL or Parquet file, or a folder of Parquet files or as save_to_disk of Hugging Face's datasets writes it, "
        "relative to the config; or builtin:NAME; for images also a folder per class"
    )
    format: Literal["csv", "jsonl", "parquet"] | None = Field(None, description="default: by the file's suffix")
    columns: Columns = Columns()
    limit: Annotated[int, Field(gt=0)] | None = Field(
        None, description="audit a seeded random sample of this many rows"
    )
    ids: str | None = Field(
        None, description="text file with an id a line, or JSON list, relative to the config: only these rows"
    )
