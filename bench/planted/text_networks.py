"""Two small text classifiers that transformers does not have; this file is copied beside their weights, as a model's own code is."""

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class BagConfig(PretrainedConfig):
    """Of its own, for transformers remembers one model for a class of config."""

    model_type = "planted_bag"
    vocab_size: int = 300
    hidden_size: int = 32
    max_position_embeddings: int = 20
    pad_token_id: int = 0


class AttentionConfig(PretrainedConfig):
    """Likewise."""

    model_type = "planted_attention"
    vocab_size: int = 300
    hidden_size: int = 32
    max_position_embeddings: int = 20
    pad_token_id: int = 0


class _Words(PreTrainedModel):
    def get_input_embeddings(self) -> nn.Module:
        return self.embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embedding = value

    def _init_weights(self, module: nn.Module) -> None:
        pass


class BagForSequenceClassification(_Words):
    """Mean of the words' embeddings, one hidden layer."""

    config_class = BagConfig

    def __init__(self, config: BagConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.hidden = nn.Linear(config.hidden_size, config.hidden_size)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **kwargs: object) -> SequenceClassifierOutput:
        seen = attention_mask.to(self.classifier.weight.dtype)[:, :, None]
        mean = (self.embedding(input_ids) * seen).sum(1) / seen.sum(1)
        return SequenceClassifierOutput(logits=self.classifier(torch.relu(self.hidden(mean))))


class AttentionForSequenceClassification(_Words):
    """One layer of attention with two heads, residual and LayerNorm, mean over the words, one hidden layer."""

    config_class = AttentionConfig

    def __init__(self, config: AttentionConfig) -> None:
        super().__init__(config)
        size = config.hidden_size
        self.embedding = nn.Embedding(config.vocab_size, size, padding_idx=config.pad_token_id)
        self.query, self.key, self.value, self.out = (nn.Linear(size, size) for _ in range(4))
        self.norm = nn.LayerNorm(size)
        self.hidden = nn.Linear(size, size)
        self.classifier = nn.Linear(size, config.num_labels)
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **kwargs: object) -> SequenceClassifierOutput:
        words = self.embedding(input_ids)
        n, tokens, size = words.shape
        query, key, value = (
            layer(words).view(n, tokens, 2, size // 2).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        hidden = (attention_mask == 0)[:, None, None, :]
        weights = (query @ key.transpose(-1, -2) / (size // 2) ** 0.5).masked_fill(hidden, -1e9).softmax(-1)
        mixed = self.norm(words + self.out((weights @ value).transpose(1, 2).reshape(n, tokens, size)))
        seen = attention_mask.to(mixed.dtype)[:, :, None]
        mean = (mixed * seen).sum(1) / seen.sum(1)
        return SequenceClassifierOutput(logits=self.classifier(torch.relu(self.hidden(mean))))
