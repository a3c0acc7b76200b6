"""The blocks `model` and `target`: what is explained, and what it reads."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from audit.config.base import BUILTIN, OWN, Block, Box, Channels, Positive, Side


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
    revision: str | None = Field(None, description="hub revision (branch, tag or commit)")
    labels: dict[str, str] = Field(default_factory=dict, description="label in the data: class of the model")
    max_length: Annotated[int, Field(gt=2)] | None = Field(None, description="longer texts are cut, and counted")
    dtype: Literal["float32", "bfloat16", "float16", "float64"] = "float32"
    autocast: bool = Field(
        False,
        description="forward passes in bfloat16 where torch holds that to be safe; of models in float32. Faster on GPUs; "
        "docs/scale.md says what it does to relevance",
    )
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
        if self.autocast and self.dtype != "float32":
            raise ValueError(f"autocast: is for weights in float32, not {self.dtype}; leave one of both out")
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
