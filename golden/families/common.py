"""What a case of a model family is, and random inputs for it."""

from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass
class Case:
    """A tiny random model: `build(config)` makes it, `runs` are inputs for its forward, `loss` inputs with labels.

    Inputs are dicts of tensors under the names of transformers' forward. `outputs` are the fields of its result that are
    kept; nested ones as "encoder_last_hidden_state" or, in a tuple, "hidden_states.1". A dimension that is padding
    (attention_mask 0) is not compared.
    """

    build: Any
    config: Any
    runs: list[dict[str, torch.Tensor]]
    outputs: list[str]
    loss: dict[str, torch.Tensor] | None = None
    """None where transformers has no loss."""
    greedy: list[dict[str, torch.Tensor]] = field(default_factory=list)
    """Prompts of batch 1 for model.generate without sampling; 12 tokens each, closer choices than 0.01 are refused."""
    scale: float = 0.3
    """Standard deviation of the re-drawn weights."""
    double: bool = False
    """Loss and gradients are computed in f64: where torch's own f32 is further from them than the tests allow."""


def ids(vocab_size, *shape, low=3):
    """Random token ids that avoid the special ones at the start of the vocabulary."""
    return torch.randint(low, vocab_size, shape)


def padded(inputs, lengths, side="right", pad=1):
    """The same ids with padding: input_ids, attention_mask."""
    count, length = inputs.shape
    places = torch.arange(length)
    lengths = torch.tensor(lengths)[:, None]
    mask = places < lengths if side == "right" else places >= length - lengths
    return {"input_ids": torch.where(mask, inputs, pad), "attention_mask": mask.long()}
