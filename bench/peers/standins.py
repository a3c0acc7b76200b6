"""Lets zennit and LXT be imported without torchvision, which they need only for its own models: empty classes stand in for them.

`install()` must run before either import. In this process transformers must not believe in torchvision, so it is asked first.
"""

import sys
import types

import transformers.utils
from torch import nn

_NAMES: dict[str, dict[str, object]] = {
    "torchvision": {},
    "torchvision.models": {},
    "torchvision.models.resnet": {
        "BasicBlock": type("BasicBlock", (nn.Module,), {}),
        "Bottleneck": type("Bottleneck", (nn.Module,), {}),
    },
    "torchvision.models.vgg": {"VGG": type("VGG", (nn.Module,), {})},
    "torchvision.models.vision_transformer": {"nn": nn},
}


def install() -> None:
    """Once per process; does nothing where torchvision is installed."""
    if transformers.utils.is_torchvision_available():
        return
    for name, content in _NAMES.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
