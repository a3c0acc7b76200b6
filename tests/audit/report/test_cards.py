"""model-card.md is read by the hub's own parser, its body by a CommonMark parser."""

import re

import huggingface_hub
import pytest
import yaml
from markdown_it import MarkdownIt

from audit.config.compliance import Declarations
from audit.report.cards import metadata, model_card
from tests.audit.report.complete import complete_record, shown, untold
from tests.audit.report.hostile import LATER, TURNS, UNPRINTED, UNWRITABLE, hostile_record
from tests.audit.report.sample import sample_record

HEADINGS = [
    "Model Details", "Uses", "Direct Use", "Out-of-Scope Use", "Bias, Risks and Limitations", "Not testable", "Limitations",
    "Recommendations", "Evaluation", "Testing Data", "Factors", "Metrics", "Results", "Summary", "Model Examination",
    "Technical Specifications", "Model Card Contact",
]  # fmt: skip


def card(record=None):
    return model_card(shown(record or complete_record())).decode("utf-8")


def body(content):
    tokens = MarkdownIt("commonmark").enable("table").parse(content)
    return [(token, tokens[i + 1].content if token.type == "heading_open" else "") for i, token in enumerate(tokens)]


def headings(content):
    return [text for token, text in body(content) if token.type == "heading_open"]


def licensed(given):
    record = complete_record()
    compliance = {"declarations": {"license": given}}
    return yaml.safe_load(metadata(record.model_copy(update={"config": {**record.config, "compliance": compliance}})))


def test_the_hub_reads_the_metadata_and_writes_the_same_again(tmp_path):
    (tmp_path / "README.md").write_text(card(), encoding="utf-8")
    read = huggingface_hub.ModelCard.load(tmp_path / "README.md")
    assert (read.data.license, read.data.pipeline_tag, read.data.model_name) == (
        "apache-2.0",
        "text-classification",
        "declared system",
    )
    assert yaml.safe_load(read.data.to_yaml()) == yaml.safe_load(metadata(complete_record()))


def test_accuracy_rates_gaps_and_impact_ratios_are_metrics_with_their_intervals():
    results = huggingface_hub.ModelCard(card()).data.eval_results
    found = {each.metric_name: each for each in results}
    assert len(found) == len(results) == 19
    accuracy, gap = found["accuracy, all examples"], found["difference in error rate, age (mentioned): old − young"]
    assert (accuracy.metric_type, accuracy.metric_value, accuracy.metric_args["level"]) == ("accuracy", 0.801, 0.95)
    assert (gap.metric_type, gap.metric_value, gap.metric_args["level"]) == ("difference_in_error_rate", 0.143, 0.9875)
    assert found["impact ratio, gender: female"].metric_value == 0.75
    assert found["error rate, age (mentioned): young"].metric_value == 0.31


def test_sections_are_those_of_model_cards_in_order():
    assert headings(huggingface_hub.ModelCard(card()).text) == ["declared system", *HEADINGS]
    assert headings(huggingface_hub.ModelCard(card(sample_record())).text) == ["film\\_reviews", *HEADINGS]


def test_declarations_are_told_and_missing_ones_are_not_supplied():
    text = card()
    for key in ("intended_purpose", "out_of_scope", "mitigation", "data_period", "group_procedure", "owner"):
        assert f"declared {key.replace('_', chr(92) + '_')}" in text, key
    assert text.endswith("## Model Card Contact\n\n`audit@example.org`\n")
    assert card(sample_record()).count("not supplied") == 26 < len(Declarations.model_fields)
    assert not re.search("declared (?!is)", card(sample_record()).replace("What was declared:", ""))


def test_differences_gaps_in_evidence_and_numbers_are_tables():
    text = card()
    gap = "0.143 \\[0.062, 0.224\\] difference in error rate (98.75 % interval) | 302 |"
    assert f"| Outcome gaps | age (mentioned) | old − young | error rate | {gap}" in text
    assert (
        "| Group contrast | religion | christian, muslim, jewish, hindu, buddhist, sikh and 1 more | terms that occur"
        in text
    )
    assert "| Outcome gaps | breached | at least one finding lies wholly beyond its margin |" in text
    assert "| gender | female 331, male 402 | 31 |" in text and "1 of 1 test of its validity hold" in text
    assert "people decide what a disparity means" in text


def test_withheld_numbers_are_no_metrics_and_shown_as_withheld():
    text = card(untold(complete_record()))
    names = [each.metric_name for each in huggingface_hub.ModelCard(text).data.eval_results]
    assert "accuracy, all examples" not in names and "| accuracy | all examples | – | not shown |" in text


def test_version_date_changes_and_documentation_are_details_of_the_model():
    details = card().partition("## Uses")[0]
    for title, key in (
        ("Date of the version", "version_date"), ("Changes in the version", "version_changes"), ("Documentation", "documentation"),
    ):  # fmt: skip
        assert f"- **{title}:** declared {key.replace('_', chr(92) + '_')}\n" in details


@pytest.mark.parametrize("given", ["Proprietary", "MIT License", "MIT OR Apache-2.0", "LicenseRef-own", "none"])
def test_a_licence_that_is_not_in_the_list_of_spdx_is_other_and_named(given):
    assert (licensed(given)["license"], licensed(given)["license_name"]) == ("other", given)


def test_a_licence_that_no_hub_can_know_is_named():
    assert licensed("MIT")["license"] == "mit" and licensed("apache-2.0")["license"] == "apache-2.0"
    other = licensed("our own: ask\nlicense: mit")
    assert (other["license"], other["license_name"]) == ("other", "our own: ask license: mit")


@pytest.mark.parametrize("turn", [*TURNS, LATER])
def test_hostile_text_changes_neither_metadata_nor_structure_of_the_card(turn):
    content = card(hostile_record(turn, UNWRITABLE))
    assert not UNPRINTED.search(content)
    plain, read = huggingface_hub.ModelCard(card()), huggingface_hub.ModelCard(content)
    assert set(read.data.to_dict()) - {"license_name"} == set(plain.data.to_dict())
    assert len(read.data.eval_results) == (7 if turn == LATER else 19)  # a question of another release has no rates
    types = [token.type for token, _ in body(read.text)]
    inner = [child.type for token, _ in body(read.text) for child in token.children or ()]
    assert headings(read.text)[1:] == HEADINGS
    assert not {"html_block", "fence", "code_block", "hr", "blockquote_open"} & set(types)
    assert not {"html_inline", "link_open", "image", "em_open"} & set(inner) and "<" not in read.text
    assert len(content) < 2_000_000
