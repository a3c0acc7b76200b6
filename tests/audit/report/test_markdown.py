"""Text from data stays text in Markdown, as a CommonMark parser with tables and links reads it."""

import pytest
from markdown_it import MarkdownIt

from audit.report.markdown import escaped, listed, sentences, table
from audit.report.text import shorten
from tests.audit.report.hostile import UNWRITABLE, strings

HOSTILE = (*strings(), UNWRITABLE, "", " \n ")
ADDRESSES = ("://", "www.", "@", "mailto:", "javascript:", "data:")


def read(source):
    """Tokens by type, and the text that a reader sees."""
    parser = MarkdownIt("commonmark").enable("table").enable("strikethrough")
    tokens = [inner for token in parser.parse(source) for inner in (token, *(token.children or ()))]
    return [each.type for each in tokens], "".join(
        each.content for each in tokens if each.type in {"text", "code_inline", "text_special"}
    )


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_paragraph_of_hostile_text_is_a_paragraph_that_reads_as_the_text(text):
    types, seen = read(escaped(text))
    allowed = {"paragraph_open", "paragraph_close", "inline", "text", "code_inline", "text_special"}
    assert set(types) <= allowed and types.count("paragraph_open") <= 1
    if not any(sign in text for sign in ADDRESSES):
        assert seen == shorten(text, 400)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_cell_neither_opens_html_nor_breaks_its_table(text):
    lines = table(("A", "B"), [(text, "end"), ("next", text)])
    types, seen = read("\n".join(lines))
    assert types.count("tr_open") == 3 and types.count("td_open") == 4 and types.count("table_open") == 1
    assert not {"html_inline", "html_block", "link_open", "image", "em_open", "strong_open"} & set(types)
    assert "end" in seen and "next" in seen and "<" not in "".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        "http://x.y",
        "see HTTPS://x.y/(z)",
        "www.x.y",
        "me@x.y",
        "mailto:me@x.y",
        "(http://x.y|z)",
        "http://exämple.org",
        "x www.a`b",
    ],
)
def test_what_renderers_would_link_is_code_or_cut(text):
    _, seen = read(escaped(text))
    plain = "".join(part for i, part in enumerate(escaped(text).split("`")) if i % 2 == 0)
    assert not any(sign in plain.lower() for sign in ("://", "www.")) and "@" not in plain.replace(" @ ", "")
    assert seen.replace(" ", "") == text.replace(" ", "")


def test_addresses_that_are_plain_can_be_copied():
    assert (
        escaped("ask audit@example.org or https://example.org/a_b")
        == "ask `audit@example.org` or `https://example.org/a_b`"
    )


def test_numbers_and_names_stay_readable():
    assert escaped("0.055, 12 films (old − young)") == "0.055, 12 films (old − young)"


def test_lists_escape_their_texts():
    assert listed([("Name", "*x*")]) == ["- **Name:** \\*x\\*", ""]
    assert sentences(["# x", "- y"]) == ["- \\# x", "- &#45; y", ""]
