"""Makes golden/augment/sequences.json: T5's span corruption and Wav2Vec2's masks, with the numbers that they drew.

Span corruption is that of transformers' example run_t5_mlm_flax.py, which version 5 does not have any more: download
examples/flax/language-modeling/run_t5_mlm_flax.py of version 4.40 and give its path. Only the collator and the function of
lengths are taken out of it, so that JAX is not needed.

    python golden/make_augment_text.py run_t5_mlm_flax.py
"""

import ast
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import transformers
from transformers.models.wav2vec2.modeling_wav2vec2 import _compute_mask_indices

from common import GOLDEN, write_json

WANTED = {"FlaxDataCollatorForT5MLM", "compute_input_and_target_lengths"}
METHODS = {"create_sentinel_ids", "filter_input_ids", "random_spans_noise_mask"}
VOCAB_SIZE = 120
EOS = 1


def t5_parts(path):
    tree = ast.parse(Path(path).read_text())
    parts = [node for node in tree.body if getattr(node, "name", None) in WANTED]
    for node in parts:
        node.decorator_list = []
        if isinstance(node, ast.ClassDef):
            node.body = [item for item in node.body if getattr(item, "name", None) in METHODS]
    names = {"np": np}
    exec(compile(ast.Module(parts, []), path, "exec"), names)
    return names["FlaxDataCollatorForT5MLM"], names["compute_input_and_target_lengths"]


class Tokenizer:
    eos_token_id = EOS

    def __len__(self):
        return VOCAB_SIZE


def span_cases(collator_class):
    """Shuffles are recorded as the places that end up in front of a segment."""
    random = np.random.default_rng(5)
    for length, density, span in [(40, 0.15, 3.0), (73, 0.15, 3.0), (12, 0.5, 3.0), (64, 0.3, 1.5), (30, 0.85, 4.0)]:
        collator = collator_class()
        collator.noise_density, collator.mean_noise_span_length, collator.tokenizer = density, span, Tokenizer()
        orders = []

        def shuffle(flags, orders=orders):
            order = random.permutation(len(flags))
            flags[:] = flags[order]
            orders.append(order.tolist())

        ids = np.array([random.integers(2, VOCAB_SIZE - 20, length)])
        original, np.random.shuffle = np.random.shuffle, shuffle
        mask = np.array([collator.random_spans_noise_mask(length)])
        np.random.shuffle = original
        inputs = collator.filter_input_ids(ids, collator.create_sentinel_ids(mask.astype(np.int8)))
        labels = collator.filter_input_ids(ids, collator.create_sentinel_ids((~mask).astype(np.int8)))
        yield {
            "noiseDensity": density, "meanSpanLength": span, "ids": ids[0].tolist(), "orders": orders,
            "inputIds": inputs[0].tolist(), "labels": labels[0].tolist(),
        }


def length_cases(lengths_of):
    for inputs_length, density, span in [(512, 0.15, 3.0), (114, 0.15, 3.0), (64, 0.5, 3.0), (64, 0.5, 2.0), (30, 0.3, 2.5)]:
        tokens, targets = lengths_of(inputs_length, density, span)
        yield {"inputLength": inputs_length, "noiseDensity": density, "meanSpanLength": span,
               "tokensLength": int(tokens), "targetLength": int(targets)}


def mask_cases():
    random = np.random.default_rng(6)
    for length, lengths, prob, width, least in [
        (60, [60, 41, 12], 0.3, 10, 0), (60, [60, 41, 12], 0.05, 10, 2), (20, [20, 20], 0.9, 7, 0), (50, [50, 5], 0.5, 10, 1),
        (30, [30], 0.01, 10, 0),
    ]:
        drawn = {"epsilon": [], "starts": []}

        def rand(count, drawn=drawn):
            value = random.random(count)
            drawn["epsilon"].append(float(value[0]))
            return value

        def choice(values, count, replace, drawn=drawn):
            order = random.permutation(values)[:count]
            drawn["starts"].append(order.tolist())
            return order

        saved = np.random.rand, np.random.choice
        np.random.rand, np.random.choice = rand, choice
        attention = torch.zeros(len(lengths), length, dtype=torch.long)
        for row, size in enumerate(lengths):
            attention[row, :size] = 1
        mask = _compute_mask_indices((len(lengths), length), prob, width, attention, least)
        np.random.rand, np.random.choice = saved
        yield {"length": length, "lengths": lengths, "probability": prob, "maskLength": width, "minMasks": least,
               "epsilon": drawn["epsilon"][0], "starts": drawn["starts"],
               "mask": ["".join("01"[int(value)] for value in row) for row in mask]}


def main(path):
    collator_class, lengths_of = t5_parts(path)
    write_json(
        GOLDEN / "augment" / "sequences.json",
        {
            "madeBy": "golden/make_augment_text.py, run_t5_mlm_flax.py of transformers 4.40, "
            f"transformers {transformers.__version__}, numpy {np.__version__}",
            "vocabSize": VOCAB_SIZE,
            "eosTokenId": EOS,
            "spans": list(span_cases(collator_class)),
            "lengths": list(length_cases(lengths_of)),
            "masks": list(mask_cases()),
        },
    )


if __name__ == "__main__":
    main(sys.argv[1])
