"""How much goes into a batch: by a rule on device and model, never by the clock, for what is in a batch decides the last bits of floats."""

from collections.abc import Callable
from typing import Any, Final

VALUES: Final = 2**25  # that the modules of a model put out for one batch on the processor: 128 MB of float32
PART: Final = (
    1 / 16
)  # of the memory of another device: the engine keeps some of what modules put out, and what rules make of it
LEAST: Final = 1
MOST: Final = 2**12


def auto_batch(model: Any, once: Callable[[], Any], items: int) -> int:
    """A power of two: so many items that the modules put out `VALUES` values for them, counted in `once`, a forward pass of `items`."""
    import torch

    device = next(model.parameters()).device
    budget = VALUES
    if device.type == "cuda":
        budget = int(torch.cuda.get_device_properties(device).total_memory * PART) // 4
    values = 0

    def count(module: Any, given: Any, output: Any) -> None:
        nonlocal values
        values += output.numel() if isinstance(output, torch.Tensor) else 0

    hooks = [module.register_forward_hook(count) for module in model.modules() if not any(module.children())]
    try:
        with torch.inference_mode():
            once()
    finally:
        for hook in hooks:
            hook.remove()
    most = max(LEAST, min(MOST, budget * items // max(1, values)))
    return 1 << (most.bit_length() - 1)
