"""Recurrent layers by their steps, so that the rules of linear operations and activations apply inside them.

Gates are constants and the signal takes all (Arras et al. 2017, "all" rule); the candidate and the cell's tanh get the identity rule.
The fused kernels give no access to a step; results differ from theirs by rounding only.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lrp.calls import Function, carries

if TYPE_CHECKING:
    from lrp.engine import Interceptor

State = tuple[Tensor, ...]
Weights = tuple[Tensor, Tensor | None]
# From the input's part of the gates [batch, gates], the state, and the recurrent weights to the next state; its first entry is the output.
Step = Callable[[Tensor, State, Weights], State]


def _lstm_step(projected: Tensor, state: State, recurrent: Weights) -> State:
    """Hochreiter and Schmidhuber 1997, as in torch.nn.LSTM."""
    h, c = state
    enter, forget, candidate, leave = (projected + F.linear(h, *recurrent)).chunk(4, -1)
    c = forget.detach().sigmoid() * c + enter.detach().sigmoid() * candidate.tanh()
    return leave.detach().sigmoid() * c.tanh(), c


def _gru_step(projected: Tensor, state: State, recurrent: Weights) -> State:
    """Cho et al. 2014, as in torch.nn.GRU."""
    (h,) = state
    reset, update, candidate = projected.chunk(3, -1)
    reset_h, update_h, candidate_h = F.linear(h, *recurrent).chunk(3, -1)
    update = (update + update_h).detach().sigmoid()
    new = (candidate + (reset + reset_h).detach().sigmoid() * candidate_h).tanh()
    return (new * (1 - update) + update * h,)


def _tanh_step(projected: Tensor, state: State, recurrent: Weights) -> State:
    return ((projected + F.linear(state[0], *recurrent)).tanh(),)


def _relu_step(projected: Tensor, state: State, recurrent: Weights) -> State:
    return ((projected + F.linear(state[0], *recurrent)).relu(),)


STEPS: dict[Function, Step] = {
    torch.lstm: _lstm_step,
    torch.gru: _gru_step,
    torch.rnn_tanh: _tanh_step,
    torch.rnn_relu: _relu_step,
}
CELLS: dict[Function, Step] = {
    torch.lstm_cell: _lstm_step,
    torch.gru_cell: _gru_step,
    torch.rnn_tanh_cell: _tanh_step,
    torch.rnn_relu_cell: _relu_step,
}


def layers(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A stack of layers: (input, states, weights, bias, layers, dropout, training, both, batch first), or packed
    (data, batch sizes, states, weights, bias, layers, dropout, training, both)."""
    packed = isinstance(args[1], Tensor) and not args[1].is_floating_point()
    x, sizes, states, parameters, biased, count = args[:6] if packed else (args[0], None, *args[1:5])
    both, batch_first = args[8] if packed else args[7], not packed and args[8]
    if not carries(x) and not carries(states):
        return func(*args, **kwargs)
    given = tuple(states) if isinstance(states, tuple | list) else (states,)
    per_layer = len(parameters) // (count * (2 if both else 1))
    mode.record(func, "recurrent").fixed = True
    # The batch leads inside, as everywhere in the ledger.
    with mode:
        x = _unpacked(x, sizes) if sizes is not None else x if batch_first else x.transpose(0, 1)
        finals: list[State] = []
        for layer in range(count):
            outputs = []
            for direction in range(2 if both else 1):
                i = layer * (2 if both else 1) + direction
                weights = parameters[i * per_layer : (i + 1) * per_layer]
                start = tuple(state[i] for state in given)
                out, final = _run(STEPS[func], x, start, weights, sizes, biased=biased, reverse=direction == 1)
                outputs.append(out)
                finals.append(final)
            x = torch.cat(outputs, -1) if both else outputs[0]
        result = _packed(x, sizes) if sizes is not None else x if batch_first else x.transpose(0, 1)
        return result, *(torch.stack(states) for states in zip(*finals, strict=True))


def _run(
    step: Step, x: Tensor, state: State, weights: list[Tensor], sizes: Tensor | None, *, biased: bool, reverse: bool
) -> tuple[Tensor, State]:
    """One direction of one layer over x `[batch, time, features]`; `sizes`: how many sequences are alive at each time."""
    w_in, w_recurrent, *rest = weights
    b_in, b_recurrent = rest[:2] if biased else (None, None)
    projection = rest[2:] if biased else rest
    projected = F.linear(x, w_in, b_in)
    batch, length = x.shape[:2]
    outputs: list[Tensor] = [x] * length
    for t in reversed(range(length)) if reverse else range(length):
        new = step(projected[:, t], state, (w_recurrent, b_recurrent))
        if projection:
            new = (F.linear(new[0], projection[0]), *new[1:])
        if sizes is not None and int(sizes[t]) < batch:
            alive = (torch.arange(batch, device=x.device) < int(sizes[t])).unsqueeze(1)
            new = tuple(torch.where(alive, a, s) for a, s in zip(new, state, strict=True))
        state, outputs[t] = new, new[0]
    return torch.stack(outputs, 1), state


def _unpacked(data: Tensor, sizes: Tensor) -> Tensor:
    """`[batch, time, features]`, zeros behind the end of each sequence."""
    steps = data.split(sizes.tolist())
    return torch.stack([F.pad(step, (0, 0, 0, int(sizes[0]) - len(step))) for step in steps], 1)


def _packed(x: Tensor, sizes: Tensor) -> Tensor:
    return torch.cat([x[:n, t] for t, n in enumerate(sizes.tolist())])


def cell(mode: "Interceptor", func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """One step: (input, state, w_in, w_recurrent, b_in, b_recurrent)."""
    x, states, w_in, w_recurrent, *biases = args
    b_in, b_recurrent = biases or (None, None)
    given = tuple(states) if isinstance(states, tuple | list) else (states,)
    if not carries(x) and not carries(given):
        return func(*args, **kwargs)
    mode.record(func, "recurrent").fixed = True
    with mode:
        new = CELLS[func](F.linear(x, w_in, b_in), given, (w_recurrent, b_recurrent))
    return new if len(new) > 1 else new[0]


HANDLERS = {**dict.fromkeys(STEPS, layers), **dict.fromkeys(CELLS, cell)}
