import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.config import Groups
from audit.data.terms import LexiconData, Matcher, build_matcher, load_lexicon, shipped, swap_terms, words
from audit.errors import ConfigError, DataError

HERE = Path(__file__).parent
ATTRIBUTES = ("age", "disability", "gender", "race_ethnicity_nationality", "religion", "sexual_orientation")
MATCHER: Matcher = build_matcher([Groups(attribute=name, lexicon=name) for name in ATTRIBUTES], HERE)
LEXICONS = [load_lexicon(name, HERE) for name in ATTRIBUTES]

FOUND = [
    # text, [(slice, group, term), ...]
    ("She left.", [("She", "female", "she")]),
    ("SHE LEFT", [("SHE", "female", "she")]),
    ("the girls laughed", [("girls", "female", "girl")]),
    ("two ladies, three actresses", [("ladies", "female", "lady"), ("actresses", "female", "actress")]),
    ("wolves and wives", [("wives", "female", "wives")]),
    ("the girl's book", [("girl's", "female", "girl")]),
    ("the girl\u2019s book", [("girl\u2019s", "female", "girl")]),
    ("the girls' books", [("girls'", "female", "girl")]),
    ("the girls\u2019 books", [("girls\u2019", "female", "girl")]),
    ("the actress' role", [("actress'", "female", "actress")]),
    ("the 'girls' room", [("girls", "female", "girl")]),
    ("a \u2018girl\u2019 here", [("girl", "female", "girl")]),
    ('a "girl" here', [("girl", "female", "girl")]),
    ("women's", [("women's", "female", "women")]),
    ("yes, ma\u2019am", [("ma\u2019am", "female", "ma'am")]),
    ("he'd say she'll go", [("he", "male", "he"), ("she", "female", "she")]),
    ("hers", [("hers", "female", "hers")]),
    ("his-and-hers towels", [("his", "male", "his"), ("hers", "female", "hers")]),
    (
        "(man)woman/boy_girl",
        [("man", "male", "man"), ("woman", "female", "woman"), ("boy", "male", "boy"), ("girl", "female", "girl")],
    ),
    ("a man2man talk", [("man", "male", "man"), ("man", "male", "man")]),
    ("Shelley, a human, hymn, the, herb, shed, manage", []),
    ("Americanized jewishness", []),
    ("he\u0301ros and m\u00e1n and man\u0303", []),
    ("\u017fhe \u0130she", []),
    ("\u0130 she", [("she", "female", "she")]),
    ("Jewish-American", [("Jewish", "jewish", "jewish"), ("American", "american", "american")]),
    ("African American", [("African American", "black", "african american")]),
    ("african-americans", [("african-americans", "black", "african american")]),
    ("african\n american", [("african\n american", "black", "african american")]),
    ("African\u2011American's", [("African\u2011American's", "black", "african american")]),
    (
        "South Africans, Africans",
        [("South Africans", "south_african", "south african"), ("Africans", "black", "african")],
    ),
    ("mother in law", [("mother in law", "female", "mother-in-law")]),
    ("mother-in-lawful, she'sn", [("mother", "female", "mother"), ("she", "female", "she")]),
    ("mother, in law", [("mother", "female", "mother")]),
    ("an American Indian", [("American Indian", "indigenous", "american indian")]),
    ("a black man", [("black man", "black", "black man"), ("man", "male", "man")]),
    ("old people", [("old people", "old", "old people")]),
    ("wheelchair-bound", [("wheelchair-bound", "mobility", "wheelchair-bound")]),
    ("gays and Hindus", [("gays", "gay", "gay"), ("Hindus", "hindu", "hindu")]),
    ("", []),
]


def spelled(text: str, matcher: Matcher = MATCHER) -> list[tuple[str, str, str]]:
    return [(text[match.start : match.end], match.group, match.term) for match in matcher.find(text)]


@pytest.mark.parametrize(("text", "expected"), FOUND)
def test_finds_exactly_the_declared_terms(text: str, expected: list[tuple[str, str, str]]) -> None:
    assert spelled(text) == expected


def test_only_narrows_the_groups_but_not_what_a_longer_term_takes() -> None:
    block = Groups(attribute="origin", lexicon="race_ethnicity_nationality", only=("american", "british"))
    matcher = build_matcher([block], HERE)
    assert spelled("African Americans, Americans and Scots", matcher) == [
        ("Americans", "american", "american"), ("Scots", "british", "scot")]  # fmt: skip
    assert list(matcher.terms) == [("origin", "american"), ("origin", "british")]
    assert matcher.data["origin"].swaps == ()


def test_unknown_group_in_only_lists_the_groups() -> None:
    block = Groups(attribute="gender", lexicon="gender", only=("femal",))
    with pytest.raises(ConfigError, match=r"only: no group 'femal'; there are .*nonbinary; did you mean 'female'\?"):
        build_matcher([block], HERE)


def test_patterns_match_whole_words_and_ignore_empty_matches() -> None:
    block = Groups(attribute="job", patterns={"care": r"nurse|nurses|x*", "law": r"(law)yers?|judge nurse"})
    matcher = build_matcher([block, Groups(attribute="span", spans=True)], HERE)
    assert spelled("Nurses, coursenurse, LAWYER, judge nurse", matcher) == [
        ("Nurses", "care", "nurses"), ("LAWYER", "law", "lawyer"), ("judge nurse", "law", "judge nurse")]  # fmt: skip
    assert matcher.terms == {("job", "care"): (), ("job", "law"): ()}
    assert matcher.lexicons == ()


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("ab(", r"patterns\.g: 'ab\(': not a regular expression: missing \), .* at position 2"),
        (")(", r"unbalanced parenthesis at position 0"),
        ("(?x)a", r"global flags .* at position 0; write flags as \(\?x:"),
    ],
)
def test_bad_pattern_is_named_with_its_position(pattern: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_matcher([Groups(attribute="a", patterns={"g": pattern})], HERE)


def test_record_of_a_lexicon_lists_outdated_terms() -> None:
    entry = next(entry for entry in MATCHER.lexicons if entry.attribute == "religion")
    assert "Outdated terms" in entry.provenance
    assert "moslem" in entry.provenance
    assert entry.source == "lexicon religion, version 1, shipped with lrp-audit"
    assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)


SWAPPED = [
    # attribute, text, expected
    ("gender", "He saw himself.", "She saw herself."),
    ("gender", "Her film made her rich", "His film made his rich"),  # the price of a small rule
    ("gender", "Her film made her.", "His film made him."),
    ("gender", "they saw her at the party", "they saw him at the party"),
    ("gender", "with her, always", "with him, always"),
    ("gender", 'her "big" break, her 1999 album', 'his "big" break, his 1999 album'),
    ("gender", "his film, and a friend of his.", "her film, and a friend of hers."),
    ("gender", "The role is hers", "The role is his"),
    ("gender", "ACTRESSES and Actresses", "ACTORS and Actors"),
    ("gender", "the actress' role, THE ACTRESS' ROLE", "the actor's role, THE ACTOR'S ROLE"),
    ("gender", "the actor\u2019s and the actors\u2019", "the actress\u2019s and the actresses\u2019"),
    ("gender", "Mother-in-Law, mother in law", "Father-in-Law, father in law"),
    ("gender", "men's and boys'", "women's and girls'"),
    ("gender", "he and she", None),
    ("gender", "womanhood of a tomboy", "manhood of a tomboy"),
    ("gender", "a tomboy", None),
    ("gender", "no one", None),
    ("age", "An old man and AN OLD DOG", "A young man and A YOUNG DOG"),
    ("age", "a young man, A YOUNG MAN, A Young Man", "an old man, AN OLD MAN, An Old Man"),
    ("religion", "a priest and a Christian", "an imam and a Muslim"),
    ("religion", "a Jewish rabbi", "a Christian priest"),
    ("race_ethnicity_nationality", "an African-American", "a European-American"),
    ("race_ethnicity_nationality", "white and Asian", None),
    ("age", "a old man", "a young man"),
    ("sexual_orientation", "straight, opposite-sex", "gay, opposite-sex"),  # that counterpart is in a third group
    ("sexual_orientation", "gays", None),  # 'straight' is no noun
]


@pytest.mark.parametrize(("attribute", "text", "expected"), SWAPPED)
def test_swap_replaces_every_term_in_its_form(attribute: str, text: str, expected: str | None) -> None:
    swap = swap_terms(text, MATCHER.find(text), MATCHER.data[attribute])
    assert (swap and swap.text) == expected


def test_swap_says_its_direction_and_terms() -> None:
    text = "She and her mother, she said"
    swap = swap_terms(text, MATCHER.find(text), MATCHER.data["gender"])
    assert swap is not None
    assert (swap.source, swap.target, swap.terms) == ("female", "male", ("she", "her", "mother"))


def test_words_are_typed_without_case_and_possessive() -> None:
    text = "Don\u2019t! The Girl's girls' cafe\u0301s, o'er 3 x2"
    assert [(text[start:end], kind) for start, end, kind in words(text)] == [
        ("Don\u2019t", "don't"), ("The", "the"), ("Girl's", "girl"), ("girls", "girls"), ("cafe\u0301s", "cafe\u0301s"),
        ("o'er", "o'er"), ("x", "x")]  # fmt: skip


def test_every_lexicon_of_the_folder_is_known() -> None:
    assert shipped() == ATTRIBUTES


@pytest.mark.parametrize("lexicon", LEXICONS, ids=ATTRIBUTES)
def test_shipped_lexicon_says_where_it_comes_from(lexicon: LexiconData) -> None:
    assert lexicon.attribute in ATTRIBUTES
    for part in ("lrp-audit authors, 2026-11", "Informed by:", "Known gaps: English only"):
        assert part in lexicon.provenance


@pytest.mark.parametrize("lexicon", LEXICONS, ids=ATTRIBUTES)
def test_every_shipped_term_is_found_as_itself(lexicon: LexiconData) -> None:
    declared = [term for terms in lexicon.groups.values() for term in terms]
    assert len({term.text for term in declared}) == len(declared)
    for term in declared:
        own = [match for match in MATCHER.find(f"x {term.text} x") if match.attribute == lexicon.attribute]
        assert [(match.group, match.term, match.end) for match in own] == [(term.group, term.text, len(term.text) + 2)]


@pytest.mark.parametrize("lexicon", LEXICONS, ids=ATTRIBUTES)
def test_every_shipped_swap_joins_declared_terms_and_works(lexicon: LexiconData) -> None:
    declared = {term for terms in lexicon.groups.values() for term in terms}
    assert lexicon.swaps
    for pair in lexicon.swaps:
        assert {pair.left, pair.right} <= declared
        for side in (pair.left, pair.right):
            text = f"the {side.text}."
            assert swap_terms(text, MATCHER.find(text), lexicon) is not None


BAD = [
    ("groups: {g: {words: [he]}, h: {words: [He]}}", r"own\.yaml: groups\.h: term 'He' already stands in group 'g'"),
    ("groups: {g: {nouns: [jew]}, h: {words: [jews]}}", r"groups\.g\.nouns: the plural of 'jew' stands in group 'h'"),
    ("groups: {g: {words: []}}", r"own\.yaml: groups\.g: no terms; list some under 'words' or 'nouns'"),
    (
        "groups: {g: {word: [he]}}",
        r"groups\.g\.word: unknown key; allowed are words, nouns, outdated; did you mean 'words'",
    ),
    ("groups: {g: {words: [he]}}\nswap: []", r"own\.yaml: swap: unknown key; allowed are .*; did you mean 'swaps'"),
    ("groups: {g: {words: ['-he']}}", r"groups\.g\.words\.0: .*got '-he'; a term starts with a letter"),
    ("groups: {g: {words: he}}", r"groups\.g\.words: Input should be a valid tuple, got 'he'"),
    ("groups: {g: {words: [he]}, h: {words: [she]}}\nswaps: [[he, shee]]", r"'shee' is not a declared term; .*'she'"),
    ("groups: {g: {words: [he, him]}}\nswaps: [[he, him]]", r"\[he, him\]: both are in group 'g'"),
    (
        "groups: {g: {words: [he]}, h: {words: [she]}}\nswaps: [[he, she, before]]",
        r"unknown context 'before'; allowed are before_word",
    ),
    ("groups: {g: {words: [he]}, g: {words: [she]}}", r"line 4: key 'g' stands twice"),
    ("groups: [", r"own\.yaml: not a lexicon in YAML and UTF-8"),
    ("groups: &a [*a]", r"own\.yaml: not a lexicon .* recursive node"),
]


@pytest.mark.parametrize(("body", "message"), BAD)
def test_bad_lexicon_is_refused_with_file_key_and_cure(tmp_path: Path, body: str, message: str) -> None:
    head = 'attribute: a\nversion: "1"\nprovenance: a test\n'
    (tmp_path / "own.yaml").write_text(head + body, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        load_lexicon("own.yaml", tmp_path)


def test_own_lexicon_keeps_words_that_yaml_would_turn_into_booleans(tmp_path: Path) -> None:
    body = "attribute: a\nversion: 1\nprovenance: a test\ngroups: {g: {words: [no, on]}}\n"
    (tmp_path / "own.yml").write_text(body, encoding="utf-8-sig")
    assert [term.text for term in load_lexicon("own.yml", tmp_path).groups["g"]] == ["no", "on"]


def test_longest_match_wins_over_the_leftmost() -> None:
    block = Groups(attribute="a", patterns={"short": r"judge law", "long": r"law school exam"})
    assert spelled("judge law school exam", build_matcher([block], HERE)) == [
        ("law school exam", "long", "law school exam")]  # fmt: skip


def test_swap_of_one_word_for_two_keeps_capitals(tmp_path: Path) -> None:
    body = "attribute: a\nversion: 1\nprovenance: a test\ngroups: {g: {nouns: [cat]}, h: {nouns: [guide dog]}}\n"
    (tmp_path / "own.yaml").write_text(body + "swaps: [[cat, guide dog]]", encoding="utf-8")
    matcher = build_matcher([Groups(attribute="b", lexicon="own.yaml")], tmp_path)
    expected = {"cats, Cats, CATS": "guide dogs, Guide Dogs, GUIDE DOGS", "Guide dog's Guide Dogs'": "Cat's Cats'"}
    for text, swapped in expected.items():
        swap = swap_terms(text, matcher.find(text), matcher.data["b"])
        assert swap is not None
        assert swap.text == swapped


def test_unknown_lexicon_lists_the_shipped_ones() -> None:
    with pytest.raises(DataError, match=r"'genders': .* shipped are age, .*; did you mean 'gender'\?"):
        load_lexicon("genders", HERE)
    with pytest.raises(DataError, match=r"cannot read .*absent\.yaml: No such file"):
        load_lexicon("absent.yaml", HERE)


PIECES = st.sampled_from(
    [term.text for lexicon in LEXICONS for terms in lexicon.groups.values() for term in terms]
    + ["African", "AMERICAN", "'", "\u2019", "'s", "s'", "-", " ", "\n", "\u0301", "\u0130", "s", "x", ","]
)


@given(st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join))
def test_matches_never_overlap_and_slice_to_a_form_of_their_term(text: str) -> None:
    found = MATCHER.find(text)
    for attribute in ATTRIBUTES:
        own = [match for match in found if match.attribute == attribute]
        assert all(left.end <= right.start for left, right in pairwise(own))
    for match in found:
        assert match.term in MATCHER.terms[match.attribute, match.group]
        piece = text[match.start : match.end]
        assert [(other.start, other.end) for other in MATCHER.find(piece) if other.term == match.term] == [
            (0, len(piece))
        ]


AMBIGUOUS = {"her", "his", "him", "hers"}
GENDER = MATCHER.data["gender"]
BOTH_WAYS = [pair for pair in GENDER.swaps if not {pair.left.text, pair.right.text} & AMBIGUOUS]
PARTNERS = [side for pair in BOTH_WAYS for side in (pair.left.text, pair.right.text)]
UNAMBIGUOUS = [pair for pair in BOTH_WAYS if max(PARTNERS.count(pair.left.text), PARTNERS.count(pair.right.text)) == 1]
CASES = st.sampled_from([str.lower, str.upper, str.capitalize])
ENDINGS = st.sampled_from(["", "'s", "\u2019s"])


@given(
    st.lists(st.tuples(st.sampled_from(UNAMBIGUOUS), CASES, ENDINGS), min_size=1, max_size=5),
    st.sampled_from(["left", "right"]),
)
def test_swapping_twice_gives_the_text_back(picks: list, side: str) -> None:
    text = " and ".join(case(getattr(pair, side).text + ending) for pair, case, ending in picks)
    there = swap_terms(text, MATCHER.find(text), GENDER)
    assert there is not None
    assert there.text != text
    back = swap_terms(there.text, MATCHER.find(there.text), GENDER)
    assert back is not None
    assert back.text == text
    assert (back.source, back.target) == (there.target, there.source)
