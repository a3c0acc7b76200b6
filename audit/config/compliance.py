"""The block `compliance`: which profiles a report fills in, and what its people declare."""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from audit.config.base import Block, Name

Profile = Literal["nyc_ll144", "ugesp", "eu_ai_act", "nist_ai_rmf", "model_card"]
Axis = Literal["sex", "race_ethnicity"]
SUBJECTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({  # the declarations, in the order in which reports show them
    "System": (
        "system", "system_version", "version_date", "version_changes", "provider", "owner", "contact", "license", "documentation",
        "intended_purpose", "out_of_scope", "interactions", "input_specification", "tradeoffs", "training_data", "training_procedure",
        "distribution_date",
    ),
    "Audit": ("auditor", "auditor_independence", "audit_interval", "metric_choice", "reviewer", "responsible", "responsible_role"),
    "Data": (
        "data_kind", "data_source", "data_period", "pooling", "test_data_reason", "assumptions", "population", "label_procedure",
        "group_procedure", "unknown_reason", "legal_basis", "retention",
    ),
    "Governance": (
        "harms", "tolerance_owner", "action_on_breach", "oversight", "mitigation", "risk_management", "circumstances",
        "planned_changes", "monitoring",
    ),
})  # fmt: skip


def _dated(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ValueError(f"{text!r:.40} is no date; write it as YYYY-MM-DD") from None


Day = Annotated[str, AfterValidator(_dated)]


class Declarations(Block):
    """What no program can know; each is shown as declared, and as "not supplied" where it is left out."""

    system: str | None = Field(None, title="System", description="name of the system that the model is part of")
    system_version: str | None = Field(None, title="Version of the system", description="its version")
    version_date: Day | None = Field(None, title="Date of the version", description="when this version was made")
    version_changes: str | None = Field(
        None, title="Changes in the version", description="what changed since the version before"
    )
    provider: str | None = Field(None, title="Provider", description="who provides the system")
    owner: str | None = Field(None, title="Owner", description="who answers for the system")
    contact: str | None = Field(None, title="Contact", description="whom to ask")
    license: str | None = Field(
        None, title="Licence of the model", description="licence of the model, as an SPDX identifier"
    )
    documentation: str | None = Field(None, title="Documentation", description="where the system is documented")
    intended_purpose: str | None = Field(
        None, title="Intended purpose", description="what the system is for, and who uses it"
    )
    out_of_scope: str | None = Field(None, title="Out of scope", description="what it must not be used for")
    interactions: str | None = Field(
        None, title="Interactions", description="systems that it works with or is built into"
    )
    input_specification: str | None = Field(
        None, title="Input specification", description="what its inputs must be like: kind, length or size, language"
    )
    tradeoffs: str | None = Field(None, title="Trade-offs", description="what its design gives up, and for what")
    auditor: str | None = Field(None, title="Auditor", description="who audited")
    auditor_independence: str | None = Field(
        None,
        title="Independence of the auditor",
        description="the auditor's part in use, development or distribution; employment; financial interest",
    )
    distribution_date: Day | None = Field(
        None,
        title="First used or distributed",
        description="when the system was first used or distributed, as YYYY-MM-DD",
    )
    audit_interval: str | None = Field(None, title="Interval of audits", description="how often it is audited")
    metric_choice: str | None = Field(
        None, title="Choice of measures", description="why these measures and groups fit this use of the system"
    )
    reviewer: str | None = Field(
        None,
        title="Reviewer",
        description="who, with knowledge of the field, reviewed the findings and their causes",
    )
    data_kind: Literal["historical", "test"] | None = Field(
        None, title="Kind of data", description="data of real use, or made for the test"
    )
    data_source: str | None = Field(None, title="Source of the data", description="where the data come from")
    data_period: str | None = Field(None, title="Period of the data", description="the time that they cover")
    pooling: str | None = Field(
        None, title="Pooling", description="whether and why data of several periods, sites or uses were put together"
    )
    test_data_reason: str | None = Field(
        None,
        title="Why test data",
        description="why historical data did not suffice, and how the test data were made",
    )
    assumptions: str | None = Field(
        None, title="Assumptions", description="what the data are taken to measure and to represent"
    )
    label_procedure: str | None = Field(
        None, title="Labelling", description="who labelled, how, with which known errors"
    )
    group_procedure: str | None = Field(
        None,
        title="Finding of groups",
        description="how protected attributes were found: stated, perceived, inferred",
    )
    unknown_reason: str | None = Field(
        None, title="Why groups are unknown", description="why the group of some examples is not known"
    )
    population: str | None = Field(
        None, title="Population", description="the population that the data are meant to represent"
    )
    training_data: str | None = Field(None, title="Training data", description="what the model was trained on")
    training_procedure: str | None = Field(
        None, title="Training", description="how the model was trained: algorithm, and settings that matter"
    )
    legal_basis: str | None = Field(
        None, title="Legal basis", description="on which basis protected attributes are processed"
    )
    retention: str | None = Field(None, title="Retention", description="how long data and report are kept")
    harms: str | None = Field(
        None,
        title="Harms considered",
        description="types of harm considered: allocation, quality of service, stereotyping, erasure",
    )
    tolerance_owner: str | None = Field(
        None,
        title="Owner of the margins",
        description="who agreed the margins, and why they are what they are",
    )
    action_on_breach: str | None = Field(
        None, title="Action on breach", description="what happens when a gate is breached, and who does it"
    )
    oversight: str | None = Field(None, title="Oversight", description="how people oversee the system")
    mitigation: str | None = Field(
        None, title="Mitigation", description="measures taken against disparities found before"
    )
    risk_management: str | None = Field(
        None, title="Risk management", description="the risk management system, and the risks known"
    )
    circumstances: str | None = Field(
        None,
        title="Circumstances",
        description="circumstances known to change its accuracy, or under which its use is a risk",
    )
    planned_changes: str | None = Field(
        None, title="Planned changes", description="changes to the system determined beforehand"
    )
    monitoring: str | None = Field(None, title="Monitoring", description="how the system is watched after release")
    responsible: str | None = Field(
        None, title="Responsible person", description="name of the person who signs the report"
    )
    responsible_role: str | None = Field(
        None, title="Role of that person", description="the role in which that person signs"
    )


class Compliance(Block):
    """Which fields the report fills in for whom. An audit supports legal compliance and never establishes it."""

    profile: tuple[Profile, ...] = Field((), description="crosswalks that the report ends with")
    axes: dict[Axis, Name] = Field(
        default_factory=dict, description="attribute of the data that holds sex, or race and ethnicity"
    )
    output: Literal["selection", "score"] = Field(
        "selection", description="ratios of selection rates, or of rates of scoring above the median of all"
    )
    strata: Name | None = Field(
        None, description="attribute of the data within whose groups ratios are tested again: job, site, event"
    )
    exclude_below: Annotated[float, Field(ge=0, lt=0.5)] = Field(
        0.02, description="categories with a smaller share of the data are left out of ratios; their rates stay"
    )
    exclusion_reason: str | None = Field(None, description="why such categories are left out")
    declarations: Declarations = Declarations()
