"""Makes golden/train/: a 30-step PyTorch training run of a tiny GPT-2 to follow step by step.

init/ has the starting model (config.json, model.safetensors); trace.json has
the hyperparameters, batches, learning rates, losses and gradient norms (before clipping).

    python golden/make_trace.py
"""

import math

import torch
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel

from common import GOLDEN, floats, made_by, write_json

STEPS, BATCH, BLOCK, PERIOD, SEED = 30, 4, 32, 64, 7
OPTIONS = dict(
    maxIterations=STEPS, batchSize=BATCH, blockSize=BLOCK, warmupIterations=5,
    learningRate=3e-3, minLearningRate=3e-4, beta1=0.9, beta2=0.95, epsilon=1e-8,
    weightDecay=0.1, gradientClip=1.0,
)


def learning_rate(it):
    """Linear warmup, then a cosine down to the least rate."""
    most, least, warmup = OPTIONS["learningRate"], OPTIONS["minLearningRate"], OPTIONS["warmupIterations"]
    if it < warmup:
        return most * (it + 1) / (warmup + 1)
    turn = math.pi * (it - warmup) / (STEPS - warmup)
    return least + 0.5 * (1 + math.cos(turn)) * (most - least)


def main():
    torch.manual_seed(SEED)
    config = GPT2Config(
        vocab_size=65, n_positions=BLOCK, n_embd=32, n_layer=2, n_head=2,
        embd_pdrop=0, attn_pdrop=0, resid_pdrop=0, bos_token_id=None, eos_token_id=None,
    )
    model = GPT2LMHeadModel._from_config(config, attn_implementation="eager").train()
    folder = GOLDEN / "train"
    model.save_pretrained(folder / "init")
    (folder / "init" / "generation_config.json").unlink(missing_ok=True)

    text = torch.randint(config.vocab_size, (PERIOD,)).repeat(10)
    starts = torch.randint(len(text) - BLOCK, (STEPS, BATCH))
    inputs = torch.stack([text[s : s + BLOCK] for s in starts.ravel()]).reshape(STEPS, BATCH, BLOCK)
    targets = torch.stack([text[s + 1 : s + 1 + BLOCK] for s in starts.ravel()]).reshape(STEPS, BATCH, BLOCK)

    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": OPTIONS["weightDecay"]},
            {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
        ],
        betas=(OPTIONS["beta1"], OPTIONS["beta2"]),
        eps=OPTIONS["epsilon"],
    )
    rates, losses, norms = [learning_rate(it) for it in range(STEPS)], [], []
    for it in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = rates[it]
        logits = model(inputs[it]).logits
        loss = F.cross_entropy(logits.reshape(-1, config.vocab_size), targets[it].ravel())
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, OPTIONS["gradientClip"]).item())
        optimizer.step()
        losses.append(loss.item())

    write_json(folder / "trace.json", {
        "madeBy": made_by(__file__),
        "hyperparameters": {**OPTIONS, "weightDecayOn": "tensors of two or more dimensions"},
        "inputs": inputs.tolist(),
        "targets": targets.tolist(),
        "learningRates": rates,
        "losses": floats(losses),
        "gradNorms": floats(norms),
    })


if __name__ == "__main__":
    main()
