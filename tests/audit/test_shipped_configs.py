"""The configs that ship load, their keys stand in the schema, and further ways to get a config wrong."""

from pathlib import Path

import pytest
import yaml

from audit.errors import ConfigError
from audit.loading import config_schema, load_config

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
HEAD = "data: {path: a.csv}\nmodel: {path: m}\ntarget: {favour: good}\n"
GROUPS = "groups:\n  - attribute: gender\n    lexicon: gender\n"
BAD = {
    "two sources": (GROUPS + "    spans: true\n", r":5:5: groups\.0: give exactly one of"),
    "no groups": ("groups: []\n", r":4:9: groups: required for task .text.: say what relevance is summed over"),
    "negative placebos": (GROUPS + "statistics: {placebos: -1}\n", r":7:24: statistics\.placebos: .*19 \(got -1\)"),
    "infinite margin": (GROUPS + "margins: {swap: inf}\n", r":7:17: margins\.swap: .*valid number \(got 'inf'\)"),
    "true for a number": (GROUPS + "seed: true\n", r":7:7: seed: .*valid integer \(got True\)"),
    "tag on the file": ("x: 1\n", r":1:5: config: tag '!mine' is not allowed"),
    "aliases nested deep": (
        GROUPS + f"x: &x {'[' * 25}{']' * 25}\ny: {'[' * 25}*x{']' * 25}\n",
        "nested deeper than 32",
    ),
    "terminal escape": (GROUPS + '"\\e[31m": 1\n', r":7:1: '\\x1b\[31m': unknown key"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_config_gives_one_line_with_its_place(case: str, tmp_path: Path) -> None:
    content, said = BAD[case]
    path = tmp_path / "a.yaml"
    path.write_text(("--- !mine\n" if case == "tag on the file" else "") + HEAD + content)
    with pytest.raises(ConfigError, match=said) as caught:
        load_config(path)
    assert len(str(caught.value).splitlines()) == 1


def test_only_the_item_is_reported_when_the_only_group_is_bad(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(HEAD + GROUPS)
    with pytest.raises(
        ConfigError, match=r"^--set groups=\[\{attribute: a\}\]: groups\.0: give exactly one of [^\n]*$"
    ):
        load_config(path, ["groups=[{attribute: a}]"])


def test_override_below_a_list_item_that_is_a_value_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(HEAD + GROUPS + "gates: [contrast]\n")
    with pytest.raises(ConfigError, match=r"gates\.0 is 'contrast', which has no key 'x'"):
        load_config(path, ["gates.0.x=1"])


def test_path_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: File name too long"):
        load_config(tmp_path / ("a" * 300))
    with pytest.raises(ConfigError, match="there is no such config file"):
        load_config(Path("a\0b"))


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux's /proc")
def test_file_that_fails_while_it_is_read_is_refused() -> None:
    with pytest.raises(ConfigError, match="/proc/self/mem: cannot be read: Input/output error"):
        load_config(Path("/proc/self/mem"))


def unknown_keys(value: object, schema: dict, blocks: dict) -> list[str]:
    """Keys of a document that a schema of closed objects does not describe."""
    branches = [schema, *schema.get("anyOf", ()), *schema.get("allOf", ())]
    branches = [blocks[branch["$ref"].rpartition("/")[2]] if "$ref" in branch else branch for branch in branches]
    if isinstance(value, list):
        items = next((branch["items"] for branch in branches if "items" in branch), {})  # of fixed length: no objects
        return [key for item in value for key in unknown_keys(item, items, blocks)]
    free = any(isinstance(b.get("additionalProperties"), dict) or "patternProperties" in b for b in branches)
    if not isinstance(value, dict) or free:
        return []
    known = {key: item for branch in branches for key, item in branch.get("properties", {}).items()}
    deeper = [found for key, item in value.items() if key in known for found in unknown_keys(item, known[key], blocks)]
    return [key for key in value if key not in known] + deeper


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_config_loads_and_the_schema_knows_its_keys(path: Path) -> None:
    assert load_config(path).config.name == path.stem
    schema = config_schema()
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert unknown_keys(document, schema, schema["$defs"]) == []
    assert set(schema["required"]) <= document.keys()


def test_schema_is_closed_and_finds_unknown_keys_at_every_level() -> None:
    schema = config_schema()
    wrong = {"data": {"pth": 1}, "modl": {}, "groups": [{"lexicn": 1}], "model": {"labels": {"free": "x"}}}
    assert unknown_keys(wrong, schema, schema["$defs"]) == ["modl", "pth", "lexicn"]
    blocks = [block for block in [schema, *schema["$defs"].values()] if block.get("type") == "object"]
    assert all(block["additionalProperties"] is False for block in blocks)
