"""Two hundred strings that attack whatever shows them, and a record that is full of them."""

import itertools
import re
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, Final

from pydantic import BaseModel

from audit.records import AuditRecord, Estimate
from tests.audit.report.complete import DECLARED, complete_record

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
    "see www.xq7.example, http://xq7.example or mailto:me@xq7.example",
    "1. xq7",
    "{0} {{7*7}} $x$ \\[xq7\\]",
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


UNWRITABLE: Final = "\ud800 xq7 \udfff"  # no file holds it, so no record of a file does; formats for programs bear it

UNPRINTED: Final = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufffe\ud800-\udfff]"
)  # in no line of text

TURNS: Final = (0, 1)
LATER: Final = 2  # a turn in which questions too are of another release
KEPT: Final = frozenset({"schema_version", "profile", "task"})  # settings of the program, which no data can change
OWN_KEYS: Final = frozenset({"inputs", "measure", "rate", "reference rate", "lrp-audit", *Estimate.model_fields})
FILLED: Final = frozenset(
    {"picture", "condition", "grounds", "used"}
)  # texts that the complete record leaves out somewhere
PROFILES: Final = ("nyc_ll144", "ugesp", "eu_ai_act", "nist_ai_rmf", "model_card")


@cache
def hostile_record(turn: int = 0, *more: str) -> AuditRecord:
    """The complete record with a hostile string around every text, the same around the same; lines of a megabyte in a few places.

    Each `turn` puts the strings, and `more` of them, elsewhere; those that are odd are of texts, the others of photographs.
    """
    record = complete_record()
    first = record.findings[0]
    long = dict(zip((record.name, first.reason, first.grounds, record.data.path), LONG, strict=True))
    short = [*more, *(each for each in strings() if each not in LONG)]
    supply, given = itertools.cycle([*short[turn * 67 :], *short[: turn * 67]]), dict[str, str]()

    def other(text: str) -> str:
        if text.strip() and text not in given:
            given[text] = long[text] if text in long else "{0}{1}{0}".format(next(supply), text)
        return given.get(text, text)

    made: AuditRecord = _around(unharmed(turn), other, kept=_kept(turn))
    return made


def _added(record: AuditRecord, turn: int) -> dict[str, Any]:
    """What only people write: declarations, the command and the config's own text, with lines of a megabyte."""
    declared = {**DECLARED, "system_version": LONG[0], "intended_purpose": LONG[2]}
    compliance = {**record.config["compliance"], "profile": list(PROFILES), "declarations": declared}  # type: ignore[dict-item]
    source = {
        "command": ("lrp-audit", "run"), "config_written": "\n".join(strings()), "overrides": ("seed=7",),
        "hardware": {"processor": "one"},
    }  # fmt: skip
    return {
        "config": {**record.config, "about": "a film", "compliance": compliance},
        "provenance": record.provenance.model_copy(update=source),
        "warnings": ("the explanation is not valid: noise",),
        **({"regions": ()} if turn % 2 else {}),
    }


def unharmed(turn: int) -> AuditRecord:
    """What the hostile record of a turn was made from."""
    record = complete_record()
    return record.model_copy(update=_added(record, turn))


def _kept(turn: int) -> frozenset[str]:
    return KEPT if turn == LATER else KEPT | {"question"}


def _around(value: Any, other: Callable[[str], str], *, kept: frozenset[str]) -> Any:
    """Every text, and every key that is a name, through `other`."""
    if isinstance(value, BaseModel):
        fields = {
            name: getattr(value, name) or (name if name in FILLED else getattr(value, name))
            for name in type(value).model_fields
        }
        return type(value).model_construct(**{
            name: _settings(each, other) if name == "config" else each if name in kept else _around(each, other, kept=kept)
            for name, each in fields.items()
        })  # fmt: skip
    if isinstance(value, dict):
        return {key if key in OWN_KEYS else other(key): _around(each, other, kept=kept) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_around(each, other, kept=kept) for each in value)
    return other(value) if isinstance(value, str) and not isinstance(value, Enum) else value


def _settings(value: Any, other: Callable[[str], str]) -> Any:
    """Of a config its values alone."""
    if isinstance(value, dict):
        return {key: each if key in KEPT else _settings(each, other) for key, each in value.items()}
    return _around(value, other, kept=KEPT)
