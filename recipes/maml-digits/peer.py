"""The same tasks, network and algorithm in PyTorch: MAML of second order. Prints the accuracy on held-out classes.

    python recipes/maml-digits/peer.py [--steps 2000] [--seed 0]
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

DATA = Path(__file__).parent / "data"
WAYS, SHOTS, QUERIES, TASKS, RATE, INNER, HELD_OUT, MEASURED = 5, 1, 5, 4, 0.2, 3, 10, 50


def network(sizes=(32, 32, 32)):
    layers, before = [], 1
    for size in sizes:
        layers += [nn.Conv2d(before, size, 3, padding=1, bias=False), nn.GroupNorm(1, size), nn.ReLU(), nn.MaxPool2d(2)]
        before = size
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, WAYS))


def task(classes, rng):
    chosen = rng.choice(len(classes), WAYS, replace=False)
    pictures = [classes[c][rng.choice(len(classes[c]), SHOTS + QUERIES, replace=False)] for c in chosen]
    labels = torch.arange(WAYS)
    support = torch.cat([each[:SHOTS] for each in pictures]), labels.repeat_interleave(SHOTS)
    query = torch.cat([each[SHOTS:] for each in pictures]), labels.repeat_interleave(QUERIES)
    return support, query


def adapted(model, support, create_graph):
    values = dict(model.named_parameters())
    for _ in range(INNER):
        loss = nn.functional.cross_entropy(functional_call(model, values, (support[0],)), support[1])
        gradients = torch.autograd.grad(loss, list(values.values()), create_graph=create_graph)
        values = {name: value - RATE * gradient for (name, value), gradient in zip(values.items(), gradients)}
    return values


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    images = np.frombuffer((DATA / "train-images-idx3-ubyte").read_bytes(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    labels = np.frombuffer((DATA / "train-labels-idx1-ubyte").read_bytes(), np.uint8, offset=8)
    pictures = (torch.from_numpy(images.copy()).float() / 255 - 0.1307) / 0.3081
    classes = [pictures[torch.from_numpy(labels == c)] for c in rng.permutation(40)]
    held_out, learned = classes[:HELD_OUT], classes[HELD_OUT:]
    model = network()
    started = time.time()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.steps)
    for _ in range(args.steps):
        losses = []
        for _ in range(TASKS):
            support, query = task(learned, rng)
            values = adapted(model, support, create_graph=True)
            losses.append(nn.functional.cross_entropy(functional_call(model, values, (query[0],)), query[1]))
        optimizer.zero_grad()
        torch.stack(losses).mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        schedule.step()
    right = []
    for _ in range(MEASURED * TASKS):
        support, query = task(held_out, rng)
        values = adapted(model, support, create_graph=False)
        right.append((functional_call(model, values, (query[0],)).argmax(1) == query[1]).float().mean().item())
    print(json.dumps({"accuracy": float(np.mean(right)), "trainingSeconds": time.time() - started}))


main()
