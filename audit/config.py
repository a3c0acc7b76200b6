"""The closed schema of an audit config: frozen pydantic models, one per block of the YAML file."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, WithJsonSchema, model_validator

from audit.questions import gates

Fraction = Annotated[float, Field(gt=0, lt=1)]
People = Literal["show", "blur", "hide"]  # how photographs of people are shown
Positive = Annotated[float, Field(gt=0)]
Name = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", max_length=100)]
BUILTIN: Final = "builtin:"  # starts the path of what comes with lrp-audit
OUTSIDE: Final = "outside"  # what no declared region covers
GATES: Final = tuple(dict.fromkeys((*gates("text"), *gates("image"))))
if TYPE_CHECKING:
    Gated = str
else:
    Gated = Literal[GATES]
Pixel = Annotated[int, Field(ge=0, le=100_000)]
Side = Annotated[int, Field(ge=1, le=10_000)]
Channels = Annotated[tuple[float, ...], Field(min_length=1, max_length=3)]
IMAGE_GATES: Final = ("disparity", "outcome")
REGION_KINDS: Final = {  # how masks are found: the key of a region, and in words
    "mask": "mask files", "boxes": "boxes", "coco": "COCO annotations", "landmarks": "landmarks", "fixed": "fixed boxes",
    "grid": "grid",
}  # fmt: skip
FEWEST_TWINS: Final = 20
TEXT_COMPOSITES: Final = ("cp_lrp", "attn_lrp")
IMAGE_COMPOSITES: Final = ("epsilon_plus", "epsilon_gamma_box")
TEXT_WITNESSES: Final[tuple[JsonValue, ...]] = ({"name": "attn_lrp", "gamma": 0.05},)
IMAGE_WITNESSES: Final = ("epsilon_alpha2_beta1",)
OWN: Final = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"  # module:function
LRP: Final = "lrp"
METHODS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({  # the parameters that each takes
    LRP: (), "gradient_x_input": (), "integrated_gradients": ("steps",), "occlusion": (), "kernel_shap": ("samples",),
    "lime": ("samples",),
})  # fmt: skip
DEFAULTS: Final = MappingProxyType({"steps": 50, "samples": 512})


def _not_empty(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    if left >= right or top >= bottom:
        raise ValueError(f"box [{left}, {top}, {right}, {bottom}] is empty; write left, top, right, bottom")
    return box


Box = Annotated[tuple[Pixel, Pixel, Pixel, Pixel], AfterValidator(_not_empty)]


def _enough(twins: int) -> int:
    if 0 < twins < FEWEST_TWINS:
        raise ValueError(f"{twins} twins are no reference; give {FEWEST_TWINS} or more, or 0 for none")
    return twins


def _named(composite: JsonValue) -> JsonValue:
    if isinstance(composite, str) or (isinstance(composite, dict) and isinstance(composite.get("name"), str)):
        return composite
    raise ValueError("write the name of a composite, or a mapping with its name: {name: attn_lrp, gamma: 0.25}")


def _known_method(method: str) -> str:
    if method in METHODS or re.fullmatch(OWN, method):
        return method
    raise ValueError(f"{method!r:.80} is no method; choose from {', '.join(METHODS)}, or give module:function")


def _default(given: Mapping[str, object], parameter: str) -> int | None:
    """Of a parameter of the chosen method, None where it takes none."""
    return DEFAULTS[parameter] if parameter in METHODS.get(str(given.get("method")), ()) else None


# What lrp.resolving.resolve takes; the engine alone knows its names and parameters, and a config is read without torch.
Composite = Annotated[
    JsonValue,
    AfterValidator(_named),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object", "required": ["name"]}]}),
]


class Block(BaseModel):
    """Base of every block: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Columns(Block):
    """Which column of the data file holds what."""

    id: str | None = Field("id", description="unique row id; null numbers the rows from 1")
    text: str = Field("text", description="the text to classify")
    image: str = Field("image", description="the image file to classify, relative to the data file or folder")
    label: str = Field("label", description="the true class, a name or an integer index")
    cluster: str | None = Field(None, description="rows that belong together: author, film, subject")
    spans: str | None = Field(None, description="JSON list of [start, end, attribute, group] in characters")
    attributes: dict[Name, str] = Field(default_factory=dict, description="attribute name: column")
    covariates: dict[Name, str] = Field(
        default_factory=dict,
        description="name: column of numbers that disparities of relevance must survive adjustment for",
    )


class Data(Block):
    """The labelled dataset."""

    path: str = Field(
        description="CSV, JSONL or Parquet file, relative to the config; or builtin:NAME; for images also a folder per class"
    )
    format: Literal["csv", "jsonl", "parquet"] | None = Field(None, description="default: by the file's suffix")
    columns: Columns = Columns()
    limit: Annotated[int, Field(gt=0)] | None = Field(
        None, description="audit a seeded random sample of this many rows"
    )
    ids: str | None = Field(None, description="text file with an id a line, relative to the config: only these rows")


class Preprocessing(Block):
    """How a photograph becomes the model's input, in this order; region masks take the same crop, sizes and flip."""

    crop: Box | None = Field(None, description="left, top, right, bottom in pixels of the photograph")
    resize: Side | tuple[Side, Side] | None = Field(None, description="the shorter side, or [width, height]")
    center_crop: Side | tuple[Side, Side] | None = Field(None, description="side, or [width, height], of the middle")
    filter: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] = Field(
        "bilinear", description="of resizing (Pillow's); it moves accuracies by points, so it belongs to the protocol"
    )
    flip: bool = Field(False, description="mirror left and right")
    channels: Literal["rgb", "bgr", "grey"] = "rgb"
    scale: Positive = Field(255.0, description="grey levels of 0 to 255 are divided by it")
    mean: Channels = Field((0.0,), description="of the scaled channels, subtracted")
    std: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=3)] = Field((1.0,), description="divides")

    @model_validator(mode="after")
    def _one_value_a_channel(self) -> "Preprocessing":
        n = 1 if self.channels == "grey" else 3
        for key, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, n):
                raise ValueError(f"{key} has {len(values)} values for {n} channels; give 1 or {n}")
        return self

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the model's input, or None where they depend on the photograph."""
        if self.center_crop is not None:
            return self.center_crop if isinstance(self.center_crop, tuple) else (self.center_crop, self.center_crop)
        if isinstance(self.resize, tuple):
            return self.resize
        if self.crop is None:
            return None
        left, top, right, bottom = self.crop
        return self.resized((right - left, bottom - top))

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height after resizing; the longer side is rounded down, as image processors of transformers do."""
        if self.resize is None or isinstance(self.resize, tuple):
            return self.resize or size
        width, height = size
        if width <= height:
            return self.resize, int(self.resize * height / width)
        return int(self.resize * width / height), self.resize

    @property
    def bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The model's inputs for the darkest and the brightest pixel, each a value a channel."""
        channels = max(len(self.mean), len(self.std))
        mean, std = (values * (channels // len(values)) for values in (self.mean, self.std))
        return tuple(
            tuple((level / self.scale - m) / s for m, s in zip(mean, std, strict=True)) for level in (0.0, 255.0)
        )  # type: ignore[return-value]


class Model(Block):
    """The classifier under audit: a folder or hub name, or for images also a module of your own with its weights."""

    path: str | None = Field(None, description="local folder, relative to the config, a hub name, or builtin:NAME")
    module: Annotated[str, Field(pattern=f"^{OWN}$")] | None = Field(
        None,
        description="module:function that returns the torch module; found beside the config or installed. It is run",
    )
    weights: str | None = Field(
        None, description="its state dict: safetensors, or a file that torch reads weights-only"
    )
    classes: tuple[str, ...] = Field((), description="names of its classes, in the order of its outputs")
    preprocessing: Preprocessing | None = Field(None, description="default: what the model's folder says")
    multi_label: bool = Field(False, description="every output is a label of its own, present or not")
    batch_images: Annotated[int, Field(gt=0)] = Field(32, description="most images in one batch")
    revision: str | None = Field(None, description="hub revision (branch, tag or commit)")
    labels: dict[str, str] = Field(default_factory=dict, description="label in the data: class of the model")
    max_length: Annotated[int, Field(gt=2)] | None = Field(None, description="longer texts are cut, and counted")
    batch_tokens: Annotated[int, Field(gt=0)] = Field(2048, description="most tokens, with padding, in one batch")
    device: str = Field("cpu", description="torch device")
    dtype: Literal["float32", "bfloat16", "float16", "float64"] = "float32"
    allow_pickle: bool = Field(
        False, description="load weights that are not safetensors (they are still read weights-only)"
    )
    allow_remote_code: bool = Field(False, description="run Python code that comes with the model")

    @property
    def is_builtin(self) -> bool:
        """Whether the model comes with lrp-audit."""
        return (self.path or "").startswith(BUILTIN)

    @property
    def source(self) -> str:
        """Folder, hub name or module:function."""
        return self.path or self.module or ""

    @model_validator(mode="after")
    def _one_source(self) -> "Model":
        if (self.path is None) == (self.module is None):
            raise ValueError("give exactly one of 'path' (a folder or a hub name) and 'module' (module:function)")
        missing = [k for k in ("weights", "classes", "preprocessing") if not getattr(self, k)] if self.module else []
        if missing:
            raise ValueError(f"module needs {', '.join(missing)} beside it")
        if self.path and self.weights:
            raise ValueError("weights belong to a module of your own; a folder, hub name or built-in brings its own")
        named = [k for k in ("classes", "multi_label") if getattr(self, k)] if self.is_builtin else []
        if named:
            raise ValueError(f"{named[0]}: a built-in model says it itself; leave it out")
        return self


class Target(Block):
    """The contrast logit that is explained: `favour` minus `against`, fixed for every example."""

    favour: str = Field(description="class of the model whose logit is explained (the favourable outcome)")
    against: str | None = Field(None, description="class to subtract; default: the other one of two classes")


class Groups(Block):
    """One protected attribute, found in the text by exactly one of lexicon, patterns or spans."""

    attribute: Name
    lexicon: str | None = Field(None, description="name of a shipped lexicon, or a YAML file relative to the config")
    patterns: dict[Name, str] | None = Field(None, description="group: regular expression")
    spans: bool = Field(False, description="take the groups of this attribute from the span column")
    only: tuple[Name, ...] | None = Field(None, description="use these groups of the lexicon, in this order")

    @model_validator(mode="after")
    def _one_source(self) -> "Groups":
        given = [self.lexicon is not None, self.patterns is not None, self.spans]
        if sum(given) != 1:
            raise ValueError("give exactly one of 'lexicon', 'patterns' and 'spans: true'")
        return self


class Region(Block):
    """One region of every photograph, found by exactly one of mask, boxes, coco, landmarks, fixed or grid."""

    name: Name
    mask: str | None = Field(None, description="column with the path of a mask file of the photograph's size")
    value: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        None, description="mask pixels of this value; default: not 0"
    )
    channel: Annotated[int, Field(ge=0, le=3)] | None = Field(
        None, description="channel of the mask file; default: any"
    )
    boxes: str | tuple[str, str, str, str] | None = Field(
        None, description="columns of left, top, right, bottom in pixels; or one column with a JSON list of such boxes"
    )
    coco: str | None = Field(None, description="COCO annotation file, relative to the config")
    category: str | None = Field(None, description="name of the COCO category; default: the region's name")
    landmarks: str | None = Field(None, description="column with a JSON list of [x, y] in pixels")
    points: tuple[Annotated[int, Field(ge=0)], ...] = Field((), description="landmarks whose convex hull is the region")
    grow: Annotated[float, Field(ge=0, le=2)] = Field(
        0.0, description="the hull grows by this share of its longer side"
    )
    fixed: Annotated[tuple[Box, ...], Field(min_length=1)] | None = Field(
        None, description="boxes [left, top, right, bottom] in pixels of every photograph: for aligned crops"
    )
    grid: tuple[Side, Side] | None = Field(None, description="rows and columns of equal cells over the crop")
    provenance: str = Field("not stated", description="who or what made the masks")
    error_rate: Annotated[float, Field(ge=0, lt=1)] | None = Field(None, description="share of wrong masks, if known")

    @property
    def source(self) -> str:
        """How its masks are found, in words."""
        return REGION_KINDS[self.kind]

    @property
    def kind(self) -> str:
        """The key that says how its masks are found."""
        return next(key for key in REGION_KINDS if getattr(self, key) is not None)

    @model_validator(mode="after")
    def _one_source(self) -> "Region":
        if sum(getattr(self, kind) is not None for kind in REGION_KINDS) != 1:
            raise ValueError(f"give exactly one of {', '.join(REGION_KINDS)}")
        for key, source in (
            ("value", "mask"),
            ("channel", "mask"),
            ("category", "coco"),
            ("points", "landmarks"),
            ("grow", "landmarks"),
        ):
            if getattr(self, key) != type(self).model_fields[key].default and getattr(self, source) is None:
                raise ValueError(f"{key} needs {source}")
        if self.landmarks is not None and len(self.points) < 3:
            raise ValueError("landmarks needs points: at least three numbers of landmarks, counted from 0")
        if self.name == OUTSIDE:
            raise ValueError(f"the name {OUTSIDE!r} is taken: it stands for what lies outside all regions")
        return self


class Relevance(Block):
    """How relevance is computed."""

    method: Annotated[str, AfterValidator(_known_method)] = Field(
        LRP,
        description=f"{', '.join(METHODS)}, or module:function, a map of your own from (model, inputs, target) to a tensor of the "
        "input's shape; found beside the config or installed, with its imports at its top. It is run",
    )
    composites: tuple[Composite, ...] = Field(
        default_factory=lambda given: TEXT_COMPOSITES if given.get("method", LRP) == LRP else (),
        description="of method lrp: names or mappings {name, parameters} or {name, base, rules}; the first gives effect sizes, others "
        f"second opinions; default: {', '.join(TEXT_COMPOSITES)}, for images {', '.join(IMAGE_COMPOSITES)}",
    )
    witnesses: tuple[Composite, ...] = Field(
        default_factory=lambda given: TEXT_WITNESSES if given.get("method", LRP) == LRP else (),
        description="of method lrp: composites without a vote, each asked alone; a finding that one of them does not show is fragile; "
        f"default: attn_lrp with gamma 0.05, for images {', '.join(IMAGE_WITNESSES)}",
    )
    steps: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default_factory=lambda given: _default(given, "steps"),
        description=f"of integrated_gradients, between blank words or the mean colour and the input; default {DEFAULTS['steps']}",
    )
    samples: Annotated[int, Field(ge=16, le=1_000_000)] | None = Field(
        default_factory=lambda given: _default(given, "samples"),
        description="of kernel_shap and lime: inputs with words or cells hidden, at least two for each word or cell; default "
        f"{DEFAULTS['samples']}",
    )

    @model_validator(mode="after")
    def _what_the_method_takes(self) -> "Relevance":
        if self.method == LRP and not self.composites:
            raise ValueError("composites: give at least one")
        for name in DEFAULTS:
            taken = name in METHODS.get(self.method, ())
            if taken != (getattr(self, name) is not None):
                takers = ", ".join(method for method, names in METHODS.items() if name in names)
                raise ValueError(
                    f"{name}: give a number, or leave it out" if taken else f"{name}: only of {takers}; leave it out"
                )
        return self


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


class Report(Block):
    """What the report shows."""

    examples: Annotated[int, Field(ge=0, le=200)] = Field(12, description="misclassified examples shown")
    show_text: bool = Field(True, description="false: no misclassified examples and no forms of terms are shown")
    images: People = Field("show", description="photographs of people in the report")
    smallest_cell: Annotated[int, Field(ge=1)] = Field(
        5, description="counts below it are not shown, nor what they could be computed from; 1 shows all"
    )
    hash_ids: bool = Field(False, description="ids of examples are shown as keyed hashes")


class Debug(Block):
    """How errors are summed up for whoever mends the model; no verdict depends on it."""

    unsure: Annotated[int, Field(ge=0)] = Field(
        200,
        description="examples of the highest entropy that are asked what makes the model hesitate; at most half of all",
    )
    virelay: Annotated[int, Field(ge=0)] = Field(
        0,
        description="photographs, of those that make the clusters, that are written as a ViRelAy project with their maps",
    )
    layers: tuple[str, ...] = Field(
        (), description="modules whose channels are asked what they carry inside regions, or on words (LRP alone)"
    )
    concept_examples: Annotated[int, Field(ge=20)] = Field(
        200, description="examples, drawn at random, that are explained at those layers"
    )
    clustered: Annotated[int, Field(ge=0)] = Field(
        4000, description="examples whose explanations make the clusters (errors first), which the others join; 0: none"
    )


class Config(Block):
    """A whole audit."""

    name: Name = Field(description="names the output folder; default: the file's name")
    task: Literal["text", "image"] = "text"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    about: str = Field("", description="what this audit is about, in words; stands at the top of the report")
    requires: tuple[str, ...] = Field(
        (), description="what you must supply, in words; told when the data are not there"
    )
    data: Data
    model: Model
    target: Target
    groups: tuple[Groups, ...] = Field((), description="protected attributes in texts")
    regions: tuple[Region, ...] = Field((), description="regions of images")
    relevance: Relevance = Relevance()
    statistics: Statistics = Statistics()
    checks: Checks = Checks()
    margins: Margins = Margins()
    gates: tuple[Gated, ...] = Field(
        ("contrast", "intervention", "outcome"),
        description=f"questions whose verdicts set the exit code; default for images: {', '.join(IMAGE_GATES)}",
    )
    debug: Debug = Debug()
    report: Report = Report()
    output: str = Field("reports", description="folder for the runs, relative to the working directory")

    def alpha_of(self, question: str) -> float:
        """What the tests of one question may spend in one run: the gates share it evenly, so that a run breaches none by chance."""
        return self.statistics.spent / (len(self.gates) if question in self.gates else 1)

    @model_validator(mode="after")
    def _what_the_task_needs(self) -> "Config":
        needed, other = ("groups", "regions") if self.task == "text" else ("regions", "groups")
        if getattr(self, other):
            task = "image" if other == "regions" else "text"
            raise ValueError(f"{other}: not for task {self.task!r}; declare {needed}, or write `task: {task}`")
        if not getattr(self, needed):
            raise ValueError(f"{needed}: required for task {self.task!r}: say what relevance is summed over")
        if self.task == "text" and self.model.module:
            raise ValueError("model.module: only for task 'image'; give model.path")
        never, allowed = set(self.gates) - set(gates(self.task)), ", ".join(gates(self.task))
        if never:
            raise ValueError(f"gates: {min(never)!r} is no gate for task {self.task!r}; choose from {allowed}")
        if self.debug.virelay and self.task == "text":
            raise ValueError("debug.virelay: ViRelAy shows photographs alone; leave it out for task 'text'")
        names = [region.name for region in self.regions]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"regions: two regions have one name, {twice[0]!r}; give each its own")
        attributes = {*self.data.columns.attributes, *(block.attribute for block in self.groups)}
        asked = {*self.statistics.reference, *(name for names in self.statistics.intersections for name in names)}
        if asked - attributes:
            known = ", ".join(sorted(attributes)) or "none is declared"
            raise ValueError(
                f"statistics: {min(asked - attributes)!r} is no attribute of this audit; attributes: {known}"
            )
        if self.task == "image" and self.statistics.sign != "|R|":
            raise ValueError(
                "statistics.sign: images are compared by |R|, which their re-initialised copies are measured in"
            )
        if self.statistics.sign == "net" and self.data.columns.covariates:
            raise ValueError(
                "statistics.sign: net relevance cannot be adjusted for covariates, which takes shares; use |R|, R+ or R-"
            )
        if self.statistics.jitter and not (self.model.preprocessing and self.model.preprocessing.crop):
            raise ValueError("statistics.jitter: needs model.preprocessing.crop, which it shifts")
        return self

    @model_validator(mode="after")
    def _attributes_once(self) -> "Config":
        names = [group.attribute for group in self.groups]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"groups: attribute {repeated[0]!r} is declared twice")
        return self
