"""Makes golden/nf4/: weights in NF4 and FP4 as bitsandbytes quantises them on the CPU, with products; a tiny Llama
and what it answers in NF4, and 10 steps of AdamW with peft on it.

    python golden/make_nf4.py    # an environment with requirements-nf4.txt
"""

import os
import tempfile
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import bitsandbytes
import peft
import torch
from bitsandbytes import functional as bnb
from peft import LoraConfig, get_peft_model
from transformers import BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM

from common import GOLDEN, made_by, tensor_json, write_json

OUT = GOLDEN / "nf4"
STEPS, BATCHES, RATE = 10, 2, 1e-2
SIZES = dict(
    vocab_size=43, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
    bos_token_id=None, eos_token_id=None, tie_word_embeddings=False, attn_implementation="eager",
)
MADE_BY = f"{made_by(__file__)}, bitsandbytes {bitsandbytes.__version__}, peft {peft.__version__}"


def weights():
    """Matrices with blocks of zeros, of one number, of a table's own numbers and of those halfway between two."""
    torch.manual_seed(0)
    cases = []
    for kind in ("nf4", "fp4"):
        levels = bnb.get_4bit_type(kind, device="cpu", blocksize=64)
        ordered = levels.sort().values
        weight = torch.randn(6, 128)
        weight[1, :64] = 0
        weight[1, 64:] = 0.3
        weight[2, :64] = levels.repeat(4) * 1.5
        weight[2, 64:] = torch.cat([(ordered[1:] + ordered[:-1]) / 2, torch.ones(1)]).repeat(4)
        packed, state = bnb.quantize_4bit(weight, blocksize=64, quant_type=kind, compress_statistics=False)
        wide, x = bnb.dequantize_4bit(packed, state), torch.randn(3, 128)
        case = {"type": kind, "packed": packed.flatten().tolist(), "absmax": tensor_json(state.absmax)}
        case |= {"weight": tensor_json(weight), "dequantized": tensor_json(wide), "x": tensor_json(x)}
        cases.append(case | {"product": tensor_json(bitsandbytes.matmul_4bit(x, packed.t(), quant_state=state))})
    write_json(OUT / "weights.json", {"madeBy": MADE_BY, "cases": cases})


def redraw(parameters, std):
    with torch.no_grad():
        for parameter in parameters:
            parameter.copy_(torch.randn_like(parameter) * std + (1 if parameter.dim() == 1 else 0))


def base():
    """The model that is quantised, its numbers rounded to bf16."""
    torch.manual_seed(64)
    model = LlamaForCausalLM(LlamaConfig(intermediate_size=64, **SIZES)).eval()
    redraw(model.parameters(), 0.2)
    return model.to(torch.bfloat16)


def save(model, folder):
    model.save_pretrained(folder)
    for name in ("generation_config.json", "README.md"):
        (folder / name).unlink(missing_ok=True)


def train(model, ids, folder):
    """LoRA beside the base in 4 bits: its start, the losses, and what the model answers then."""
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(model, config)
    torch.manual_seed(5)
    redraw([parameter for name, parameter in model.named_parameters() if "lora_" in name], 0.1)
    model.peft_config["default"].base_model_name_or_path = "nf4"
    save(model, folder / "adapter")
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RATE, weight_decay=0.01)
    losses = []
    for step in range(STEPS):
        loss = model(input_ids=ids[step % BATCHES], labels=ids[step % BATCHES]).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses, "logits": tensor_json(model(input_ids=ids[0]).logits.detach())}


def quantized(scratch):
    original = base()
    save(original, OUT / "base")
    original.save_pretrained(scratch)
    quantization = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.float32, bnb_4bit_quant_type="nf4")
    model = LlamaForCausalLM.from_pretrained(
        scratch, quantization_config=quantization, dtype=torch.float32, attn_implementation="eager", device_map="cpu"
    ).eval()
    torch.manual_seed(9)
    ids = torch.randint(3, 43, (BATCHES, 2, 9))
    expected = {"madeBy": MADE_BY, "inputIds": ids.tolist(), "logits": tensor_json(model(input_ids=ids[0]).logits.detach())}
    write_json(OUT / "nf4" / "expected.json", expected | {"training": train(model, ids, OUT / "nf4")})


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    weights()
    with tempfile.TemporaryDirectory() as scratch:
        quantized(Path(scratch))
