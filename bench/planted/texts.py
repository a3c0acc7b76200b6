"""Texts of made-up words with a planted reliance: each word has a role, and only how sides of roles go with the label differs by arm.

A text has one word of the planted pair of groups (side 0 or 1), one of a decoy pair, one proxy and one topic word, noisy words of
content, and neutral words that are about as frequent as the words of a group, from which placebos are drawn.
"""

from dataclasses import dataclass
from itertools import product
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
SPECIAL: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SYLLABLES: Final = tuple(a + b for a, b in product("bdfgklmnprstvz", "aeiou"))
SIDED: Final = ("group", "decoy", "proxy", "topic")  # roles of one word a text, of two sides
PER_SIDE: Final = 8
CONTENT: Final = 10  # words of each class, three times as frequent as those of a group
NEUTRAL: Final = 128
WORDS_OF: Final = {**dict.fromkeys(SIDED, 1), "content": 4, "neutral": 8}  # a text: 16 words
CLEAR: Final = 0.74  # how often a word of content is one of the text's own class


def vocabulary() -> tuple[list[str], dict[str, Ints]]:
    """Every token in order, and the ids of each role `[2, words]`; neutral words `[1, words]`."""
    sizes = {**dict.fromkeys(SIDED, (2, PER_SIDE)), "content": (2, CONTENT), "neutral": (1, NEUTRAL)}
    made = ["".join(parts) + "x" for parts in product(SYLLABLES[::3], SYLLABLES)]
    words = np.random.default_rng(7).permutation(made)[: sum(a * b for a, b in sizes.values())].tolist()
    ids, start = {}, len(SPECIAL)
    for role, (sides, each) in sizes.items():
        ids[role] = np.arange(start, start + sides * each).reshape(sides, each)
        start += sides * each
    return [*SPECIAL, *words], ids


VOCABULARY, IDS = vocabulary()


@final
@dataclass(frozen=True, slots=True)
class Texts:
    """Ids of words `[n, 16]`, true class `[n]`, `sides` `[n]` of every role, texts that belong together, and the texts with a
    word of the planted pair's side 1 and of its side 0 in the place of their own."""

    words: Ints
    label: Ints
    sides: dict[str, Ints]
    cluster: Ints
    toggled: tuple[Ints, Ints]


def coupled(base: Ints, rho: float, rng: np.random.Generator) -> Ints:
    """Sides `[n]` of which P(side 1 | base 1) = .5 + rho / 2, and P(side 1 | base 0) = .5 - rho / 2."""
    return (rng.random(len(base)) < 0.5 + rho * (base - 0.5)).astype(np.int64)


def draw(n: int, rng: np.random.Generator, *, coupling: dict[str, tuple[str, float]], twice: bool = False) -> Texts:
    """`coupling`: role, or "label", by what it goes with, and how much; sides that it does not name are tossed.

    "group xor topic" may be gone with. `twice`: every text also with the counterpart of its group word, same label.
    """
    sides = {role: rng.integers(0, 2, n) for role in ("label", *SIDED)}
    for role, (base, rho) in coupling.items():
        first, _, second = base.partition(" xor ")
        sides[role] = coupled(sides[first] ^ sides[second] if second else sides[first], rho, rng)
    label = sides.pop("label")
    kinds = {role: rng.integers(0, PER_SIDE, n) for role in SIDED}
    drawn = {role: IDS[role][sides[role], kinds[role]][:, None] for role in SIDED}
    own = coupled(np.repeat(label, WORDS_OF["content"]), 2 * CLEAR - 1, rng).reshape(n, -1)
    drawn["content"] = IDS["content"][own, rng.integers(0, CONTENT, own.shape)]
    drawn["neutral"] = IDS["neutral"][0, rng.integers(0, NEUTRAL, (n, WORDS_OF["neutral"]))]
    order = rng.permuted(np.tile(np.arange(sum(WORDS_OF.values())), (n, 1)), axis=1)
    plain = np.hstack(list(drawn.values()))
    place, toggled = list(drawn).index("group"), []
    for side in (1, 0):
        plain[:, place] = IDS["group"][side, kinds["group"]]
        toggled.append(np.take_along_axis(plain, order, axis=1))
    held = np.where(sides["group"][:, None] == 1, *toggled)
    texts = Texts(held, label, sides, np.arange(n), (toggled[0], toggled[1]))
    return _doubled(texts) if twice else texts


def _doubled(texts: Texts) -> Texts:
    """Each text with either side of the planted pair; the two are a cluster."""
    both = {role: np.tile(side, 2) for role, side in texts.sides.items()}
    n = len(texts.label)
    both["group"] = np.repeat(np.array([1, 0]), n)
    return Texts(
        np.concatenate(texts.toggled), np.tile(texts.label, 2), both, np.tile(texts.cluster, 2),
        (np.tile(texts.toggled[0], (2, 1)), np.tile(texts.toggled[1], (2, 1))),
    )  # fmt: skip


def written(words: Ints) -> list[str]:
    """The texts as they are read."""
    names = np.array(VOCABULARY)
    return [" ".join(row) for row in names[words]]
