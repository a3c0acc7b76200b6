"""A whole audit from YAML to the run folder, on a small model built in code."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from safetensors.numpy import load_file

import audit
from audit.data import lexicon_file
from audit.pipeline import run
from audit.questions import QUESTIONS
from audit.records import LedgerSummary, Verdict
from audit.stats.validity import faults
from audit.store.runs import verify

Project = Callable[..., Path]
TIMES = ("started", "finished", "seconds", "run_id")


def test_a_run_writes_every_file_of_the_contract_and_they_verify(project: Project) -> None:
    finished = run(project())
    names = {path.name for path in finished.folder.iterdir()}
    assert names == {
        "audit.json", "checks", "debug.html", "examples.parquet", "explanations.parquet", "manifest.json", "maps", "quarantine.jsonl",
        "report.html", "summary.json", "worklist.csv", "worklist.json",
    }  # fmt: skip
    maps = load_file(finished.folder / "maps" / "exhibits.safetensors")
    assert {name.removeprefix("relevance/"): values.shape for name, values in maps.items()} == {
        exhibit.id: (len(exhibit.tokens),) for exhibit in finished.record.exhibits
    }
    assert verify(finished.folder) == []
    assert audit.load_record(finished.folder) == finished.record
    assert finished.folder.parent.name == "small"
    assert finished.folder.name.endswith(finished.record.protocol_sha256[:6])


def test_examples_table_has_the_columns_of_the_contract(project: Project) -> None:
    finished = run(project())
    table = pd.read_parquet(finished.folder / "examples.parquet")
    assert len(table) == finished.record.data.used
    for measure in ("share", "net", "size", "present"):
        assert {f"{measure}.gender.female", f"{measure}.special", f"{measure}.punctuation"} <= set(table.columns)
    assert {"id", "label", "predicted", "correct", "score.fresh", "score.rotten"} <= set(table.columns)
    absent = ~table["present.gender.female"]
    assert absent.any()
    assert table.loc[absent, "share.gender.female"].isna().all(), "absent is missing, not zero"
    held = table["present.gender.female"]
    assert table.loc[held, "share.gender.female"].between(0, 1).all()
    assert (table["net.special"].abs() <= table["share.special"] + 1e-9).all()


def test_same_inputs_give_the_same_record_apart_from_times(project: Project) -> None:
    config = project()
    documents = [run(config, again=True).record.model_dump(mode="json") for _ in range(2)]
    for document in documents:
        for key in TIMES:
            document.pop(key)
    assert json.dumps(documents[0], sort_keys=True) == json.dumps(documents[1], sort_keys=True)


def test_every_family_of_questions_says_how_long_it_took(project: Project) -> None:
    seconds = run(project()).record.seconds
    parts = {name: value for name, value in seconds.items() if "." in name}
    assert parts.keys() == {f"statistics.{question}" for question in (*QUESTIONS, "rules")}
    assert 0 < sum(parts.values()) <= seconds["statistics"] + 0.01 * len(parts)


def test_a_changed_protocol_is_a_new_run_that_says_what_changed(project: Project) -> None:
    first = run(project()).record
    assert first.protocol_changed is None and run(project()).record.protocol_changed is None
    other = run(project(report={"examples": 3}), ["statistics.alpha=0.06"])
    changed = other.record.protocol_changed
    assert changed is not None and changed.settings == ("statistics.alpha",)
    assert changed.protocol_sha256 == first.protocol_sha256 != other.record.protocol_sha256
    page = (other.folder / "report.html").read_text(encoding="utf-8")
    assert changed.run_id in page and "Changed: statistics.alpha" in page


def test_another_term_in_a_lexicon_is_another_protocol(project: Project, tmp_path: Path) -> None:
    shipped = Path(lexicon_file.__file__).with_name("lexicons") / "gender.yaml"
    own = tmp_path / "own.yaml"
    own.write_text(shipped.read_text(encoding="utf-8"), encoding="utf-8")
    config = project(groups=[{"attribute": "gender", "lexicon": "own.yaml", "only": ["female", "male"]}])
    first = run(config).record
    own.write_text(own.read_text(encoding="utf-8") + "# one more word\n", encoding="utf-8")
    again = run(config).record
    assert again.protocol_sha256 != first.protocol_sha256 and again.protocol_changed is not None
    assert again.protocol_changed.settings == ("lexicons.gender",)


def test_another_attribute_or_gate_changes_no_draw_of_the_others(project: Project) -> None:
    draws = {"placebos": 1499, "permutations": 999}
    alone = run(project(statistics=draws)).record
    groups = [
        {"attribute": "gender", "lexicon": "gender", "only": ["female", "male"]},
        {"attribute": "vowel", "patterns": {"a": "ba[a-z]*x", "e": "be[a-z]*x"}},
    ]
    both = run(project(groups=groups, statistics=draws)).record
    swaps = [[f.test.p for f in r.findings if f.id == "intervention.gender.female-male"] for r in (alone, both)]
    assert swaps[0] == swaps[1] != []


def test_counts_add_up_and_quarantine_names_row_and_reason(project: Project) -> None:
    rows = [{"id": f"r{i}", "text": "she met him", "label": "fresh", "film": "f"} for i in range(60)]
    for i in range(0, 60, 2):
        rows[i]["text"] = "he met her baba"
    rows += [
        {"id": "r1", "text": "a", "label": "fresh", "film": "f"},
        {"id": "x", "text": " ", "label": "fresh", "film": "f"},
    ]
    rows += [{"id": "y", "text": "good", "label": "unheard", "film": "f"}]
    finished = run(project(rows))
    data = finished.record.data
    assert data.rows == data.used + sum(data.excluded.values()) + data.not_sampled == 63
    assert data.excluded == {"duplicate id": 1, "empty text": 1, "unknown label": 1}
    lines = [json.loads(line) for line in (finished.folder / "quarantine.jsonl").read_text().splitlines()]
    assert [(line["row"], line["reason"]) for line in lines] == [
        (61, "duplicate id"),
        (62, "empty text"),
        (63, "unknown label"),
    ]


def test_a_planted_reliance_is_a_breach_and_an_unplanted_one_is_not(project: Project, planted_folder: Path) -> None:
    changes: dict[str, Any] = {"gates": ["contrast", "intervention"]}
    clean = run(project(n=720, **changes)).record
    planted = run(project(n=720, model={"path": str(planted_folder)}, **changes)).record
    found = {finding.id: finding for finding in planted.findings}
    swap = found["intervention.gender.female-male"]
    assert swap.verdict is Verdict.BREACH
    assert swap.estimate.value is not None and swap.estimate.value > 0
    assert found["contrast.gender.female-male"].verdict in (Verdict.BREACH, Verdict.DIFFERENT)
    assert planted.exit_code == 3
    contrast = next(f for f in clean.findings if f.id == "contrast.gender.female-male")
    assert contrast.verdict is not Verdict.BREACH


def test_span_columns_and_patterns_are_groups_like_lexicons(project: Project) -> None:
    rows = [
        {
            "id": i,
            "text": f"{('babax', 'babex', 'babix', 'babox')[i % 4]} she runs dede",
            "label": ["rotten", "fresh"][i % 2],
            "film": i,
            "marks": json.dumps([[0, 5, "marked", "start"]]),
        }
        for i in range(60)
    ]
    groups = [
        {"attribute": "gender", "lexicon": "gender"},
        {"attribute": "ending", "patterns": {"de": "de[a-z]*"}},
        {"attribute": "marked", "spans": True},
    ]
    finished = run(
        project(rows, groups=groups, data={"path": "data.csv", "columns": {"cluster": "film", "spans": "marks"}})
    )
    found = {
        name: sum(t.examples for t in finished.record.terms if t.attribute == name) for name in ("ending", "marked")
    }
    assert found == {"ending": 60, "marked": 60}
    table = pd.read_parquet(finished.folder / "examples.parquet")
    assert table["present.marked.start"].all()


def test_findings_can_be_recomputed_from_the_examples_table(project: Project) -> None:
    finished = run(project())
    table = pd.read_parquet(finished.folder / "examples.parquet")
    rows = {finding.id: finding for finding in finished.record.findings}
    swap = rows["intervention.gender.female-male"]
    effects = [table["swap.gender.female"], -table["swap.gender.male"]]
    each = pd.concat(effects).dropna() / table["contrast"].std()
    assert swap.estimate.n == len(each) and swap.estimate.value == pytest.approx(each.mean())
    flips = rows["intervention.flips.gender.female-male"].estimate
    after = pd.concat([table[f"swap_predicted.gender.{group}"] for group in ("female", "male")]).dropna()
    assert flips.value == pytest.approx((after != table["predicted"].loc[after.index]).mean())
    assert any(column.startswith("share.gender.female@") for column in table.columns)
    assert {"cluster", "confidence"} <= set(table.columns) and table["cluster"].nunique() <= len(table)


def test_findings_on_relevance_carry_what_hiding_their_words_does(project: Project) -> None:
    record = run(project()).record
    rows = {finding.id: finding for finding in record.findings}
    contrast = rows["contrast.gender.female-male"]
    assert [check.by for check in contrast.checks] == ["masked", "deleted", "words swapped"]
    assert contrast.checks[-1].estimate.value == pytest.approx(rows["intervention.gender.female-male"].estimate.value)
    assert [check.estimate.n > 0 for check in rows["reliance.gender.female"].checks] == [True, True]
    assert {(each.composite, each.by) for each in record.agreement} == {
        (composite, fill)
        for composite in ("cp_lrp", "attn_lrp", "attn_lrp(gamma=0.05)")
        for fill in ("masked", "deleted")
    }
    none = run(project(checks={"examples": 0})).record
    assert none.agreement == () and not any(
        finding.checks for finding in none.findings if finding.question != "contrast"
    )


def test_unknown_attribute_values_are_counted_never_dropped(project: Project) -> None:
    rows = [
        {
            "id": i,
            "text": f"she runs {('babax', 'babex', 'babix', 'babox')[i % 4]}",
            "label": ["rotten", "fresh"][i % 2],
            "film": i,
            "region": r,
        }
        for i, r in enumerate(["north", "south", ""] * 40)
    ]
    columns = {"cluster": "film", "attributes": {"region": "region"}}
    record = run(project(rows, data={"path": "data.csv", "columns": columns})).record
    assert record.data.unknown == {"region": 40}
    assert record.data.used == 120
    outcome = next(f for f in record.findings if f.id.startswith("outcome.error_rate.region"))
    assert outcome.estimate.n == 80
    (table,) = record.impact
    assert (table.n, table.unknown, [each.name for each in table.categories]) == (80, 40, ["north", "south"])
    assert table.checks["categories and unknown add up to all examples"] and "impact" in record.seconds


def test_report_is_rendered_again_without_torch_from_the_record_alone(project: Project) -> None:
    folder = run(project()).folder
    first = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    code = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'transformers', 'lrp'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "from audit.cli import main\n"
        f"main(['report', {str(folder)!r}])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (folder / "report.html").read_bytes() == first
    assert verify(folder) == []


def test_long_texts_are_truncated_and_counted(project: Project) -> None:
    rows = [
        {
            "id": i,
            "text": "she " + "baba " * (60 if i < 5 else 4 + i % 3),
            "label": ["rotten", "fresh"][i % 2],
            "film": i,
        }
        for i in range(40)
    ]
    assert run(project(rows)).record.data.truncated == 5


def test_report_can_hide_all_text(project: Project) -> None:
    finished = run(project(report={"show_text": False}))
    assert finished.record.exhibits == ()


@pytest.mark.parametrize("composites", [["attn_lrp"], ["gradient_x_input", "epsilon"]])
def test_any_composite_of_the_contract_can_be_audited(project: Project, composites: list[str]) -> None:
    record = run(project(relevance={"composites": composites, "witnesses": []})).record
    assert [summary.composite for summary in record.ledger] == composites


def test_own_composites_and_parameters_come_from_the_config_and_the_record_names_them(project: Project) -> None:
    own = {"name": "mine", "base": "cp_lrp", "rules": [{"position": "last", "rule": "gamma", "gamma": 0.5}]}
    composites = ["auto", "attn_lrp", {"name": "attn_lrp", "gamma": 0.25}, own]
    relevance = {"composites": composites, "witnesses": []}
    finished = run(project(relevance=relevance))
    ledger = {summary.composite: summary for summary in finished.record.ledger}
    assert list(ledger) == ["auto", "attn_lrp", "attn_lrp(gamma=0.25)", "mine"]
    assert ledger["auto"].entries == ledger["attn_lrp"].entries != ledger["attn_lrp(gamma=0.25)"].entries
    assert ledger["auto"].used == "auto: attn_lrp, the default for transformers"
    assert ledger["auto"].used in (finished.folder / "report.html").read_text()
    assert finished.record.config["relevance"].items() >= relevance.items()


def test_terms_behind_the_truncation_count_for_nothing(project: Project) -> None:
    rows = [
        {"id": i, "text": "babax " * 60 + "she" if i < 30 else f"he babex {'babix' if i % 2 else 'babox'}",
         "label": ["rotten", "fresh"][i % 2], "film": i}
        for i in range(60)
    ]  # fmt: skip
    record = run(project(rows)).record
    assert record.data.truncated == 30
    assert {term.term for term in record.terms} == {"he"}
    swap = next(f for f in record.findings if f.id == "intervention.gender.female-male")
    assert swap.estimate.n == 30


def test_an_explanation_without_relevance_gives_no_verdict_and_exits_4(project: Project, tmp_path: Path) -> None:
    """Word embeddings of zero: the model sees lengths only, and no token can carry relevance."""
    from transformers import AutoTokenizer, BertForSequenceClassification

    source = tmp_path / "model"
    config = yaml.safe_load(project().read_text())
    model = BertForSequenceClassification.from_pretrained(config["model"]["path"])
    model.get_input_embeddings().weight.data.zero_()
    model.save_pretrained(source)
    AutoTokenizer.from_pretrained(config["model"]["path"]).save_pretrained(source)
    record = run(project(model={"path": str(source)}, gates=["contrast", "intervention"])).record
    assert record.exit_code == 4
    assert "360 of 360 examples have no relevance" in record.warnings[0]
    for finding in record.findings:
        if finding.question in ("contrast", "reliance", "disparity"):
            assert finding.verdict is Verdict.NOT_TESTABLE
            assert "not valid" in finding.reason


@pytest.mark.parametrize(("closure", "valid"), [(1e-7, True), (0.04, True), (0.06, False), (float("nan"), False)])
def test_a_ledger_that_does_not_close_is_a_fault(closure: float, valid: bool) -> None:
    summary = LedgerSummary(composite="cp_lrp", entries={}, closure_median=closure, closure_max=closure, n=10)
    assert (faults((), [summary]) == ()) is valid
    baseline = summary.model_copy(update={"composite": "gradient_x_input", "empty_maps": 1})
    assert faults((), [baseline]) == ()
    assert len(faults((), [baseline, summary.model_copy(update={"empty_maps": 2})])) == 1 + (not valid)
