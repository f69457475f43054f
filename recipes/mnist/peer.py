"""The same network, data, augmentation and schedule in PyTorch: prints the share of the test pictures, and the time.

    python recipes/mnist/peer.py [--epochs 5] [--seed 0]
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torchvision.transforms import v2

DATA = Path(__file__).parent / "data"


def read(part):
    images = np.frombuffer((DATA / f"{part}-images-idx3-ubyte").read_bytes(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    labels = np.frombuffer((DATA / f"{part}-labels-idx1-ubyte").read_bytes(), np.uint8, offset=8)
    return torch.from_numpy(images.copy()), torch.from_numpy(labels.astype(np.int64))


def network(sizes=(16, 32, 64), depths=(1, 2, 2)):
    layers, before = [], 1
    for size, depth in zip(sizes, depths):
        for _ in range(depth):
            layers += [nn.Conv2d(before, size, 3, padding=1, bias=False), nn.BatchNorm2d(size), nn.ReLU()]
            before = size
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 10))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    train, labels = read("train")
    test, answers = read("test")
    started = time.time()
    model = network()
    batch = 128
    per_epoch = -(-len(train) // batch)
    steps = args.steps or args.epochs * per_epoch
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps, cycle_momentum=False)
    augment = v2.RandomAffine(6, translate=(0.06, 0.06), scale=(0.92, 1.08))
    normalise = lambda x: (x.float() / 255 - 0.1307) / 0.3081
    order = torch.randperm(len(train))
    for step in range(steps):
        if step % per_epoch == 0:
            order = torch.randperm(len(train))
        rows = order[(step % per_epoch) * batch : (step % per_epoch + 1) * batch]
        pictures = normalise(torch.stack([augment(train[i]) for i in rows]))
        loss = nn.functional.cross_entropy(model(pictures), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        right = sum((model(normalise(part)).argmax(1) == answer).sum().item() for part, answer in zip(test.split(1000), answers.split(1000)))
    print(json.dumps({"accuracy": right / len(test), "trainingSeconds": time.time() - started}))


main()
