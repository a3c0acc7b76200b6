"""The blocks `statistics`, `checks` and `margins`: how sure, how cross-checked, and how large a difference matters."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from audit.config.base import Block, Fraction, Name, Positive

FEWEST_TWINS: Final = 20


def _enough(twins: int) -> int:
    if 0 < twins < FEWEST_TWINS:
        raise ValueError(f"{twins} twins are no reference; give {FEWEST_TWINS} or more, or 0 for none")
    return twins


class Statistics(Block):
    """Protocol of the tests."""

    alpha: Fraction = Field(
        0.05, description="error rate of all gates together, and of each other family, over all looks"
    )
    looks: Annotated[int, Field(ge=1, le=10_000)] = Field(
        1, description="runs of this audit that alpha is spent on, evenly: 52 for a year of weekly ones"
    )
    discovery: Literal["bh", "by"] = Field(
        "bh",
        description="correction of questions that are no gate: Benjamini-Hochberg, or Benjamini-Yekutieli for any dependence; "
        "gates are corrected by Holm",
    )
    reference: dict[Name, str] = Field(
        default_factory=dict,
        description="attribute: the group that its others are compared to; default: of two groups each other, of more the rest",
    )
    intersections: tuple[Annotated[tuple[Name, ...], Field(min_length=2, max_length=3)], ...] = Field(
        (), description="attributes whose combinations are groups too: [[gender, age]]"
    )
    sign: Literal["|R|", "R+", "R-", "net"] = Field(
        "|R|",
        description="the relevance that disparities compare: absolute, for, against, or the balance of both; images: |R|",
    )
    placebos: Annotated[int, Field(ge=19)] = Field(
        999, description="placebo word groups or pairs per test (199 or more for a verdict)"
    )
    permutations: Annotated[int, Field(ge=99)] = Field(9999, description="draws of a permutation test")
    min_terms: Annotated[int, Field(ge=1)] = Field(4, description="fewest terms a side")
    min_examples_per_term: Annotated[int, Field(ge=1)] = Field(
        10, description="fewest examples a term must occur in to be tested"
    )
    min_group_size: Annotated[int, Field(ge=2)] = Field(20, description="fewest examples of a group in any comparison")
    twins: Annotated[int, Field(ge=0, le=200), AfterValidator(_enough)] = Field(
        24,
        description="re-initialised copies of an image model: disparity is referenced to them, reliance shown beside; 20 or more, or 0",
    )
    twin_examples: Annotated[int, Field(ge=20)] = Field(200, description="images that each twin explains")
    jitter: Annotated[int, Field(ge=0, le=200)] = Field(
        0,
        description="random known shifts of the crop, in pixels, that test reliance on regions fixed in every photograph",
    )
    mask_tolerance: Annotated[float, Field(ge=0, le=0.25)] = Field(
        0.02,
        description="verdicts on regions are asked again with every mask grown and shrunk by this share of the input's shorter "
        "side, at least a pixel; 0: they are not",
    )

    @property
    def spent(self) -> float:
        """The part of alpha that one look may spend."""
        return self.alpha / self.looks


class Checks(Block):
    """Interventions that findings on relevance are checked by, whether the explanation itself is valid, and what nobody declared."""

    validity: Annotated[int, Field(ge=20, le=100_000)] = Field(
        60,
        description="examples, drawn at random, on which the explanation itself is tested: is what it calls relevant what the model uses?",
    )

    examples: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        300,
        description="examples, drawn at random, in which the words of a group or term, or a region, are hidden, and something else of "
        "their size; 0: none, and no finding on relevance is confirmed",
    )
    candidates: Annotated[int, Field(ge=0, le=200)] = Field(
        20,
        description="words that no lexicon declares, or cells of a grid over the photographs, that one half of the examples chooses in "
        "each comparison and the other half tests; 0: none are looked for",
    )


class Margins(Block):
    """The largest difference that does not matter, agreed before the run."""

    contrast: Positive = Field(0.1, description="group contrast, in standard deviations of the contrast logit")
    swap: Positive = Field(
        0.1,
        description="mean effect of swapping a term, or of hiding one or a region, in standard deviations of the logit",
    )
    flips: Fraction = Field(0.05, description="share of predictions that a swap flips")
    outcome: Fraction = Field(0.05, description="difference of two rates")
    disparity: Fraction = Field(0.147, description="Cliff's delta")
    reliance: Fraction = Field(
        0.1, description="net relevance of an image region beyond that in other images' masks, as a share of |R|"
    )
