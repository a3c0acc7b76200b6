"""How much goes into a batch: by a rule on device and model, never by the clock, for what is in a batch decides the last bits of floats."""

from collections.abc import Callable
from typing import Any, Final

WIDEST: Final = 400_000  # values that the widest module puts out for a batch on the processor: they stay in its cache
SIGNS: Final = 4  # parts of its output that a convolution is run for, by the signs of inputs and weights
PART: Final = (
    1 / 16
)  # of the memory of another device: the engine keeps some of what modules put out, and what rules make of it
LEAST: Final = 1
MOST: Final = (2**12, 2**15)  # on the processor, on a GPU


def auto_batch(model: Any, once: Callable[[], Any], items: int) -> int:
    """A power of two: so many items as fit, by what modules put out in `once`, a forward pass of `items`.

    On the processor the widest module's output is to stay in the cache, on a GPU a part of the memory holds those of all modules.
    """
    import torch

    device = next(model.parameters()).device
    values = list[int]()

    def count(module: Any, given: Any, output: Any) -> None:
        signs = SIGNS if isinstance(module, torch.nn.modules.conv._ConvNd) else 1
        values.append(signs * output.numel() if isinstance(output, torch.Tensor) else 0)

    hooks = [module.register_forward_hook(count) for module in model.modules() if not any(module.children())]
    try:
        with torch.inference_mode():
            once()
    finally:
        for hook in hooks:
            hook.remove()
    if device.type == "cuda":
        budget, needed = int(torch.cuda.get_device_properties(device).total_memory * PART) // 4, sum(values)
    else:
        budget, needed = WIDEST, max(values)
    most = max(LEAST, min(MOST[device.type == "cuda"], budget * items // max(1, needed)))
    return 1 << (most.bit_length() - 1)
