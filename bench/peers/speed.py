"""Cost of ours and of other engines relative to gradient x input, in one process and run: `python -m bench.peers.speed [--small]`.

Runs in the peers' environment, on one thread, interleaved as in `bench.engine`. What an engine does once per model (a copy, hooks,
merged norms) is not counted, in the peers' favour. An engine that fails on a shape is reported with its reason.
"""

import copy
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any, final

import torch
from torch import Tensor, nn

import lrp
from bench.engine import gradient_x_input, ratios
from bench.peers import standins
from bench.shapes import IMAGES, TEXTS, Bottleneck, build

Call = Callable[[], object]
Row = tuple[str, str, float]
BASELINE = "gradient x input"
LOW, HIGH = 0.0, 1.0


@final
@dataclass(frozen=True, slots=True)
class Subject:
    """`leaf`: pixels or word embeddings; `forward`: from the leaf to logits; `inputs`: as `lrp.attribute` takes them."""

    model: Any
    leaf: Tensor
    forward: Callable[[Tensor], Tensor]
    inputs: Any


def subject(title: str) -> Subject:
    """The model of a shape, and a batch: images of its size, or 8 texts of 64 tokens."""
    if title in IMAGES:
        make, size = IMAGES[title]
        model: Any = build(make)
        x = torch.rand(size)
        return Subject(model, x, lambda leaf: _logits(model(leaf)), x)
    model = build(TEXTS[title])
    ids = torch.randint(5, 1000, (8, 64))
    mask = torch.ones_like(ids)
    return Subject(
        model,
        model.get_input_embeddings()(ids),
        lambda leaf: _logits(model(inputs_embeds=leaf, attention_mask=mask)),
        {"input_ids": ids, "attention_mask": mask},
    )


def _logits(output: Any) -> Tensor:
    logits: Tensor = output if isinstance(output, Tensor) else output.logits
    return logits


def ours(what: Subject, composite: str) -> Call:
    """A composite of `lrp`."""
    bounds = {"low": LOW, "high": HIGH} if composite.endswith("_box") else {}
    return lambda: lrp.attribute(what.model, what.inputs, 0, {"name": composite, **bounds}).values


def zennit(what: Subject, composite: str) -> Call:
    """A composite of zennit; R = logit."""
    from zennit import composites

    x = what.leaf
    bounds = {"low": torch.full_like(x, LOW), "high": torch.full_like(x, HIGH)} if composite.endswith("Box") else {}
    explained = copy.deepcopy(what.model)
    getattr(composites, composite)(canonizers=_canonizers(explained), **bounds).register(explained)

    def call() -> Tensor:
        leaf = x.clone().requires_grad_()
        output = explained(leaf)
        seed = torch.zeros_like(output)
        seed[:, 0] = output[:, 0].detach()
        return torch.autograd.grad(output, leaf, seed)[0]

    return call


def _canonizers(model: nn.Module) -> list[Any]:
    """What zennit's ResNetCanonizer does for torchvision's classes: norms merged by name, sums in a module of their own."""
    from zennit.canonizers import AttributeCanonizer, NamedMergeBatchNorm
    from zennit.layer import Sum

    blocks = {name: module for name, module in model.named_modules() if isinstance(module, Bottleneck)}
    if not blocks:
        return []

    def forward(self: Any, x: Tensor) -> Tensor:
        y = self.relu(self.norms[0](self.convs[0](x)))
        y = self.relu(self.norms[1](self.convs[1](y)))
        y = self.norms[2](self.convs[2](y))
        skip = x if self.skip is None else self.skip_norm(self.skip(x))
        z: Tensor = self.relu(self.sum(torch.stack([skip, y], -1)))
        return z

    def attributes(name: str, module: Any) -> dict[str, Any] | None:
        return {"forward": forward.__get__(module), "sum": Sum()} if name in blocks else None

    pairs = [("0", "1")] + [(f"{name}.convs.{i}", f"{name}.norms.{i}") for name in blocks for i in range(3)]
    pairs += [(f"{name}.skip", f"{name}.skip_norm") for name, block in blocks.items() if block.skip is not None]
    return [NamedMergeBatchNorm([((conv,), norm) for conv, norm in pairs]), AttributeCanonizer(attributes)]


def captum(what: Subject, rule: str) -> Call:
    """Captum's LRP with a rule on convolutions, epsilon elsewhere, as the composites have it."""
    from captum.attr import LRP
    from captum.attr._utils import lrp_rules

    explained = copy.deepcopy(what.model)
    for module in explained.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False  # captum's hooks refuse it
    engine = LRP(explained)

    def call() -> object:
        for module in explained.modules():  # at every call, since captum deletes them afterwards
            if isinstance(module, nn.Conv2d):
                module.rule = getattr(lrp_rules, rule)()
            elif isinstance(module, nn.Linear | nn.Flatten):
                module.rule = lrp_rules.EpsilonRule()
        return engine.attribute(what.leaf, target=0)

    return call


def autolrp(what: Subject, recipe: str) -> Call:
    """A recipe of autoLRP."""
    import autolrp as library

    config = getattr(library.LRPConfig, recipe)()

    def call() -> Tensor:
        leaf = library.tensor(what.leaf)
        what.forward(leaf)[:, 0].sum().lrp(config=config)
        if leaf.relevance is None:
            raise RuntimeError("no relevance arrived at the input")
        return leaf.relevance

    return call


def lxt(what: Subject, composite: str) -> Call:
    """AttnLRP by LXT's own BERT; its layer norm replaces torch's during the call only, since the other engines share the process."""
    from lxt.efficient.models import bert
    from lxt.efficient.patches import layer_norm_forward

    if getattr(bert, composite)[nn.LayerNorm].args != (layer_norm_forward,):
        raise RuntimeError(f"{composite} of this LXT patches another layer norm")
    explained = bert.BertForSequenceClassification(what.model.config).eval().requires_grad_(False)
    explained.load_state_dict(what.model.state_dict())
    forward = partial(explained, attention_mask=what.inputs["attention_mask"])

    def call() -> Tensor:
        original, nn.LayerNorm.forward = nn.LayerNorm.forward, layer_norm_forward
        try:
            return gradient_x_input(explained, what.leaf, lambda leaf: forward(inputs_embeds=leaf))
        finally:
            nn.LayerNorm.forward = original

    return call


ENGINES: dict[str, Callable[[Subject, str], Call]] = {
    "ours": ours,
    "zennit": zennit,
    "captum": captum,
    "autoLRP": autolrp,
    "lxt": lxt,
}
# Shape -> engine, composite, floor: 1.0 where only the gradient changes, 1.5 for one more forward product per convolution.
ROWS: dict[str, tuple[Row, ...]] = {
    "VGG-16 shape (2 x 128 x 128)": (
        ("ours", "epsilon_gamma_box", 1.5),
        ("zennit", "EpsilonGammaBox", 1.5),
        ("captum", "GammaRule", 1.5),
        ("ours", "epsilon_plus_flat", 1.5),
        ("zennit", "EpsilonPlusFlat", 1.5),
        ("ours", "epsilon_plus", 1.5),
        ("zennit", "EpsilonPlus", 1.5),
        ("autoLRP", "composite", 1.5),
        ("captum", "EpsilonRule", 1.0),
    ),
    "ResNet-50 shape (4 x 128 x 128)": (("ours", "epsilon_plus", 1.5), ("zennit", "EpsilonPlus", 1.5)),
    "ViT-B shape (1 x 224 x 224)": (("ours", "attn_lrp", 1.0), ("autoLRP", "attnlrp", 1.0)),
    "BERT-base shape (12 x 768)": (("ours", "attn_lrp", 1.0), ("lxt", "attnLRP", 1.0), ("autoLRP", "attnlrp", 1.0)),
}


def measure(what: Subject, rows: Sequence[Row], rounds: int) -> dict[Row, float | str]:
    """Ratio, or the reason why there is none, per row."""
    calls: dict[str, Call] = {BASELINE: lambda: gradient_x_input(what.model, what.leaf, what.forward)}
    calls[BASELINE]()
    found: dict[Row, float | str] = {}
    for row in rows:
        engine, composite, _ = row
        try:
            call = ENGINES[engine](what, composite)
            call()  # also warms up
        except Exception as error:  # noqa: BLE001 - whatever a peer raises is its result
            found[row] = f"{type(error).__name__}: {error}".splitlines()[0]
        else:
            calls[f"{engine} {composite}"] = call
    measured = ratios(calls, BASELINE, rounds, warm_up=0)
    return {row: found[row] if row in found else measured[f"{row[0]} {row[1]}"] for row in rows}


def main(*, small: bool) -> None:
    """Print one row per shape, engine and composite."""
    warnings.simplefilter("ignore")  # of the peers, about in-place operations
    standins.install()
    torch.set_num_threads(1)
    rounds = 1 if small else 3
    print(f"peers: cost relative to gradient x input in the same run, one thread, median of {rounds} rounds")
    for title, rows in ROWS.items():
        print(f"  {title}")
        for (engine, composite, floor), value in measure(subject(title), rows, rounds).items():
            name = f"{engine if engine == 'ours' else f'{engine} {version(engine)}'} {composite}"
            result = f"not measured: {value}" if isinstance(value, str) else f"{value:.2f}, floor {floor}"
            print(f"    {name:30s} {result}", flush=True)


if __name__ == "__main__":
    main(small="--small" in sys.argv)
