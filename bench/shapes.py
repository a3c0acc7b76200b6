"""Models of well-known shapes with random weights; plain torch and transformers only, so that peers can use them too."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification, BertConfig, LlamaConfig
from transformers import ViTConfig as VitConfig


def vgg16() -> nn.Module:
    """Simonyan and Zisserman 2015, configuration D."""
    layers: list[nn.Module] = []
    channels = 3
    for width in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0):
        if width == 0:
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
    head = [nn.Linear(512 * 49, 4096), nn.ReLU(True), nn.Linear(4096, 4096), nn.ReLU(True), nn.Linear(4096, 1000)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(7), nn.Flatten(), *head)


class Bottleneck(nn.Module):
    """He et al. 2016, with the stride in the 3 x 3 convolution."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                nn.Conv2d(inputs, width, 1, bias=False),
                nn.Conv2d(width, width, 3, stride, 1, bias=False),
                nn.Conv2d(width, 4 * width, 1, bias=False),
            ]
        )
        self.norms = nn.ModuleList([nn.BatchNorm2d(n) for n in (width, width, 4 * width)])
        self.relu = nn.ReLU(inplace=True)
        same = stride == 1 and inputs == 4 * width
        self.skip = None if same else nn.Conv2d(inputs, 4 * width, 1, stride, bias=False)
        self.skip_norm = None if same else nn.BatchNorm2d(4 * width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norms[0](self.convs[0](x)))
        y = self.relu(self.norms[1](self.convs[1](y)))
        y = self.norms[2](self.convs[2](y))
        y += x if self.skip is None or self.skip_norm is None else self.skip_norm(self.skip(x))
        return self.relu(y)


def resnet50() -> nn.Module:
    """He et al. 2016."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(True),
        nn.MaxPool2d(3, 2, 1),
    ]
    channels = 64
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            layers.append(Bottleneck(channels, width, 2 if stage and block == 0 else 1))
            channels = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


class Words(nn.Module):
    """A recurrent text classifier, as `[batch, tokens]` token ids to logits."""

    def __init__(self, width: int = 256, layers: int = 2) -> None:
        super().__init__()
        self.words = nn.Embedding(1000, width)
        self.body = nn.LSTM(width, width, layers, batch_first=True)
        self.head = nn.Linear(width, 2)

    def forward(self, input_ids: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(self.words(input_ids))[0][:, -1])
        return logits


def tiny() -> nn.Module:
    """Two layers: what remains is the engine's overhead."""
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))


def _text(config: Callable[[], BertConfig | LlamaConfig]) -> Callable[[], nn.Module]:
    return lambda: AutoModelForSequenceClassification.from_config(config())


IMAGES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "VGG-16 shape (2 x 128 x 128)": (vgg16, (2, 3, 128, 128)),
    "ResNet-50 shape (4 x 128 x 128)": (resnet50, (4, 3, 128, 128)),
    "ViT-B shape (1 x 224 x 224)": (
        lambda: AutoModelForImageClassification.from_config(VitConfig()),
        (1, 3, 224, 224),
    ),
}
TEXTS: dict[str, Callable[[], nn.Module]] = {
    "BERT-base shape (12 x 768)": _text(BertConfig),
    "MiniLM shape (6 x 384)": _text(
        lambda: BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    ),
    "Llama shape (6 x 512)": _text(
        lambda: LlamaConfig(
            vocab_size=2000,
            hidden_size=512,
            num_hidden_layers=6,
            num_attention_heads=8,
            intermediate_size=1376,
            pad_token_id=0,
        )
    ),
}


def build(make: Callable[[], nn.Module]) -> nn.Module:
    """Seeded, in evaluation mode, weights constant."""
    torch.manual_seed(0)
    return make().eval().requires_grad_(False)
