"""The workloads of run.py: models whose forward takes (inputs, targets) and gives the loss, or takes inputs alone (bert)."""
from dataclasses import dataclass
from typing import Callable

import torch
import torch.nn as nn
import torch.nn.functional as F

from gpt import GPT, adamw


class BasicBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    """The layout of torchvision's resnet18."""

    def __init__(self, classes: int):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128, 1))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256, 1))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512, 1))
        self.fc = nn.Linear(512, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(images))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return F.cross_entropy(self.fc(x.mean((2, 3))), targets)


class LSTMLanguageModel(nn.Module):
    def __init__(self, vocab: int, width: int, layers: int):
        super().__init__()
        self.embedding = nn.Embedding(vocab, width)
        self.lstm = nn.LSTM(width, width, layers, batch_first=True)
        self.head = nn.Linear(width, vocab)

    def forward(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        y, _ = self.lstm(self.embedding(inputs))
        return F.cross_entropy(self.head(y).flatten(0, 1), targets.flatten())


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))

    def forward(self, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(self.layers(inputs), targets)


class Bert(nn.Module):
    """BERT-base of transformers, random weights, without the pooler (only the last hidden state is asked for)."""

    def __init__(self):
        super().__init__()
        from transformers import BertConfig, BertModel

        self.model = BertModel(BertConfig(attn_implementation="sdpa"), add_pooling_layer=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=inputs).last_hidden_state


@dataclass
class Workload:
    batch: int
    model: Callable[[], nn.Module]
    data: Callable[[int], tuple[torch.Tensor, ...]]
    """The arguments of the model's forward, for a batch of this size."""
    optimizer: Callable[[nn.Module, bool], torch.optim.Optimizer] | None = None
    """Given the model and whether to use the fused form; none for inference."""
    clip: float | None = None


def adam(model: nn.Module, fused: bool) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused or None)


def sgd(model: nn.Module, fused: bool) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, fused=fused or None)


def tokens(vocab: int, context: int) -> Callable[[int], tuple[torch.Tensor, ...]]:
    return lambda batch: (torch.randint(vocab, (batch, context)), torch.randint(vocab, (batch, context)))


def gpt(vocab: int, width: int, heads: int, layers: int, batch: int, context: int) -> Workload:
    model = lambda: GPT(vocab, context, width, heads, layers)
    return Workload(batch, model, tokens(vocab, context), lambda model, fused: adamw(model, 1e-3, fused), 1.0)


WORKLOADS = {
    "mlp": Workload(128, MLP, lambda batch: (torch.rand(batch, 784), torch.randint(10, (batch,))), adam),
    "resnet18": Workload(32, lambda: ResNet18(200), lambda batch: (torch.randn(batch, 3, 64, 64), torch.randint(200, (batch,))), sgd),
    "lstm": Workload(32, lambda: LSTMLanguageModel(10000, 256, 2), tokens(10000, 64), adam, 1.0),
    "bert": Workload(8, Bert, lambda batch: (torch.randint(30522, (batch, 128)),)),
    "gpt-S": gpt(vocab=65, width=128, heads=4, layers=4, batch=12, context=64),
    "gpt-M": gpt(vocab=65, width=384, heads=6, layers=6, batch=12, context=256),
    "gpt-L": gpt(vocab=8192, width=512, heads=8, layers=8, batch=4, context=512),
}
