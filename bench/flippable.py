"""What can be flipped: images by square blocks and texts by words, each with its model, its explained value and its fills."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from audit.checks.flipping import Flipped, Maps
from audit.config import Model
from audit.models.builtin import builtin_data, builtin_model
from audit.models.huggingface import load_text_model
from audit.relevance.features import Tokens
from audit.relevance.methods import Method
from bench.models import efficientnet_lite0, gender_network, small_vit
from bench.photographs import Photographs, faces, scenes

BATCH = 32


@final
@dataclass(frozen=True, slots=True)
class Images:
    """Photographs of one model, cut into blocks of `block` x `block` pixels.

    `target`: class `[n]`, or predicted class and runner-up `[n, 2]`; `fills`: what a flipped block shows, `[n, 3, side, side]`.
    """

    title: str
    model: nn.Module
    photographs: Photographs
    block: int
    target: Tensor
    fills: Mapping[str, Tensor]

    @property
    def inputs(self) -> list[Tensor]:
        """The photographs in batches, as `lrp.attribute` takes them."""
        return list(self.photographs.pixels.split(BATCH))

    @property
    def sizes(self) -> list[int]:
        """Blocks of each photograph."""
        n, _, height, width = self.photographs.pixels.shape
        return [height * width // self.block**2] * n

    @property
    def box(self) -> dict[str, tuple[float, ...]]:
        """Black and white per channel, which bound the pixels in `epsilon_gamma_box` and `deep_taylor`."""
        bounds = {"low": self.photographs.low, "high": self.photographs.high}
        return {name: tuple(bound.flatten().tolist()) for name, bound in bounds.items()}

    def regions(self, values: Sequence[Tensor]) -> Maps:
        """Relevance per block, row by row, from the batches' relevance per pixel."""
        summed = nn.functional.avg_pool2d(torch.cat(list(values)).sum(1, keepdim=True), self.block) * self.block**2
        return list(summed.flatten(1).double().numpy())

    def values(self, flipped: Flipped, fill: str) -> NDArray[np.float64]:
        """The explained value of each photograph with its flipped blocks filled."""
        side = self.photographs.pixels.shape[-1] // self.block
        blocks = torch.from_numpy(np.stack(flipped)).reshape(-1, 1, side, side)
        hidden = blocks.repeat_interleave(self.block, 2).repeat_interleave(self.block, 3)
        shown = torch.where(hidden, self.fills[fill], self.photographs.pixels)
        with torch.inference_mode():
            logits = torch.cat([self.model(part) for part in shown.split(BATCH)])
        return explained(logits, self.target).double().numpy()

    def explained_by(self, method: Method) -> list[Tensor]:
        """Per batch, relevance per pixel under a method that is not of the engine."""
        batches = zip(self.inputs, self.target.split(BATCH), strict=True)
        return [method.explain(self.model, pixels, target, None).values for pixels, target in batches]


@final
@dataclass(frozen=True, slots=True)
class Texts:
    """Texts of one model; a region is a word of the tokenizer's (its pieces together), special tokens are never flipped.

    `ids`: token ids per text; `words`: the word of each token, -1 for special tokens; `target`: `[n, 2]` as for `Images`.
    """

    title: str
    model: Any
    tokenizer: Any
    ids: Sequence[NDArray[np.int64]]
    words: Sequence[NDArray[np.int64]]
    target: Tensor
    fills: Sequence[str] = ("[MASK]", "deletion")

    @property
    def inputs(self) -> list[dict[str, Tensor]]:
        """The texts in batches, as `lrp.attribute` takes them."""
        return [self.padded(self.ids[i : i + BATCH]) for i in range(0, len(self.ids), BATCH)]

    @property
    def sizes(self) -> list[int]:
        """Words of each text."""
        return [int(words.max()) + 1 for words in self.words]

    def padded(self, ids: Sequence[NDArray[np.int64]]) -> dict[str, Tensor]:
        """Model inputs of one batch."""
        encoded = self.tokenizer.pad({"input_ids": [row.tolist() for row in ids]}, return_tensors="pt")
        return {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}

    def regions(self, values: Sequence[Tensor]) -> Maps:
        """Relevance per word from the batches' relevance per token."""
        rows = [row.double().numpy() for batch in values for row in batch]
        found = []
        for row, words in zip(rows, self.words, strict=True):
            inside = words >= 0
            found.append(np.bincount(words[inside], row[: len(words)][inside], words.max() + 1))
        return found

    def values(self, flipped: Flipped, fill: str) -> NDArray[np.float64]:
        """The explained value of each text with its flipped words masked or deleted; texts of similar length share a batch."""
        texts = []
        for ids, words, gone in zip(self.ids, self.words, flipped, strict=True):
            hidden = np.append(gone, False)[words]  # word -1, a special token, reads the appended False
            masked = np.where(hidden, self.tokenizer.mask_token_id, ids)
            texts.append(masked if fill == "[MASK]" else ids[~hidden])
        order = np.argsort([len(text) for text in texts], kind="stable")
        logits = torch.empty(len(texts), 2)
        with torch.inference_mode():
            for start in range(0, len(order), BATCH):
                rows = order[start : start + BATCH]
                logits[rows] = self.model(**self.padded([texts[i] for i in rows])).logits
        return explained(logits, self.target).double().numpy()

    def explained_by(self, method: Method) -> list[Tensor]:
        """Per batch, relevance per token under a method that is not of the engine."""
        found = []
        for start, inputs, target in zip(
            range(0, len(self.ids), BATCH), self.inputs, self.target.split(BATCH), strict=True
        ):
            words = np.full(inputs["input_ids"].shape, -1)
            for row, known in zip(words, self.words[start : start + BATCH], strict=True):
                row[: len(known)] = known
            found.append(method.explain(self.model, inputs, target, Tokens(self.tokenizer, words)).values)
        return found


def explained(logits: Tensor, target: Tensor) -> Tensor:
    """The explained value `[n]`: a logit for `target` `[n]`, the difference of two for `[n, 2]`."""
    if target.dim() == 1:
        return logits.gather(1, target.unsqueeze(1)).squeeze(1)
    return (logits.gather(1, target) * torch.tensor([1.0, -1.0])).sum(1)


def gender_case(n: int) -> Images:
    """Faces and the gender network; contrast logit; 4 x 4 blocks, filled with the mean face or a blurred copy."""
    photographs = faces(n)
    model = gender_network()
    fills = {"mean face": photographs.pixels.mean(0, keepdim=True), "blur": _blurred(photographs.pixels, 4)}
    target = _logits(model, photographs.pixels).topk(2).indices
    return Images("gender network, faces, 4 x 4 blocks", model, photographs, 4, target, fills)


def vit_case(n: int) -> Images:
    """`n` faces and a small vision transformer that learned the gender network's answers on 4 n others; contrast logit."""
    pixels, photographs = faces(5 * n).pixels, faces(n)
    model = small_vit(pixels[n:], _logits(gender_network(), pixels[n:]).argmax(1))
    fills = {"mean face": photographs.pixels.mean(0, keepdim=True), "blur": _blurred(photographs.pixels, 4)}
    target = _logits(model, photographs.pixels).topk(2).indices
    return Images("small vision transformer, faces, 4 x 4 blocks", model, photographs, 4, target, fills)


def imagenet_case(n: int) -> Images:
    """Scenes and EfficientNet-Lite0; logit of the predicted class; 28 x 28 blocks, filled with the mean colour or a blurred copy."""
    photographs = scenes(n)
    model = efficientnet_lite0()
    mean = photographs.pixels.mean((0, 2, 3), keepdim=True)
    fills = {"mean colour": mean, "blur": _blurred(photographs.pixels, 28)}
    target = _logits(model, photographs.pixels).argmax(1)
    return Images("EfficientNet-Lite0, photographs, 28 x 28 blocks", model, photographs, 28, target, fills)


def review_case(n: int) -> Texts:
    """One review of each of `n` unseen films and the fine-tuned review model; contrast logit; words masked or deleted."""
    folder, data = builtin_model("film_reviews"), builtin_data("film_reviews")
    loaded = load_text_model(Model(path=str(folder)), str(folder))
    table = pd.read_csv(Path(data)).sample(frac=1, random_state=7).drop_duplicates("film").head(n)
    encoded = loaded.tokenizer(table["text"].tolist(), truncation=True, max_length=loaded.max_length)
    ids = [np.array(row) for row in encoded["input_ids"]]
    words = [np.array([-1 if w is None else w for w in encoded.word_ids(i)]) for i in range(len(ids))]
    case = Texts("film reviews, words", loaded.model, loaded.tokenizer, ids, words, torch.zeros(0))
    with torch.inference_mode():
        logits = torch.cat([loaded.model(**inputs).logits for inputs in case.inputs])
    return Texts(case.title, case.model, case.tokenizer, ids, words, logits.topk(2).indices)


def _logits(model: nn.Module, pixels: Tensor) -> Tensor:
    with torch.inference_mode():
        return torch.cat([model(part) for part in pixels.split(BATCH)])


def _blurred(pixels: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of `[n, 3, side, side]` with a deviation of `sigma` pixels."""
    return torch.from_numpy(gaussian_filter(pixels.numpy(), (0, 0, sigma, sigma), mode="nearest"))
