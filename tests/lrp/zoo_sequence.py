"""Plain torch classifiers of the zoo on texts: recurrent, attention, state-space, mixture and convolutional nets, all small."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tests.lrp.specimens import LABELS, VOCABULARY

WIDTH = 16


class Texts(nn.Module):
    """Word embeddings, a body over `[batch, tokens, width]`, masked mean, linear: what the text nets below share."""

    def __init__(self, body: nn.Module, width: int = WIDTH, into: int = WIDTH) -> None:
        super().__init__()
        self.words, self.body, self.last = nn.Embedding(VOCABULARY, into), body, nn.Linear(width, LABELS)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        x = self.body(self.words(input_ids), attention_mask)
        mask = attention_mask.unsqueeze(-1).to(x.dtype)
        return self.last((x * mask).sum(1) / mask.sum(1))


class Unmasked(nn.Module):
    """A body that ignores the mask."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.body(x)


class Recurrent(nn.Module):
    """nn.LSTM, nn.GRU or nn.RNN, packed by length or not."""

    def __init__(self, kind: type[nn.RNNBase], *, packed: bool = False, batch_first: bool = True, **kwargs) -> None:
        super().__init__()
        self.inner, self.packed = kind(WIDTH, WIDTH // 2, batch_first=batch_first, **kwargs), packed

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if not self.inner.batch_first:
            return self.inner(x.transpose(0, 1))[0].transpose(0, 1)
        if not self.packed:
            return self.inner(x)[0]
        sequence = pack_padded_sequence(x, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.inner(sequence)[0], batch_first=True, total_length=x.shape[1])[0]


def recurrent(kind: type[nn.RNNBase], **kwargs) -> nn.Module:
    width = kwargs.get("proj_size", WIDTH // 2)
    return Texts(Recurrent(kind, **kwargs), 2 * width if kwargs.get("bidirectional") else width)


class Cells(nn.Module):
    """A loop over nn.LSTMCell, as decoders are written."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(WIDTH, WIDTH)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        h = c = x.new_zeros(len(x), WIDTH)
        states = []
        for step in x.unbind(1):
            h, c = self.cell(step, (h, c))
            states.append(h)
        return torch.stack(states, 1)


class Encoder(nn.Module):
    """nn.TransformerEncoder with a padding mask."""

    def __init__(self, *, batch_first: bool, norm_first: bool = False, activation: str = "relu") -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            WIDTH, 2, 32, 0.1, activation, batch_first=batch_first, norm_first=norm_first
        )
        self.batch_first = batch_first
        self.inner = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if self.batch_first:
            return self.inner(x, src_key_padding_mask=mask == 0)
        return self.inner(x.transpose(0, 1), src_key_padding_mask=mask == 0).transpose(0, 1)


def encoder(**kwargs) -> nn.Module:
    return Texts(Encoder(**kwargs))


class Attended(nn.Module):
    """nn.MultiheadAttention with or without its weights asked for."""

    def __init__(self, *, weights: bool) -> None:
        super().__init__()
        self.inner, self.norm, self.weights = (
            nn.MultiheadAttention(WIDTH, 2, batch_first=True),
            nn.LayerNorm(WIDTH),
            weights,
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.norm(x + self.inner(x, x, x, key_padding_mask=mask == 0, need_weights=self.weights)[0])


class Written(nn.Module):
    """Attention written out with ALiBi biases, complex rotary positions or einsum."""

    def __init__(self, position: str, heads: int = 2) -> None:
        super().__init__()
        self.position, self.heads = position, heads
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        steps = torch.arange(x.shape[1], device=x.device)
        if self.position == "rotary":
            q, k = self.rotate(q, steps), self.rotate(k, steps)
        scores = torch.einsum("bhqd,bhkd->bhqk", q, k) / math.sqrt(q.shape[-1])
        if self.position == "alibi":
            slopes = 2.0 ** -torch.arange(1, self.heads + 1, device=x.device).to(x.dtype)
            scores = scores - slopes[:, None, None] * (steps[:, None] - steps).abs()
        scores = scores.masked_fill(mask[:, None, None] == 0, -torch.inf)
        return x + self.out(torch.einsum("bhqk,bhkd->bqhd", scores.softmax(-1), v).flatten(2))

    @staticmethod
    def rotate(x: Tensor, steps: Tensor) -> Tensor:
        wide = x.float() if x.dtype == torch.bfloat16 else x
        pairs = torch.view_as_complex(wide.unflatten(-1, (-1, 2)))
        angles = steps[:, None] * 0.5 ** torch.arange(pairs.shape[-1], device=x.device)
        return (
            torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles).to(pairs.dtype))
            .flatten(-2)
            .to(x.dtype)
        )


class StateSpace(nn.Module):
    """A selective scan written out: h = exp(dt A) h + dt B x; y = C h + D x, gated."""

    def __init__(self, states: int = 4) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.select, self.step = nn.Linear(WIDTH, 2 * states), nn.Linear(WIDTH, WIDTH)
        self.log_a, self.d = nn.Parameter(torch.zeros(WIDTH, states)), nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        u, gate = self.into(x).chunk(2, -1)
        b, c = self.select(u).chunk(2, -1)
        dt, a = F.softplus(self.step(u)), -torch.exp(self.log_a)
        h = u.new_zeros(len(u), WIDTH, a.shape[1])
        outputs = []
        for t in range(u.shape[1]):
            h = torch.exp(dt[:, t, :, None] * a) * h + dt[:, t, :, None] * b[:, t, None] * u[:, t, :, None]
            outputs.append((h * c[:, t, None]).sum(-1))
        return x + self.out((torch.stack(outputs, 1) + self.d * u) * F.silu(gate))


class Experts(nn.Module):
    """Mixture of experts: softmax router, the two best of four, tokens gathered and added back."""

    def __init__(self, experts: int = 4) -> None:
        super().__init__()
        self.router = nn.Linear(WIDTH, experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, 32), nn.GELU(), nn.Linear(32, WIDTH)) for _ in range(experts)
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        flat = x.flatten(0, 1)
        weights, chosen = self.router(flat).softmax(-1).topk(2, -1)
        weights = weights / weights.sum(-1, keepdim=True)
        result = torch.zeros_like(flat)
        for i, expert in enumerate(self.experts):
            rows, slot = torch.where(chosen == i)
            result.index_add_(0, rows, expert(flat[rows]) * weights[rows, slot, None])
        return x + result.view_as(x)


class TextConvolutions(nn.Module):
    """Kim's text classifier: convolutions of several widths, maximum over time."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, WIDTH, padding_idx=0)
        self.convs = nn.ModuleList(nn.Conv1d(WIDTH, 8, width) for width in (2, 3))
        self.last = nn.Linear(16, LABELS)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        x = self.words(input_ids).transpose(1, 2)
        return self.last(torch.cat([torch.relu(c(x)).max(-1).values for c in self.convs], 1))


class AveragedWords(nn.Module):
    """Deep averaging network on nn.EmbeddingBag."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(VOCABULARY, WIDTH, mode="mean", padding_idx=0)
        self.rest = nn.Sequential(nn.Linear(WIDTH, 32), nn.ReLU(), nn.Linear(32, LABELS))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.rest(self.words(input_ids))
