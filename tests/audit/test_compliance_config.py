"""The block `compliance`: closed, tied to columns of the data, and part of the protocol only in what it asks of the data."""

import re
from pathlib import Path

import pytest

from audit.errors import ConfigError
from audit.loading import load_config
from audit.preparation import _differing, protocol_sha256

VALID = """\
data: {path: a.csv, columns: {attributes: {gender: g, race: r, site: s}}}
model: {path: m}
target: {favour: good}
groups: [{attribute: gender, lexicon: gender}]
compliance:
  profile: [nyc_ll144]
  axes: {sex: gender}
  declarations: {auditor: A, system_version: "2.0"}
"""


def written(tmp_path: Path, content: str = VALID) -> Path:
    path = tmp_path / "cfg.yaml"
    path.write_text(content, encoding="utf-8")
    return path


def test_a_misspelt_declaration_is_refused_with_its_place_and_what_was_meant(tmp_path: Path) -> None:
    message = (
        "cfg.yaml:8:18: compliance.declarations.auditer: unknown key; did you mean 'auditor'? allowed are system, "
    )
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_config(written(tmp_path, VALID.replace("auditor: A", "auditer: A")))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("compliance.declarations.distribution_date=next spring", "'next spring' is no date; write it as YYYY-MM-DD"),
        (
            "compliance.axes.sex=age",
            "compliance: 'age' is no column in data.columns.attributes; those are: gender, race, site",
        ),
        ("compliance.strata=job", "compliance: 'job' is no column in data.columns.attributes"),
        ("compliance.axes={age: gender}", "'sex' or 'race_ethnicity'"),
        ("compliance.profile=[gdpr]", "'nyc_ll144', 'ugesp'"),
        ("compliance.profile=[nyc_ll44]", "did you mean 'nyc_ll144'?"),
        ("compliance.declarations.data_kind=real", "'historical' or 'test'"),
        ("compliance.declarations.system_version=2", "put it in quotes"),
        ("compliance.exclude_below=0.5", "less than 0.5"),
        ("compliance.output=groups", "'selection' or 'score'"),
    ],
)
def test_what_is_not_allowed_is_refused_and_named(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_config(written(tmp_path), [override])


@pytest.mark.parametrize(
    ("override", "setting"),
    [
        ("compliance.profile=[ugesp, eu_ai_act]", None), ("compliance.declarations.auditor=B", None),
        ("compliance.declarations.harms=allocation", None), ("report.examples=3", None), ("output=elsewhere", None),
        ("compliance.axes.sex=race", "compliance.axes.sex"), ("compliance.axes.race_ethnicity=race", "compliance.axes.race_ethnicity"),
        ("compliance.output=score", "compliance.output"), ("compliance.strata=site", "compliance.strata"),
        ("compliance.exclude_below=0.05", "compliance.exclude_below"), ("seed=3", "seed"),
    ],
)  # fmt: skip
def test_what_people_declare_is_no_part_of_the_protocol_and_what_ratios_are_made_of_is(
    tmp_path: Path, override: str, setting: str | None
) -> None:
    path = written(tmp_path)
    one, two = load_config(path).config, load_config(path, [override]).config
    assert one != two
    assert (protocol_sha256(one, {}) != protocol_sha256(two, {})) == (setting is not None)
    assert _differing(one.model_dump(mode="json"), two.model_dump(mode="json")) == ([setting] if setting else [])
