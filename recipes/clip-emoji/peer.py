"""The same pairs and sizes with transformers' CLIPModel in PyTorch, by the tokenizer that the run here has trained.

    python recipes/clip-emoji/peer.py runs/clip-emoji [--epochs 30] [--seed 0] [--language en]
"""

import argparse
import json
import math
import time
from pathlib import Path

import torch
from PIL import Image
from torchvision.transforms import v2
from transformers import AutoTokenizer, CLIPConfig, CLIPModel

DATA = Path(__file__).parent / "data"
LENGTH, BATCH, RATE, WARMUP = 32, 128, 1e-3, 0.03


def rows(name):
    found = [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]
    pictures = []
    for row in found:
        picture = Image.open(DATA / row["image"]).convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        pictures.append(v2.functional.pil_to_tensor(Image.alpha_composite(white, picture).convert("RGB").resize((64, 64))))
    texts = [row["text"] if isinstance(row["text"], list) else [row["text"]] for row in found]
    return torch.stack(pictures), texts


def recalls(name, similarity):
    places = (similarity > similarity.diagonal()[:, None]).sum(1)
    return {f"{name}RecallAt{k}": (places < k).float().mean().item() for k in (1, 5, 10)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--language", default="en")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    tokenizer = AutoTokenizer.from_pretrained(Path(args.run) / "model")
    model = CLIPModel(CLIPConfig.from_pretrained(Path(args.run) / "model"))
    pictures, texts = rows("train.jsonl")
    encode = lambda batch: tokenizer(batch, padding=True, truncation=True, max_length=LENGTH, return_tensors="pt")
    normalise = lambda x: x.float() / 127.5 - 1
    augment = v2.Compose([v2.RandomAffine(10, translate=(0.06, 0.06), scale=(0.9, 1.1), fill=255), v2.ColorJitter(0.1, 0.1)])
    started = time.time()
    steps = args.steps or args.epochs * math.ceil(len(texts) / BATCH)
    warmup = round(WARMUP * steps)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.1)
    factor = lambda step: (step + 1) / (warmup + 1) if step < warmup else 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    for _ in range(steps):
        chosen = torch.randperm(len(texts))[:BATCH]
        captions = [texts[i][torch.randint(len(texts[i]), ()).item()] for i in chosen]
        pixels = normalise(torch.stack([augment(pictures[i]) for i in chosen]))
        loss = model(**encode(captions), pixel_values=pixels, return_loss=True).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(100))
    model.eval()
    measured, names = rows(f"validation-{args.language}.jsonl")
    with torch.no_grad():
        similarity = model(**encode([name[0] for name in names]), pixel_values=normalise(measured)).logits_per_text
    found = recalls("textToImage", similarity) | recalls("imageToText", similarity.T)
    print(json.dumps(found | {"trainingSeconds": time.time() - started}))


main()
