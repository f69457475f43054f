"""SmolLM2 in 4 bits on dialogues: the same recipe with transformers, peft and bitsandbytes, in the order of run.mjs.

    python recipes/smollm2-qlora/peer.py [--seed 0] [--steps N]

The base's linear layers are brought from the file's blocks into NF4, the 4 bits of bitsandbytes, which runs on the CPU.
"""

import sys
from pathlib import Path

import torch
from bitsandbytes.nn import Linear4bit, Params4bit

FOLDER = Path(__file__).parent
sys.path.append(str(FOLDER.parent / "common"))
from chat_peer import LINEAR, main  # noqa: E402


def in_four_bits(model):
    """Linear layers but for the head in NF4, and everything else frozen as it is."""
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if name not in LINEAR:
                continue
            sizes = layer.in_features, layer.out_features
            narrow = Linear4bit(*sizes, bias=False, compute_dtype=torch.float32, quant_type="nf4")
            narrow.weight = Params4bit(layer.weight.data, requires_grad=False, quant_type="nf4")
            setattr(parent, name, narrow.to("cpu"))
    model.is_loaded_in_4bit = True  # peft puts its layers around those of bitsandbytes then
    return model


main(FOLDER, in_four_bits)
