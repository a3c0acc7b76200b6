import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from audit.config import Config
from audit.errors import ConfigError
from audit.loading import MAX_BYTES, config_schema, load_config, parse_scalar

VALID = """\
data: {path: a.csv}
model: {path: m}
target: {favour: good}
groups:
  - attribute: gender
    lexicon: gender
"""
BILLION = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)

BAD_FILES = [
    # content, fragments of the message
    ("", [":1:1: config: is empty; write `key: value` lines: data, model, target, groups"]),
    ("# only a comment\n", [":1:1: config: is empty"]),
    ("- a\n- b\n", [":1:1: config: is a list, not a mapping"]),
    ("just text\n", [":1:1: config: is a single value, not a mapping"]),
    ("data: [a, b\nmodel: 1\n", [":2:6: not valid YAML: expected ',' or ']', but got ':'"]),
    ("a: b: c\n", [":1:5: not valid YAML: mapping values are not allowed here"]),
    ("data:\n\tpath: a\n", [":2:1: not valid YAML: found character '\\t' that cannot start any token"]),
    (VALID + "---\nname: b\n", [":7:1: not valid YAML: but found another document"]),
    (VALID + "name: 'a\x07'\n", [":7:9: not valid YAML: character '\\x07' is not allowed"]),
    (VALID + "name: *nobody\n", [":7:7: not valid YAML: found undefined alias 'nobody'"]),
    (VALID.encode() + b"# \xe9t\xff\n", [":7:3: config: byte 0xe9 is not UTF-8; save the file as UTF-8"]),
    ("\ufeff# \u00e9".encode() + b"\xff", [":1:4: config: byte 0xff is not UTF-8"]),
    (VALID.encode("utf-16"), [":1:1: config: byte 0xff is not UTF-8"]),
    (b"#" * (MAX_BYTES + 1), ["has more than 1000000 bytes, which is no config; is it the data file?"]),
    (VALID + "seed: 1\nseed: 2\n", [":8:1: seed: key stands twice, first in line 7; keep one"]),
    ("model:\n  path: a\n  'path': b\n", [":3:3: model.path: key stands twice, first in line 2"]),
    ("? [a, b]\n: c\n", [":1:3: config: a key is plain text, not a list"]),
    ("name: &a [*a]\n", [":1:7: name.0: the alias stands for something that holds it"]),
    ("x: &a {b: {c: *a}}\n", [":1:4: x.b.c: the alias stands for something that holds it"]),
    (BILLION, ["more than 10000 values once the aliases are written out"]),
    ("a: " + "[" * 40 + "]" * 40, [":1:36: a.0.0.0", "nested deeper than 32 levels"]),
    ("a: " + "[" * 5000 + "]" * 5000, ["nested deeper than 32 levels"]),
    ("name: !!python/object/apply:os.system [ls]\n", [":1:7: name: tag 'tag:yaml.org,2002:python/object/apply:os.sys"]),
    ("name: !mine a\n", [":1:7: name: tag '!mine' is not allowed; write plain values"]),
    ("name: !!binary aGk=\n", [":1:7: name: tag 'tag:yaml.org,2002:binary' is not allowed"]),
    ("name: !!timestamp 2001-01-01\n", ["tag 'tag:yaml.org,2002:timestamp' is not allowed"]),
    ("model: !!set {a, b}\n", [":1:8: model: tag 'tag:yaml.org,2002:set' is not allowed"]),
    ("seed: !!int many\n", [":1:7: seed: 'many' is no int"]),
    ("seed: 1e999\n", [":1:7: seed: '1e999' is too large"]),
    (f"seed: {'9' * 5000}\n", [":1:7: seed: '9999", "is too large"]),
    ('name: "\\ud800"\n', [":1:7: name: '\\ud800' holds half a character (a surrogate)"]),
    (
        VALID.replace("{path: m}", "\n  path: m\n  dtype: flot32"),
        [
            ":4:10: model.dtype: Input should be 'float32', 'bfloat16', 'float16' or 'float64' (got 'flot32'); "
            "did you mean 'float32'?"
        ],
    ),
    (
        VALID.replace("lexicon: gender", "lexicn: gender"),
        [
            ":6:5: groups.0.lexicn: unknown key; did you mean 'lexicon'? allowed are attribute, lexicon, patterns, spans, only"
        ],
    ),
    (
        VALID.replace("attribute: gender", "attribute: g\n    only: [a, 1]"),
        [":6:15: groups.0.only.1: ", "put it in quotes"],
    ),
    (
        VALID.replace("    lexicon: gender\n", ""),
        [":5:5: groups.0: give exactly one of 'lexicon', 'patterns' and 'spans: true'"],
    ),
    (VALID + "  - {attribute: gender, spans: true}\n", [":5:3: groups: attribute 'gender' is declared twice"]),
    (VALID.replace("{path: a.csv}", ""), [":1:6: data: ", "(got None)"]),
    (
        VALID.replace("path: a.csv", "format: csv"),
        [":1:7: data.path: required key is missing: CSV, JSONL or Parquet file"],
    ),
    (VALID.replace("model: {path: m}\n", ""), [":1:1: model: required key is missing"]),
    (
        VALID + "datta: 1\n",
        [":7:1: datta: unknown key; did you mean 'data'? allowed are name, task, seed, about, requires, data,"],
    ),
    (VALID + "statistics: {alpha: 1.5}\n", [":7:21: statistics.alpha: Input should be less than 1 (got 1.5)"]),
    (VALID + "statistics: {alpha: '0.05'}\n", [":7:21: statistics.alpha: Input should be a valid number (got '0.05')"]),
    (VALID + "margins: {swap: .nan}\n", [":7:17: margins.swap: Input should be a valid number (got '.nan')"]),
    (VALID + "report: {show_text: no}\n", [":7:21: report.show_text: ", "(got 'no'); write true or false"]),
    (VALID + "gates: contrast\n", [":7:8: gates: ", "(got 'contrast'); write a list: [a, b]"]),
    (VALID + "gates: [contrats]\n", [":7:9: gates.0: ", "did you mean 'contrast'?"]),
    (VALID + "name: a/b\n", [":7:7: name: ", "(got 'a/b'); letters, digits, blanks"]),
    (VALID + "name: no\nseed: -1\n", [":8:7: seed: Input should be greater than or equal to 0 (got -1)"]),
    (VALID + '"a\\nb": 1\n', [":7:1: 'a\\nb': unknown key"]),
    (
        VALID.replace("path: a.csv", "path: a.csv, columns: {attributes: {'a/b': c}}"),
        [":1:44: data.columns.attributes.'a/b': "],
    ),
]

BAD_OVERRIDES = [
    # override, message
    ("seed", "--set seed: write --set a.b=c, for example --set statistics.alpha=0.01"),
    ("=1", "--set =1: write --set a.b=c"),
    ("model..path=1", "--set model..path=1: write --set a.b=c"),
    ("model.dtype=flot32", "--set model.dtype=flot32: model.dtype: Input should be 'float32'"),
    ("modle.path=a", "--set modle.path=a: modle: unknown key; did you mean 'model'? allowed are name, task"),
    ("seed.x=1", "--set seed.x=1: seed is 3, which has no key 'x'"),
    ("groups.1.lexicon=age", "--set groups.1.lexicon=age: groups is a list of 1, counted from 0; got '1'"),
    ("groups.\u00b2.lexicon=age", "groups is a list of 1, counted from 0; got '\u00b2'"),
    ("gates=[a", "--set gates=[a: not valid YAML: expected ',' or ']'"),
    ("gates=[contrast, outcom]", "--set gates=[contrast, outcom]: gates.1: Input should be"),
    ("output=@x", "--set output=@x: not valid YAML: found character '@' that cannot start any token"),
    ("output=a\x00", "not valid YAML: character '\\x00' is not allowed"),
    ("model.allow_remote_code=on", "model.allow_remote_code: Input should be a valid boolean (got 'on')"),
    ("margins.swap=1e999", "--set margins.swap=1e999: margins.swap: '1e999' is too large"),
    ("margins=", "--set margins=: margins: "),
    ("seed=" + "[" * 3000, "nested deeper than 32 levels"),
    ("data={format: csv}", "--set data={format: csv}: data.path: required key is missing"),
    ("report.examples=2.5", "--set report.examples=2.5: report.examples: Input should be a valid integer"),
]

SCALARS = [
    ("1e-6", 1e-6),
    ("1E6", 1e6),
    (".5", 0.5),
    ("5.", 5.0),
    ("-0.25", -0.25),
    ("010", 10),
    ("+7", 7),
    ("0x1F", "0x1F"),
    ("0o17", "0o17"),
    ("1_000", "1_000"),
    ("12:30:00", "12:30:00"),
    ("12:30", "12:30"),
    ("2001-12-14", "2001-12-14"),
    ("no", "no"),
    ("Yes", "Yes"),
    ("on", "on"),
    ("off", "off"),
    ("y", "y"),
    ("nan", "nan"),
    (".inf", ".inf"),
    ("true", True),
    ("false", False),
    ("null", None),
    ("~", None),
    ("", None),
    ("'1'", "1"),
    ("!!str 1", "1"),
    ("!!float 1", 1.0),
    ("=", "="),
    ("<<", "<<"),
]


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "cfg.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(("content", "fragments"), BAD_FILES)
def test_bad_file_is_refused_with_place_and_cure(tmp_path: Path, content: str | bytes, fragments: list[str]) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ConfigError, match=re.escape(str(path))) as caught:
        load_config(path)
    for fragment in fragments:
        assert fragment in str(caught.value)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(("override", "message"), BAD_OVERRIDES)
def test_bad_override_is_refused_and_named(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_config(written(tmp_path, VALID + "seed: 3\n"), [override])


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_plain_scalars_follow_yaml_1_2(tmp_path: Path, text: str, value: object) -> None:
    shown = f"gates.0: .*[(]got {re.escape(repr(value))}[)]"
    with pytest.raises(ConfigError, match=shown):
        load_config(written(tmp_path, f"{VALID}gates:\n  - {text}\n"))


def test_missing_file_names_the_one_that_was_meant(tmp_path: Path) -> None:
    (tmp_path / "audit.yaml").write_text(VALID)
    with pytest.raises(ConfigError, match=r"audti\.yaml: there is no such config file; did you mean 'audit\.yaml'\?"):
        load_config(tmp_path / "audti.yaml")
    with pytest.raises(ConfigError, match=r"there is no such config file$"):
        load_config(tmp_path / "nowhere" / "audit.yaml")


def test_folder_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a regular file; give the YAML file itself"):
        load_config(tmp_path)


def test_all_problems_are_listed_in_reading_order(tmp_path: Path) -> None:
    content = "seed: -1\n" + VALID.replace("path: m", "pth: m, dtype: x") + "margins: {flips: 2}\n"
    with pytest.raises(ConfigError, match="seed") as caught:
        load_config(written(tmp_path, content), ["report.examples=999"])
    places = [line.split(": ")[0] for line in str(caught.value).splitlines()]
    name = str(tmp_path / "cfg.yaml")
    assert places == [*(f"{name}:{at}" for at in ("1:7", "3:9", "3:24", "8:18")), "--set report.examples=999"]


def test_valid_file_gives_the_config_and_its_folder(tmp_path: Path) -> None:
    loaded = load_config(written(tmp_path, "\ufeff" + VALID))
    assert (loaded.path, loaded.folder) == (tmp_path / "cfg.yaml", tmp_path)
    assert (loaded.config.name, loaded.config.data.path, loaded.config.groups[0].lexicon) == ("cfg", "a.csv", "gender")


def test_file_name_that_is_no_audit_name_asks_for_one(tmp_path: Path) -> None:
    path = tmp_path / "my:config.yaml"
    path.write_text(VALID)
    with pytest.raises(ConfigError, match=r"name: String should match pattern .*got 'my:config'"):
        load_config(path)
    assert load_config(path, ["name=mine"]).config.name == "mine"


def test_keys_of_labels_are_text_as_written(tmp_path: Path) -> None:
    content = VALID.replace("{path: m}", "{path: m, labels: {0: bad, no: worse, 01: good, true: best}}")
    labels = load_config(written(tmp_path, content)).config.model.labels
    assert labels == {"0": "bad", "no": "worse", "01": "good", "true": "best"}


def test_aliases_are_written_out(tmp_path: Path) -> None:
    content = VALID + "  - {attribute: age, patterns: &p {old: elderly}}\n  - {attribute: years, patterns: *p}\n"
    groups = load_config(written(tmp_path, content)).config.groups
    assert groups[1].patterns == groups[2].patterns == {"old": "elderly"}


def test_overrides_apply_in_order_and_make_missing_blocks(tmp_path: Path) -> None:
    overrides = [
        "statistics.alpha=1e-2", "gates=[contrast, outcome]", "groups.0.lexicon=age", "seed=1", "seed=010",
        "model.labels.0=good", "data.columns.id=", "name=a=b".replace("=b", "-b"),
    ]  # fmt: skip
    config = load_config(written(tmp_path, VALID), overrides).config
    assert (config.statistics.alpha, config.gates, config.groups[0].lexicon) == (0.01, ("contrast", "outcome"), "age")
    assert (config.seed, config.model.labels, config.data.columns.id, config.name) == (10, {"0": "good"}, None, "a-b")


def test_override_replaces_a_bad_value_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, VALID.replace("{path: m}", "{path: m, labels: [a, b]}"))
    assert load_config(path, ["model={path: other}"]).config.model.path == "other"


def test_schema_needs_what_the_loader_needs(tmp_path: Path) -> None:
    schema = config_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "lrp-audit config"
    assert set(schema["properties"]) == set(Config.model_fields)
    for key in schema["required"]:
        content = "\n".join(
            line for line in VALID.splitlines() if not line.startswith((key, " ") if key == "groups" else key)
        )
        with pytest.raises(ConfigError, match=f"1:1: {key}: required key is missing"):
            load_config(written(tmp_path, content))
    assert json.loads(json.dumps(schema)) == schema


printable = st.text(st.characters(codec="utf-8"), max_size=30)


@given(st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False)))
def test_number_as_python_writes_it_comes_back(number: float) -> None:
    kind = "int" if isinstance(number, int) else "float"
    back = parse_scalar(repr(number), kind)
    assert back == number and type(back) is type(number)


@given(printable)
def test_quoted_text_comes_back(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp()
    content = yaml.safe_dump({"output": text}, default_style='"', allow_unicode=False)
    assert load_config(written(folder, VALID + content)).config.output == text


@given(st.one_of(st.binary(max_size=80), printable.map(lambda text: VALID.encode() + text.encode())))
def test_any_bytes_load_or_raise_config_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path, message = written(tmp_path_factory.getbasetemp(), content), ""
    try:
        assert load_config(path).config.model.path == "m"
    except ConfigError as error:
        message = str(error)
    assert not message or message.startswith(f"{path}:")


IMAGES = """\
task: image
data: {path: photographs.csv}
model: {module: "networks:make", weights: w.safetensors, classes: [a, b], preprocessing: {resize: [8, 8]}}
target: {favour: a}
regions: [{name: face, mask: face}]
"""
BAD_IMAGES = [
    ("regions=[]", "regions: required for task 'image'"),
    ("task=text", "regions: not for task 'text'; declare groups, or write `task: image`"),
    ("regions=[{name: face, mask: m, grid: [2, 2]}]", "give exactly one of mask, boxes, coco, landmarks, fixed, grid"),
    ("regions=[{name: face}]", "give exactly one of mask, boxes, coco, landmarks, fixed, grid"),
    ("regions=[{name: outside, mask: m}]", "the name 'outside' is taken"),
    ("regions=[{name: f, mask: m}, {name: f, mask: n}]", "two regions have one name"),
    ("regions=[{name: f, grid: [2, 2], value: 3}]", "value needs mask"),
    ("regions=[{name: f, boxes: b, channel: 0}]", "channel needs mask"),
    ("regions=[{name: f, boxes: b, category: c}]", "category needs coco"),
    ("regions=[{name: f, mask: m, points: [1, 2, 3]}]", "points needs landmarks"),
    ("regions=[{name: f, mask: m, grow: 0.5}]", "grow needs landmarks"),
    ("regions=[{name: f, landmarks: m, points: [1, 2]}]", "landmarks needs points: at least three"),
    ("regions=[{name: f, fixed: [[5, 5, 5, 9]]}]", "is empty; write left, top, right, bottom"),
    ("regions=[{name: f, fixed: []}]", "at least 1 item"),
    ("regions=[{name: f, grid: [0, 2]}]", "greater than or equal to 1"),
    ("regions=[{name: f, mask: m, error_rate: 1.5}]", "less than 1"),
    ("model.preprocessing.crop=[9, 2, 4, 5]", "box [9, 2, 4, 5] is empty; write left, top, right, bottom"),
    ("model.preprocessing.crop=[2, 2, 2, 5]", "box [2, 2, 2, 5] is empty"),
    ("model.preprocessing.mean=[0.1, 0.2]", "mean has 2 values for 3 channels; give 1 or 3"),
    ("model.preprocessing.std=[0]", "greater than 0"),
    ("model.preprocessing.filter=cubic", "Input should be 'nearest', 'box', 'bilinear'"),
    ("model.weights=null", "module needs weights beside it"),
    ("model.path=./m", "give exactly one of 'path' (a folder or a hub name) and 'module'"),
    ("model={path: ./m, weights: w.pt}", "weights belong to a module of your own"),
    ("model={path: 'builtin:face_gender', classes: [a, b]}", "classes: a built-in model says it itself"),
    ("model={path: 'builtin:face_gender', multi_label: true}", "multi_label: a built-in model says it itself"),
    ("model.module=networks.make", "String should match pattern"),
    ("statistics.twins=1", "1 twins are no reference; give 20 or more, or 0 for none"),
    ("statistics.jitter=2", "statistics.jitter: needs model.preprocessing.crop, which it shifts"),
    ("statistics.mask_tolerance=-0.01", "greater than or equal to 0"),
    ("statistics.mask_tolerance=0.3", "less than or equal to 0.25"),
    ("statistics.mask_tolerance=2 pixels", "Input should be a valid number"),
    ("gates=[contrast]", "gates: 'contrast' is no gate for task 'image'"),
    ("report.images=pixelate", "Input should be 'show', 'blur' or 'hide'"),
]


@pytest.mark.parametrize(("override", "message"), BAD_IMAGES)
def test_bad_image_configs_are_refused_and_named(tmp_path: Path, override: str, message: str) -> None:
    path = written(tmp_path, IMAGES)
    assert load_config(path).config.task == "image"
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_config(path, [override])
