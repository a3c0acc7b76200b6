"""Two hundred strings that attack whatever shows them, and a record that is full of them."""

import itertools
import json
from typing import Any, Final

from audit.records import AuditRecord
from tests.audit.report.complete import complete_record

MARK: Final = "xq7"  # in every string, so that what executes can be told from what is shown
SCRIPTS: Final = (
    "<script>document.title='xq7'</script>",
    "</script><script>document.title='xq7'</script>",
    "<img src=x onerror=\"document.title='xq7'\">",
    "<svg onload=\"document.title='xq7'\">",
    "\"><svg/onload=document.title='xq7'>",
    "'><iframe srcdoc=\"<script>top.document.title='xq7'</script>\">",
    "<a href=\"javascript:document.title='xq7'\">xq7</a>",
    "<style>*{display:none}</style>xq7",
    "</style><script>document.title='xq7'</script>",
    "<meta http-equiv=refresh content='0;url=http://xq7.example'>",
    "<base href=http://xq7.example/>",
    "<link rel=stylesheet href=http://xq7.example/a.css>",
    "<object data=http://xq7.example></object>",
    "<form action=http://xq7.example><input autofocus>",
    "<!-- xq7",
    "-->xq7",
    "<![CDATA[xq7",
    "]]>xq7",
    "</table></section></main><h1>xq7</h1>",
    "&lt;script&gt;xq7",
    "&#x3c;script>xq7",
    "<details open ontoggle=document.title='xq7'>",
    "<math><mi//xlink:href=x>xq7",
    "{{ 7 * 7 }}xq7",
    "{% include 'xq7' %}",
    "${7*7}xq7",
    "<%= xq7 %>",
)
TYPST: Final = (
    '#panic("xq7")',
    '#read("/etc/passwd") xq7',
    '#include "xq7.typ"',
    "#set page(fill: red) xq7",
    "#text(size: 900pt)[xq7]",
    "$ xq7 $",
    "*xq7* _xq7_",
    "`xq7",
    "```xq7",
    "<xq7> @xq7",
    "= xq7",
    "- xq7",
    "/ xq7: y",
    "https://xq7.example",
    "// xq7",
    "/* xq7",
    '#link("http://xq7.example")[a]',
    "\\u{0} xq7",
    "#pagebreak() xq7",
    '#image("xq7.svg")',
)
SHEETS: Final = (
    "=1+1 xq7",
    "=cmd|' /C calc'!A0 xq7",
    "+1 xq7",
    "-1 xq7",
    "@SUM(A1) xq7",
    "\t=1 xq7",
    "\r=1 xq7",
    '=HYPERLINK("http://xq7.example")',
    "|xq7",
    "%0A=xq7",
    "\uff1d1 xq7",
    ";=1 xq7",
    ",=1,xq7",
    '"=1",xq7',
    "'=1 xq7",
    "\n=1 xq7",
)
MARKDOWN: Final = (
    "[xq7](http://xq7.example)",
    "![xq7](http://xq7.example/a.png)",
    "| a | xq7 |\n|---|---|",
    "---\nname: xq7\n---",
    "# xq7",
    "xq7\n===",
    "> xq7",
    "~~~xq7",
    "<http://xq7.example>",
    "[xq7]: http://xq7.example",
    "- [ ] xq7",
    "*[xq7]: a",
    "!!python/object:xq7",
    "xq7: &a [*a]",
    "? xq7",
    "%YAML xq7",
)
SIGNS: Final = (
    "\u202exq7\u202c",
    "\u2066xq7",
    "\u200fxq7",
    "\u200b\u200bxq7",
    "\ufeffxq7",
    "xq7\x00",
    "xq7\x07",
    "\x1b[31mxq7",
    "\x1b]0;xq7\x07",
    "\x9b31mxq7",
    "xq7\x7f",
    "xq7\u0000\u0001",
    "\ue000xq7",
    "\U000f0000xq7",
    "\ufffexq7",
    "\u0378xq7",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334xq7",
    "xq7\u2028xq7",
    "xq7\u2029",
    "\u0085xq7",
    "\u6f22\u5b57xq7",
    "\U0001f600xq7",
    "\u05e9\u05dc\u05d5\u05ddxq7",
    "\u0627\u0644xq7",
    "e\u0301xq7",
    "\u1160xq7",
    "a\u00adxq7",
    "\u3000xq7",
    "\r\nxq7",
    "\v\fxq7",
)
PATHS: Final = (
    "../../xq7",
    "/etc/passwd xq7",
    "C:\\xq7",
    "xq7\\..\\..\\a",
    "file:///xq7",
    "xq7%2e%2e%2f",
    "~/xq7",
    "$(touch xq7)",
    "`touch xq7`",
    "; rm -rf xq7",
)
LONG: Final = ("xq7" * 350_000, "xq7 " * 250_000, "xq7\n" * 250_000, "<b>xq7" * 170_000)  # a megabyte each


def strings() -> list[str]:
    """All of them: each kind as it is, and some in front of others."""
    single = [*SCRIPTS, *TYPST, *SHEETS, *MARKDOWN, *SIGNS, *PATHS]
    paired = [f"{one} {other}" for one, other in zip(SCRIPTS, itertools.cycle(SHEETS), strict=False)]
    mixed = [f"{one}{other}" for one, other in zip(SIGNS, itertools.cycle(TYPST), strict=False)]
    quoted = [f"'{one}\"" for one in (*MARKDOWN, *PATHS)]
    return [*single, *paired, *mixed, *quoted, *LONG]


TEXTS: Final = (  # keys of texts, or lists of them, that a config, a dataset or a model's folder may decide
    "name", "attribute", "groups", "group", "term", "text", "path", "label", "predicted", "id", "source", "provenance", "reason",
    "contrast", "classes", "architecture", "notes", "warnings", "limits", "word",
)  # fmt: skip
KEYED: Final = (
    "forms",
    "labels",
    "excluded",
    "unknown",
    "attributes",
    "never_seen",
)  # dictionaries whose keys are such texts


def hostile_record(turn: int = 0) -> AuditRecord:
    """The complete record with every free text replaced, the same text by the same; what is left over is declared.

    Each `turn` puts the strings elsewhere; those that are odd are of texts, the others of photographs.
    """
    taken, given, known = strings(), dict[str, str](), set[str]()
    taken = [*taken[turn * 67 :], *taken[: turn * 67]]
    supply = iter([each for each in taken if each not in LONG])

    def other(text: str) -> str:
        if text not in given and text not in known and text.strip():
            given[text] = next(supply, f"{MARK} {len(given)}")
        return given.get(text, text)

    document = json.loads(complete_record().model_dump_json())
    if turn % 2:
        document["regions"] = []
    _replace(document, other)
    left = [*supply, *LONG]
    document["config"]["about"] = " ".join(left[: len(left) // 2])
    names = (
        "system",
        "provider",
        "owner",
        "contact",
        "intended_purpose",
        "out_of_scope",
        "auditor",
        "responsible",
        "responsible_role",
        "action_on_breach",
    )
    declared = {name: "".join(left[i :: len(names)]) for i, name in enumerate(names)}
    document["config"]["compliance"] = {
        "profile": ["nyc_ll144", "ugesp", "eu_ai_act", "nist_ai_rmf", "model_card"],
        "declarations": declared,
    }
    document["provenance"] |= {
        "command": ["lrp-audit", *left[:4]],
        "config_written": "\n".join(left),
        "config_path": left[0],
        "overrides": left[:3],
    }
    return AuditRecord.model_validate(document)


def _replace(value: Any, other: Any) -> None:
    """In place, but for the settings of the config."""
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        if key in TEXTS and isinstance(item, str):
            value[key] = other(item)
        elif key in TEXTS and isinstance(item, list) and all(isinstance(each, str) for each in item):
            value[key] = [other(each) for each in item]
        elif key in KEYED and isinstance(item, dict):
            value[key] = {other(name): each for name, each in item.items()}
        if key != "config" and isinstance(value[key], dict | list):
            _replace(value[key], other)
