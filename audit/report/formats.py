"""Every format that a report can be rendered in: one line of `FORMATS` each, a function of what may be published."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

from audit.report.bom import ml_bom
from audit.report.cards import model_card
from audit.report.document import html
from audit.report.document_json import report_json
from audit.report.estimates_csv import estimates_csv
from audit.report.junit import junit
from audit.report.pdf import pdf
from audit.report.publication import Publication
from audit.report.sarif import sarif
from audit.report.toolkit_card import toolkit_card


@final
@dataclass(frozen=True, slots=True)
class Format:
    """What it is for, and how each of its files is made."""

    about: str
    files: Mapping[str, Callable[[Publication], bytes]]


FORMATS: Final[Mapping[str, Format]] = MappingProxyType({
    "html": Format("one page for people", {"report.html": html}),
    "pdf": Format("the same page on paper, PDF/UA-1 and PDF/A-2a", {"report.pdf": pdf}),
    "json": Format("the record as it may be published, for programs", {"report.json": report_json}),
    "csv": Format("every estimate, a row each, for spreadsheets and statistics", {"report.csv": estimates_csv}),
    "model-card": Format(
        "cards for model hubs (Markdown) and in the Model Card Toolkit's schema",
        {"model-card.md": model_card, "model-card.json": toolkit_card},
    ),
    "junit": Format("gates for build servers", {"report.junit.xml": junit}),
    "sarif": Format("gates for code scanning", {"report.sarif": sarif}),
    "ml-bom": Format("CycloneDX bill of materials with a model card", {"ml-bom.cdx.json": ml_bom}),
})  # fmt: skip
