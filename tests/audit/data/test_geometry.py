import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from audit.config import Preprocessing
from audit.data.examples import BadRow
from audit.data.geometry import FILTERS, MAX_PIXELS, map_masks, map_pixels, normalise

SIZES = [(31, 47), (64, 64), (97, 40), (250, 250), (333, 500), (23, 301)]  # width, height


def photograph(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Smooth colours with noise: every filter changes it."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)).resize(
        (width, height), FILTERS["bicubic"]
    )
    return np.clip(np.asarray(coarse) + rng.integers(-20, 21, (height, width, 3)), 0, 255).astype(np.uint8)


@st.composite
def geometries(draw: st.DrawFn) -> tuple[int, int, Preprocessing, tuple[int, int]]:
    width, height = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    side = st.integers(1, 40)
    sides = st.none() | side | st.tuples(side, side)
    crop, shift = None, (0, 0)
    if draw(st.booleans()):
        left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        right, bottom = draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height))
        crop = (left, top, right, bottom)
        shift = draw(st.integers(-left, width - right)), draw(st.integers(-top, height - bottom))
    steps = Preprocessing(
        crop=crop, resize=draw(sides), center_crop=draw(sides), filter="nearest", flip=draw(st.booleans())
    )
    return width, height, steps, shift


@given(geometries(), st.integers(0, 2**32 - 1))
def test_masks_follow_an_image_whose_pixels_are_their_coordinates(
    case: tuple[int, int, Preprocessing, tuple[int, int]], seed: int
) -> None:
    width, height, steps, shift = case
    y, x = np.mgrid[:height, :width]
    coordinates = np.stack([x, y, np.full_like(x, 255)], axis=2).astype(np.uint8)
    masks = np.random.default_rng(seed).random((3, height, width)) < 0.5
    seen = map_pixels(coordinates, steps, shift)
    inside = seen[:, :, 2] == 255  # what the centre crop pads is 0
    expected = masks[:, seen[:, :, 1], seen[:, :, 0]] & inside
    np.testing.assert_array_equal(map_masks(masks, steps, shift), expected)


@given(st.integers(0, 20), st.integers(1, 200), st.integers(1, 200), st.integers(-20, 20), st.booleans())
def test_nearest_takes_the_pixel_under_the_centre(left: int, wide: int, new: int, dx: int, flip: bool) -> None:
    steps = Preprocessing(crop=(20 + left, 0, 20 + left + wide, 1), resize=(new, 1), filter="nearest", flip=flip)
    ramp = np.repeat(np.arange(40 + left + wide, dtype=np.uint16)[np.newaxis, :, np.newaxis], 3, axis=2)
    low = map_pixels((ramp % 256).astype(np.uint8), steps, (dx, 0))[0, :, 0].astype(int)
    seen = low[::-1] if flip else low
    exact = (np.arange(new) + 0.5) * wide / new
    clear = np.abs(exact - np.round(exact)) > 1e-6  # on the edge of two pixels either is right
    np.testing.assert_array_equal(seen[clear], ((20 + left + dx + np.floor(exact)) % 256)[clear])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["bilinear", "bicubic", "lanczos"])
def test_pixels_equal_those_of_transformers_vit(size: tuple[int, int], name: str) -> None:
    pixels = photograph(*size)
    processor = ViTImageProcessorPil(
        size={"height": 48, "width": 64}, resample=FILTERS[name], image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.4]
    )
    theirs = processor(Image.fromarray(pixels), return_tensors="np")["pixel_values"]
    steps = Preprocessing(resize=(64, 48), filter=name, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    np.testing.assert_allclose(normalise(map_pixels(pixels, steps)[np.newaxis], steps), theirs, atol=2e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("edge", "crop"), [(40, 32), (41, 32), (33, 33), (57, 50), (30, 41)])
def test_shorter_side_and_centre_crop_are_rounded_as_in_transformers(
    size: tuple[int, int], edge: int, crop: int
) -> None:
    pixels = photograph(*size)
    processor = ViTImageProcessorPil(
        size={"shortest_edge": edge},
        default_to_square=False,
        do_center_crop=True,
        crop_size={"height": crop, "width": crop},
        do_rescale=False,
        do_normalize=False,
    )
    theirs = processor(Image.fromarray(pixels), return_tensors="np")["pixel_values"][0]
    ours = map_pixels(pixels, Preprocessing(resize=edge, center_crop=crop))
    np.testing.assert_array_equal(ours.transpose(2, 0, 1), theirs)


@pytest.mark.parametrize("size", SIZES)
def test_pixels_equal_those_of_transformers_convnext(size: tuple[int, int]) -> None:
    pixels = photograph(*size)
    processor = ConvNextImageProcessorPil(size={"shortest_edge": 60}, do_rescale=False, do_normalize=False)
    theirs = processor(Image.fromarray(pixels), return_tensors="np")["pixel_values"][0]
    ours = map_pixels(pixels, Preprocessing(resize=68, center_crop=60, filter="bicubic"))  # 68 = int(60 / (224 / 256))
    np.testing.assert_array_equal(ours.transpose(2, 0, 1), theirs)


@given(geometries())
def test_output_size_is_the_size_of_the_output(case: tuple[int, int, Preprocessing, tuple[int, int]]) -> None:
    width, height, steps, shift = case
    said = steps.size
    seen = map_pixels(np.zeros((height, width, 3), dtype=np.uint8), steps, shift)
    free = steps.center_crop is None and not isinstance(steps.resize, tuple) and steps.crop is None
    assert said is None if free else said == (seen.shape[1], seen.shape[0])


def test_channels_are_in_the_declared_order_and_normalised_one_by_one() -> None:
    pixels = np.array([[[255, 51, 0]]], dtype=np.uint8)
    bgr = Preprocessing(channels="bgr", mean=(0.0, 0.2, 0.5), std=(1.0, 0.5, 2.0))
    np.testing.assert_allclose(normalise(map_pixels(pixels, bgr)[np.newaxis], bgr).ravel(), [0, 0, 0.25], atol=1e-7)
    grey = map_pixels(pixels, Preprocessing(channels="grey"))
    assert grey.shape == (1, 1, 1)
    assert grey.item() == round(0.299 * 255 + 0.587 * 51)
    raw = Preprocessing(scale=1.0, mean=(5.0,))
    assert normalise(map_pixels(pixels, raw)[np.newaxis], raw).ravel().tolist() == [250.0, 46.0, -5.0]
    assert normalise(map_pixels(pixels, raw)[np.newaxis], raw).shape == (1, 3, 1, 1)


def test_declared_filter_is_the_one_that_is_used() -> None:
    pixels = photograph(40, 30)
    seen = {name: map_pixels(pixels, Preprocessing(resize=(17, 13), filter=name)).tobytes() for name in FILTERS}
    assert len(set(seen.values())) == len(FILTERS)


@pytest.mark.parametrize(
    ("crop", "shift"),
    [
        ((0, 0, 11, 5), (0, 0)),
        ((0, 0, 5, 9), (0, 0)),
        ((2, 2, 6, 6), (-3, 0)),
        ((2, 2, 6, 6), (0, 3)),
    ],
)
def test_crop_that_leaves_the_photograph_is_a_bad_row(crop: tuple[int, int, int, int], shift: tuple[int, int]) -> None:
    with pytest.raises(BadRow, match=r"crop outside.*of 10 x 8 pixels"):
        map_pixels(np.zeros((8, 10, 3), dtype=np.uint8), Preprocessing(crop=crop), shift)


def test_strip_that_resizing_would_make_huge_is_a_bad_row() -> None:
    with pytest.raises(BadRow, match=f"image too large.*1 x 5000 becomes 300 x 1500000; at most {MAX_PIXELS}"):
        map_pixels(np.zeros((5000, 1, 3), dtype=np.uint8), Preprocessing(resize=300))
