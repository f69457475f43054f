"""Fine-tuning steps by transformers and peft on request, so that another program can interleave its own.

A step is forward, backward, clip and AdamW. Requests, a line each: "step N" gives {"times_ms": [...], "losses": [...]},
"memory" gives {"peakRssBytes": n}, "quit" ends. Cases and batches are those of bench/finetune-cases.mjs.
"""

import argparse
import json
import pathlib
import resource
import sys
import time
import warnings

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
)

parser = argparse.ArgumentParser()
parser.add_argument("case")
parser.add_argument("--smallest", action="store_true")
parser.add_argument("--threads", type=int, default=2)
args = parser.parse_args()

warnings.filterwarnings("ignore", category=FutureWarning)  # of transformers, about its own names
torch.set_num_threads(args.threads)
torch.manual_seed(0)
file = json.loads((pathlib.Path(__file__).parent.parent / "finetune-cases.json").read_text())
case = file["smallest" if args.smallest else "cases"][args.case]
described = file["configs"][case["config"]]
task, settings = described["task"], dict(described["json"])
batch_size, length = case["batchSize"], case["length"]
RANK = 16

classes = {
    "causal-lm": AutoModelForCausalLM,
    "sequence-classification": AutoModelForSequenceClassification,
    "image-classification": AutoModelForImageClassification,
}


def numbers(count: int, step: int) -> torch.Tensor:
    return (torch.arange(count, dtype=torch.int64) * 7919 + step * 104729) % 1000003


def data(step: int) -> dict:
    if task == "image-classification":
        pixels = numbers(batch_size * 3 * length * length, step).to(torch.float32) / 1000003 - 0.5
        return {
            "pixel_values": pixels.reshape(batch_size, 3, length, length),
            "labels": (torch.arange(batch_size) + step) % 10,
        }
    ids = (numbers(batch_size * length, step) % settings["vocab_size"]).reshape(batch_size, length)
    if task == "causal-lm":
        return {"input_ids": ids, "labels": ids}
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "labels": (torch.arange(batch_size) + step) % 2,
    }


def build() -> tuple[torch.nn.Module, str]:
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    config.use_cache = False
    model = classes[task].from_config(config)
    if case["way"] == "full":
        return model, "transformers"
    from peft import LoraConfig, get_peft_model

    name = "peft LoRA"
    if case["way"] == "qlora":
        try:
            import bitsandbytes as bnb

            quantize(model, bnb)
            name = "peft QLoRA (bitsandbytes)"
        except ImportError:
            model = model.to(torch.bfloat16)
            name = "peft LoRA on bf16"
    adapter = LoraConfig(r=RANK, lora_alpha=RANK, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(model, adapter), name


def quantize(model: torch.nn.Module, bnb) -> None:
    """Puts linear layers but the output into 4 bits, as transformers does when it loads with bitsandbytes."""
    for module in list(model.modules()):
        for field, layer in list(module.named_children()):
            if not isinstance(layer, torch.nn.Linear) or field == "lm_head":
                continue
            small = bnb.nn.Linear4bit(
                layer.in_features, layer.out_features, layer.bias is not None, torch.float32, quant_type="nf4"
            )
            small.weight = bnb.nn.Params4bit(layer.weight.data, requires_grad=False, quant_type="nf4")
            setattr(module, field, small.to("cpu"))


model, name = build()
model.train()
trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.01)


def step(inputs: dict) -> float:
    loss = model(**inputs).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.item()


def answer(value: dict) -> None:
    print(json.dumps(value), flush=True)


answer({"ready": True, "name": name, "torch": torch.__version__})
done = 0
for line in sys.stdin:
    words = line.split()
    if words[0] == "step":
        times, losses = [], []
        for _ in range(int(words[1])):
            inputs = data(done)
            started = time.perf_counter()
            losses.append(step(inputs))
            times.append((time.perf_counter() - started) * 1000)
            done += 1
        answer({"times_ms": times, "losses": losses})
    elif words[0] == "memory":
        answer({"peakRssBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024})
    else:
        break
