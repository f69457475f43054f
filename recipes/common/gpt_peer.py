"""A small GPT-2 of transformers on the texts of a recipe: the same tokenizer, packing, sizes and steps.

    python recipes/gpt-sotu/peer.py runs/gpt-sotu --seed 0 --steps 2000
"""

import argparse
import hashlib
import json
import math
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import GPT2Config, GPT2LMHeadModel


def is_kept(group, share):
    """Kindling's split: by a hash of what stays together."""
    place = int.from_bytes(hashlib.sha256(f"0 {group}".encode()).digest()[:6], "big")
    return place / 2**48 < share


def packed(documents, length):
    """Best-fit decreasing: rows of pieces of documents."""
    pieces = [ids[start : start + length] for ids in documents for start in range(0, len(ids), length)]
    open_rows, rows = {}, []
    for piece in sorted(pieces, key=len, reverse=True):
        room = min((room for room in open_rows if room >= len(piece)), default=None)
        row = open_rows[room].pop() if room else []
        if not room:
            rows.append(row)
        elif not open_rows[room]:
            del open_rows[room]
        row.append(piece)
        left = (room or length) - len(piece)
        if left:
            open_rows.setdefault(left, []).append(row)
    return rows


def tensors(rows, length):
    """Ids, positions, a mask between the documents of a row, and labels."""
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    positions, segments = torch.zeros_like(ids), torch.full_like(ids, -1)
    labels = torch.full_like(ids, -100)
    for i, row in enumerate(rows):
        at = 0
        for segment, piece in enumerate(row):
            piece = torch.tensor(piece)
            end = at + len(piece)
            ids[i, at:end], positions[i, at:end] = piece, torch.arange(len(piece))
            segments[i, at:end] = segment
            labels[i, at + 1 : end] = piece[1:]
            at = end
    allowed = (segments[:, :, None] == segments[:, None, :]) & torch.ones(length, length).tril().bool()
    mask = torch.zeros(len(rows), 1, length, length).masked_fill(~allowed[:, None], torch.finfo(torch.float32).min)
    return {"input_ids": ids, "position_ids": positions, "attention_mask": mask, "labels": labels}


def main(texts, groups, share, batch_size):
    parser = argparse.ArgumentParser()
    parser.add_argument("run", help="Kindling's run, whose tokenizer is taken")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batches", type=int, default=10**9, help="most batches of the evaluation")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    tokenizer = Tokenizer.from_file(str(Path(options.run) / "tokenizer" / "tokenizer.json"))
    end, length, warmup, rate = tokenizer.token_to_id("<|endoftext|>"), 128, 60, 2e-3
    kept = [is_kept(group, share) for group in groups]
    encode = lambda part: [[*encoding.ids, end] for encoding in tokenizer.encode_batch(part)]
    measured = [text for text, is_measured in zip(texts, kept) if is_measured]
    train = packed(encode([text for text, is_measured in zip(texts, kept) if not is_measured]), length)
    documents = encode(measured)
    validation = packed(documents, length)
    sizes = dict(bos_token_id=end, eos_token_id=end, n_positions=length, n_embd=192, n_layer=4, n_head=6)
    sizes.update(vocab_size=tokenizer.get_vocab_size(), embd_pdrop=0, attn_pdrop=0, resid_pdrop=0)
    model = GPT2LMHeadModel(GPT2Config(**sizes))
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0}]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95))
    cosine = lambda step: 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, options.steps - warmup)))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: (step + 1) / (warmup + 1) if step < warmup else cosine(step)
    )
    began, order = time.time(), []
    for step in range(options.steps):
        if len(order) < batch_size:
            order += torch.randperm(len(train)).tolist()
        rows, order = [train[i] for i in order[:batch_size]], order[batch_size:]
        loss = model(**tensors(rows, length)).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        schedule.step()
    seconds = time.time() - began
    model.eval()
    nats, count = 0.0, 0
    with torch.no_grad():
        for start in range(0, min(len(validation), options.batches * batch_size), batch_size):
            batch = tensors(validation[start : start + batch_size], length)
            labels = (batch["labels"] != -100).sum().item()
            nats += model(**batch).loss.item() * labels
            count += labels
    tokens, size = sum(map(len, documents)), sum(len(text.encode()) for text in measured)
    loss = nats / count
    print(json.dumps({
        "steps": options.steps, "validationLoss": loss, "perplexity": math.exp(loss),
        "bitsPerByte": loss / math.log(2) * tokens / size,
        "tokensPerSecond": options.steps * batch_size * length / seconds,
    }))
