"""Makes golden/train/meta.json: MAML, Reptile and prototypical networks on two tasks, as PyTorch computes them.

The gradient of MAML goes through torch.func.functional_call and torch.autograd.grad with create_graph. Also makes
golden/train/digits.json: pictures of handwritten digits.

    python golden/make_meta.py
"""

import base64

import sklearn
import torch
from sklearn.datasets import load_digits
from torch.func import functional_call

from common import GOLDEN, floats, write_json

SIZES = [3, 5, 2]
RATE, STEPS = 0.3, 2


def network():
    torch.manual_seed(4)
    model = torch.nn.Sequential(torch.nn.Linear(*SIZES[:2]), torch.nn.Tanh(), torch.nn.Linear(*SIZES[1:]))
    # the names of Kindling's Mlp
    return model, {"0.weight": "layers.0.weight", "0.bias": "layers.0.bias", "2.weight": "layers.1.weight", "2.bias": "layers.1.bias"}


def tasks():
    for _ in range(2):
        yield {
            "support": (torch.randn(4, 3), torch.tensor([0, 0, 1, 1])),
            "query": (torch.randn(6, 3), torch.tensor([0, 0, 0, 1, 1, 1])),
        }


def loss_of(model, parameters, examples):
    inputs, labels = examples
    logits = functional_call(model, parameters, (inputs,))
    return torch.nn.functional.cross_entropy(logits, labels), (logits.argmax(-1) == labels).float().mean()


def adapted(model, parameters, support, create_graph):
    for _ in range(STEPS):
        loss, _ = loss_of(model, parameters, support)
        gradients = torch.autograd.grad(loss, list(parameters.values()), create_graph=create_graph)
        parameters = {name: value - RATE * gradient for (name, value), gradient in zip(parameters.items(), gradients)}
    return parameters


def gradients_of(loss, model, names):
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return {names[name]: floats(value) for (name, _), value in zip(model.named_parameters(), gradients)}


def maml(model, names, episodes, second_order):
    losses, accuracies = [], []
    for episode in episodes:
        parameters = adapted(model, dict(model.named_parameters()), episode["support"], second_order)
        loss, accuracy = loss_of(model, parameters, episode["query"])
        losses.append(loss)
        accuracies.append(accuracy)
    loss = torch.stack(losses).mean()
    return {"loss": loss.item(), "accuracy": torch.stack(accuracies).mean().item(), "gradients": gradients_of(loss, model, names)}


def reptile(model, names, episodes):
    pulls = {name: torch.zeros_like(value) for name, value in model.named_parameters()}
    for episode in episodes:
        copy = network()[0]
        copy.load_state_dict(model.state_dict())
        optimizer = torch.optim.SGD(copy.parameters(), lr=RATE)
        inputs, labels = episode["support"]
        for _ in range(STEPS):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(copy(inputs), labels).backward()
            optimizer.step()
        for name, value in copy.named_parameters():
            pulls[name] += (dict(model.named_parameters())[name] - value).detach() / len(episodes)
    return {"gradients": {names[name]: floats(value) for name, value in pulls.items()}}


def prototypical(model, names, episodes):
    losses, accuracies = [], []
    for episode in episodes:
        vectors = model(episode["support"][0])
        prototypes = torch.stack([vectors[episode["support"][1] == label].mean(0) for label in [0, 1]])
        logits = -torch.cdist(model(episode["query"][0]), prototypes).square()
        labels = episode["query"][1]
        losses.append(torch.nn.functional.cross_entropy(logits, labels))
        accuracies.append((logits.argmax(-1) == labels).float().mean())
    loss = torch.stack(losses).mean()
    return {"loss": loss.item(), "accuracy": torch.stack(accuracies).mean().item(), "gradients": gradients_of(loss, model, names)}


def convolutional():
    """Second order through convolution, batch norm with the batch's statistics, and max pooling."""
    torch.manual_seed(6)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3, padding=1), torch.nn.BatchNorm2d(3, track_running_stats=False), torch.nn.ReLU(),
        torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, 2),
    )
    names = {f"{index}.{kind}": f"{field}.{kind}" for index, field in [(0, "conv"), (1, "norm"), (5, "head")] for kind in ["weight", "bias"]}
    episode = {"support": (torch.randn(4, 1, 4, 4), torch.tensor([0, 0, 1, 1])), "query": (torch.randn(4, 1, 4, 4), torch.tensor([0, 0, 1, 1]))}
    return {
        "parameters": parameters_of(model, names),
        "episodes": [packed(episode)],
        "maml": maml(model, names, [episode], True),
    }


def parameters_of(model, names):
    return {names[name]: {"shape": list(value.shape), "data": floats(value)} for name, value in model.named_parameters()}


def packed(episode):
    return {part: {"inputs": inputs.tolist(), "labels": labels.tolist()} for part, (inputs, labels) in episode.items()}


def digits(examples=24):
    """The first pictures of each class, 8 x 8 with values from 0 to 16."""
    data = load_digits()
    classes = [data.images[data.target == label][:examples].astype("uint8") for label in range(10)]
    return [base64.b64encode(images.tobytes()).decode() for images in classes]


def main():
    model, names = network()
    episodes = list(tasks())
    versions = f"golden/make_meta.py, torch {torch.__version__.split('+')[0]}"
    write_json(
        GOLDEN / "train" / "meta.json",
        {
            "madeBy": versions,
            "sizes": SIZES,
            "innerRate": RATE,
            "innerSteps": STEPS,
            "parameters": parameters_of(model, names),
            "episodes": [packed(episode) for episode in episodes],
            "maml": maml(model, names, episodes, True),
            "firstOrder": maml(model, names, episodes, False),
            "reptile": reptile(model, names, episodes),
            "prototypical": prototypical(model, names, episodes),
            "convolutional": convolutional(),
        },
    )
    write_json(
        GOLDEN / "train" / "digits.json",
        {
            "madeBy": f"golden/make_meta.py, scikit-learn {sklearn.__version__}",
            "source": "Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak 1998, UCI Machine Learning Repository, CC BY 4.0",
            "classes": digits(),
        },
    )


if __name__ == "__main__":
    main()
