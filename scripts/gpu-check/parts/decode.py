"""Prefill and decode of the Llama of decode.mjs with transformers on the card, in f32, f16 and bf16, eager."""
import json
import statistics
import sys
import time

import torch
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

SMALLEST = "--smallest" in sys.argv
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu" and not SMALLEST:
    raise SystemExit("this PyTorch sees no card")
torch.backends.cuda.matmul.allow_tf32 = False
PROMPT, TOKENS = (8, 4) if SMALLEST else (512, 64)
sizes = dict(vocab_size=32000, hidden_size=2048, intermediate_size=5632, num_hidden_layers=22, num_attention_heads=32, num_key_value_heads=4)
if SMALLEST:
    sizes = dict(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1)
result = {"torch": torch.__version__}


def finish() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()


@torch.inference_mode()
def measure(dtype: torch.dtype) -> dict:
    torch.manual_seed(0)
    with torch.device(DEVICE):
        model = LlamaForCausalLM(LlamaConfig(**sizes, max_position_embeddings=2048, attn_implementation="sdpa")).to(dtype).eval()

    def run() -> tuple[float, list[float]]:
        cache = DynamicCache()
        ids = torch.randint(sizes["vocab_size"], (1, PROMPT), device=DEVICE)
        times = []
        for _ in range(TOKENS):
            finish()
            started = time.perf_counter()
            logits = model(input_ids=ids, past_key_values=cache, logits_to_keep=1).logits
            ids = logits[:, -1:].argmax(-1)
            ids.item()
            times.append(time.perf_counter() - started)
        return times[0], times[1:]

    run()
    prefill, tokens = run()
    return {"prefillTokensPerSecond": PROMPT / prefill, "decodeTokensPerSecond": 1 / statistics.median(tokens)}


for name in ("f32", "float16", "bfloat16"):
    try:
        result[name] = measure(getattr(torch, {"f32": "float32"}.get(name, name)))
    except Exception as cause:
        result[name] = {"failure": str(cause)[:300]}
    print("@result " + json.dumps(result), flush=True)
print("@result " + json.dumps({**result, "isComplete": True}), flush=True)
