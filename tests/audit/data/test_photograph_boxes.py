"""Boxes of the input in pixels of the photograph: what they name there is drawn where they came from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.config import Preprocessing
from audit.data.geometry import map_masks, photograph_box

SIZE = 90, 70  # width and height
STEPS = (
    Preprocessing(),
    Preprocessing(resize=(45, 35)),
    Preprocessing(resize=140, flip=True),
    Preprocessing(crop=(10, 5, 70, 65), resize=(30, 30), flip=True),
    Preprocessing(resize=60, center_crop=48),
    Preprocessing(crop=(10, 5, 70, 65), resize=(90, 90), center_crop=(40, 60), flip=True),
)


@pytest.mark.parametrize("steps", STEPS)
@given(x=st.integers(0, 26), y=st.integers(0, 22), width=st.integers(4, 12), height=st.integers(4, 12))
def test_a_box_drawn_in_the_photograph_covers_the_box_of_the_input(
    steps: Preprocessing, x: int, y: int, width: int, height: int
) -> None:
    seen = map_masks(np.zeros((1, SIZE[1], SIZE[0]), dtype=bool), steps)[0]
    right, bottom = min(x + width, seen.shape[1]), min(y + height, seen.shape[0])
    left, top, end, floor = photograph_box((x, y, right, bottom), steps, SIZE)
    drawn = np.zeros((1, SIZE[1], SIZE[0]), dtype=bool)
    drawn[0, top:floor, left:end] = True
    found, wanted = map_masks(drawn, steps)[0], np.zeros_like(seen)
    wanted[y:bottom, x:right] = True
    grown = np.zeros_like(seen)
    grown[max(0, y - 2) : bottom + 2, max(0, x - 2) : right + 2] = True
    assert not (found & ~grown).any() and (found & wanted).sum() > 0.4 * wanted.sum()


def test_a_box_in_padding_is_the_strip_of_the_photograph_beside_it() -> None:
    assert photograph_box((0, 0, 4, 4), Preprocessing(center_crop=(110, 110)), SIZE) == (0, 0, 1, 1)
