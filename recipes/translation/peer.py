"""Verses into Chinese: the same recipe in PyTorch, with transformers' Marian and sacrebleu, in the order of run.mjs.

    python recipes/translation/peer.py [--seed 0] [--steps N]
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path

import sacrebleu
import torch
from tokenizers import Tokenizer
from transformers import GenerationConfig, MarianConfig, MarianMTModel

FOLDER = Path(__file__).parent
sys.path.append(str(FOLDER.parent / "common"))
from training_loop import padded, rows  # noqa: E402

DATA, BATCH, RATE, LONGEST, IGNORED = FOLDER / "data", 32, 2e-3, 64, -100
parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--steps", type=int)
options = parser.parse_args()
torch.manual_seed(options.seed)
tokenizer = Tokenizer.from_file(str(DATA / "tokenizer" / "tokenizer.json"))
END, PAD = tokenizer.token_to_id("</s>"), tokenizer.token_to_id("<pad>")
encode = lambda text: tokenizer.encode(text).ids
train, test = (
    [{"source": encode(row["source"]), "target": [*encode(row["target"]), END]} for row in rows(DATA / f"{name}.jsonl")]
    for name in ("train", "test")
)
order = json.loads((DATA / f"order-{options.seed}.json").read_text())[: options.steps]
steps, warmup = len(order), round(0.1 * len(order))
sizes = dict(d_model=128, max_position_embeddings=64, vocab_size=tokenizer.get_vocab_size(), dropout=0.1)
for side in ("encoder", "decoder"):
    sizes.update({f"{side}_layers": 2, f"{side}_attention_heads": 4, f"{side}_ffn_dim": 512})
ids = dict(pad_token_id=PAD, eos_token_id=END, decoder_start_token_id=PAD, forced_eos_token_id=None)
model = MarianMTModel(MarianConfig(**sizes, **ids, activation_function="relu", scale_embedding=True))


def sources_of(examples):
    longest = max(len(example["source"]) for example in examples)
    return {
        "input_ids": padded([example["source"] for example in examples], PAD, longest),
        "attention_mask": padded([[1] * len(example["source"]) for example in examples], 0, longest),
    }


def loss_of(examples):
    targets = [example["target"] for example in examples]
    longest = max(map(len, targets))
    logits = model(
        **sources_of(examples), decoder_input_ids=padded([[PAD, *target[:-1]] for target in targets], PAD, longest)
    ).logits
    labels = padded(targets, IGNORED, longest)
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), label_smoothing=0.1)


trained = [weight for weight in model.parameters() if weight.requires_grad]  # the sines of the positions are not
decays = {True: [weight for weight in trained if weight.ndim > 1], False: [weight for weight in trained if weight.ndim < 2]}
groups = [{"params": weights, "weight_decay": 0.01 if is_matrix else 0.0} for is_matrix, weights in decays.items()]
optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98))
cosine = lambda step: 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
schedule = torch.optim.lr_scheduler.LambdaLR(
    optimizer, lambda step: (step + 1) / (warmup + 1) if step < warmup else cosine(step)
)
began = time.perf_counter()
model.train()
for step, numbers in enumerate(order, 1):
    loss = loss_of([train[i] for i in numbers])
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    schedule.step()
    if step % 20 == 0:
        print(f"step {step}: loss {loss.item():.4f}", file=sys.stderr, flush=True)
seconds = time.perf_counter() - began

model.eval()
greedy = GenerationConfig(**ids, max_new_tokens=LONGEST - 1, num_beams=1, do_sample=False)
texts = []
for i in range(0, len(test), BATCH):
    written = model.generate(**sources_of(test[i : i + BATCH]), generation_config=greedy)
    texts += [tokenizer.decode(row.tolist(), skip_special_tokens=True) for row in written]
references = [[row["target"] for row in rows(DATA / "test.jsonl")]]
bleu = sacrebleu.corpus_bleu(texts, references, tokenize="zh").score
chrf = sacrebleu.corpus_chrf(texts, references).score
print(json.dumps({"seed": options.seed, "steps": steps, "bleu": bleu, "chrf": chrf, "seconds": seconds}))
