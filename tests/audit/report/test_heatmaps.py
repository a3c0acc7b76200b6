"""Pictures of relevance: signed, symmetric, on one scale, with outlines, and with people blurred or left out."""

import io

import numpy as np
import pytest
from PIL import Image

from audit.report.heatmaps import common_scale, encoded, overlay, with_colour_bar

GREY = np.full((20, 20, 1), 128, np.uint8)
NONE = np.zeros((0, 20, 20), bool)


def right(picture: np.ndarray) -> np.ndarray:
    """The drawn map, without the photograph beside it."""
    return picture[:, -160:].astype(int)


def test_orange_is_positive_blue_is_negative_and_no_relevance_shows_the_dimmed_photograph() -> None:
    relevance = np.zeros((20, 20))
    relevance[:5], relevance[-5:] = 1.0, -1.0
    shown = right(overlay(GREY, relevance, NONE, scale=1.0))
    above, middle, below = shown[10, 80], shown[80, 80], shown[150, 80]
    assert above[0] > above[2] + 60 and below[2] > below[0] + 60
    assert np.ptp(middle) == 0 and middle[0] == pytest.approx(0.45 * 128, abs=1)


def test_strength_grows_with_relevance_alike_for_both_signs_and_ends_at_the_scale() -> None:
    steps = np.linspace(-2, 2, 20)
    shown = right(overlay(GREY, np.tile(steps, (20, 1)), NONE, scale=1.0))[80, 4::8]
    light = shown.sum(axis=1)
    assert (np.diff(light[10:15]) >= 0).all() and (np.diff(light[5:10]) <= 0).all()
    assert (shown[15:] == shown[-1]).all() and (shown[:5] == shown[0]).all()


def test_one_scale_holds_for_a_gallery_and_few_pixels_do_not_set_it() -> None:
    rng = np.random.default_rng(0)
    maps = [rng.normal(size=(50, 50)), 3 * rng.normal(size=(50, 50))]
    spike = maps[0].copy()
    spike[0, 0] = 1000
    assert common_scale(maps) == common_scale(maps[1:]) > common_scale(maps[:1])
    assert common_scale([spike]) == pytest.approx(common_scale(maps[:1]), rel=0.2)
    assert common_scale([]) == common_scale([np.zeros((3, 3))]) == 1.0


def test_regions_are_outlined_and_not_filled() -> None:
    mask = np.zeros((1, 20, 20), bool)
    mask[0, 5:10, 5:10] = True
    shown = right(overlay(GREY, np.zeros((20, 20)), mask, scale=1.0))
    assert (shown[40, 40:80] == 255).all() and (shown[40:80, 40] == 255).all()
    assert (shown[60, 60] < 255).all() and (shown[20, 20] < 255).all()


@pytest.mark.parametrize(
    ("size", "expected"), [((20, 20), (160, 324)), ((224, 224), (160, 324)), ((100, 300), (53, 324))]
)
def test_pictures_are_about_as_large_whatever_the_model_sees(size: tuple[int, int], expected: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    photograph = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    shape = overlay(photograph, np.zeros(size), np.zeros((0, *size), bool), scale=1.0).shape
    assert shape[2] == 3 and abs(shape[0] - expected[0]) <= 2 and abs(shape[1] - expected[1]) <= 4


def test_hidden_people_leave_no_trace_in_the_picture() -> None:
    rng = np.random.default_rng(2)
    relevance = rng.normal(size=(20, 20))
    pictures = [
        overlay(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8), relevance, NONE, scale=1.0, people="hide")
        for _ in "ab"
    ]
    np.testing.assert_array_equal(*pictures)


def test_the_colour_bar_names_its_ends_and_files_are_of_the_kind_asked_for() -> None:
    picture = overlay(GREY, np.zeros((20, 20)), NONE, scale=0.5)
    barred = with_colour_bar(picture, 0.5)
    assert barred.shape == (160 + 32, 324, 3)
    np.testing.assert_array_equal(barred[:160], picture)
    for kind in ("PNG", "JPEG"):
        with Image.open(io.BytesIO(encoded(barred, kind))) as read:  # type: ignore[arg-type]
            assert (read.format, read.size) == (kind, (324, 192))
