"""The block `compliance`: which profiles a report fills in, and what its people declare."""

from typing import Annotated, Literal

from pydantic import Field

from audit.config.base import Block, Name

Profile = Literal["nyc_ll144", "ugesp", "eu_ai_act", "nist_ai_rmf", "model_card"]
Axis = Literal["sex", "race_ethnicity"]


class Declarations(Block):
    """What no program can know; each is shown as declared, and as "not supplied" where it is left out."""

    system: str | None = Field(None, description="name of the system that the model is part of")
    system_version: str | None = Field(None, description="its version")
    provider: str | None = Field(None, description="who provides the system")
    owner: str | None = Field(None, description="who answers for the system")
    contact: str | None = Field(None, description="whom to ask")
    license: str | None = Field(None, description="licence of the model, as an SPDX identifier")
    intended_purpose: str | None = Field(None, description="what the system is for, and who uses it")
    out_of_scope: str | None = Field(None, description="what it must not be used for")
    auditor: str | None = Field(None, description="who audited")
    auditor_independence: str | None = Field(
        None, description="the auditor's part in use, development or distribution; employment; financial interest"
    )
    distribution_date: str | None = Field(None, description="when the system was first used or distributed")
    audit_interval: str | None = Field(None, description="how often it is audited")
    data_kind: Literal["historical", "test"] | None = Field(None, description="data of real use, or made for the test")
    data_source: str | None = Field(None, description="where the data come from")
    data_period: str | None = Field(None, description="the time that they cover")
    test_data_reason: str | None = Field(
        None, description="why historical data did not suffice, and how the test data were made"
    )
    label_procedure: str | None = Field(None, description="who labelled, how, with which known errors")
    group_procedure: str | None = Field(
        None, description="how protected attributes were found: stated, perceived, inferred"
    )
    population: str | None = Field(None, description="the population that the data are meant to represent")
    training_data: str | None = Field(None, description="what the model was trained on")
    legal_basis: str | None = Field(None, description="on which basis protected attributes are processed")
    retention: str | None = Field(None, description="how long data and report are kept")
    harms: str | None = Field(
        None, description="types of harm considered: allocation, quality of service, stereotyping, erasure"
    )
    tolerance_owner: str | None = Field(None, description="who agreed the margins, and why they are what they are")
    action_on_breach: str | None = Field(None, description="what happens when a gate is breached, and who does it")
    oversight: str | None = Field(None, description="how people oversee the system")
    mitigation: str | None = Field(None, description="measures taken against disparities found before")
    risk_management: str | None = Field(None, description="the risk management system, and the risks known")
    planned_changes: str | None = Field(None, description="changes to the system determined beforehand")
    monitoring: str | None = Field(None, description="how the system is watched after release")
    responsible: str | None = Field(None, description="name of the person who signs the report")
    responsible_role: str | None = Field(None, description="the role in which that person signs")


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
