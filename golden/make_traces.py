"""Makes golden/train/traces.json: 20 steps of training on one batch of each golden model that has a loss, as PyTorch does them.

A case of golden/models is trained on the batch of its "loss", one of golden/decoders on its first batch. Dropout is off;
everything else is as in training: batch norms use the batch's statistics and move their own.

    python golden/make_traces.py [case ...]
"""

import json
import sys

import torch
import transformers

from common import GOLDEN, floats, made_by, write_json

STEPS = 20
# MobileNetV2's tiny model is chaotic: PyTorch's own losses in float32 and float64 differ by 5 % after 5 steps.
CHAOTIC = {"models/mobilenet-v2-image-classification"}
EAGER = dict(attn_implementation="eager", experts_implementation="eager")
# With a smaller epsilon Adam moves weights whose gradient is rounding alone, which differs, as far as all others.
ADAMW = {"learningRate": 3e-3, "betas": [0.9, 0.95], "epsilon": 1e-4, "weightDecay": 0.1, "gradientClip": 1.0}
SGD = {"learningRate": 0.01, "momentum": 0.9, "weightDecay": 0.0, "gradientClip": 1.0}


def without_dropout(config):
    """Sets what is dropped to 0, in parts too."""
    for part in [config, *(value for value in vars(config).values() if isinstance(value, transformers.PretrainedConfig))]:
        for key in vars(part):
            if ("drop" in key or key.endswith("pdrop")) and isinstance(getattr(part, key), float):
                setattr(part, key, 0.0)
    return config


def tensor_of(name, packed):
    data = torch.tensor(packed["data"], dtype={"f32": torch.float32, "bool": torch.bool}.get(packed["dtype"], torch.int64))
    return data.reshape(packed["shape"])


def batch_of_model(expected):
    batch = {name: tensor_of(name, packed) for name, packed in expected["loss"]["inputs"].items()}
    if "class_labels" in batch:
        classes, boxes = batch.pop("class_labels"), batch.pop("boxes")
        batch["labels"] = [{"class_labels": c[c >= 0], "boxes": b[c >= 0]} for c, b in zip(classes, boxes)]
    return {name: value.item() if torch.is_tensor(value) and value.dtype == torch.bool and value.ndim == 0 else value for name, value in batch.items()}


def batch_of_decoder(expected):
    ids = torch.tensor(expected["batches"][0]["inputIds"])
    return {"input_ids": ids, "labels": ids}


def trace(folder, batch, optimizer):
    config = without_dropout(transformers.AutoConfig.from_pretrained(folder))
    model_class = getattr(transformers, json.loads((folder / "config.json").read_text())["architectures"][0])
    model = model_class.from_pretrained(folder, config=config, **EAGER).float().train()
    # fixed sinusoids are trained after from_pretrained of transformers 5, which forgets what the class says; so is DETR's
    # whole backbone, as here
    for key, parameter in model_class._from_config(config, **EAGER).named_parameters():
        if "backbone" not in key:
            model.get_parameter(key).requires_grad_(parameter.requires_grad)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if optimizer == "adamw":
        groups = [
            {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": ADAMW["weightDecay"]},
            {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
        ]
        step = torch.optim.AdamW(groups, lr=ADAMW["learningRate"], betas=ADAMW["betas"], eps=ADAMW["epsilon"])
    else:
        step = torch.optim.SGD(parameters, lr=SGD["learningRate"], momentum=SGD["momentum"])
    losses = []
    for _ in range(STEPS):
        loss = model(**batch).loss
        step.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, ADAMW["gradientClip"])
        step.step()
        losses.append(loss.item())
    return floats(losses)


def cases():
    """(name, folder, batch) of each golden model with a loss."""
    for kind, batch_of in [("models", batch_of_model), ("decoders", batch_of_decoder)]:
        for folder in sorted((GOLDEN / kind).iterdir()):
            expected = json.loads((folder / "expected.json").read_text())
            is_trained = kind == "decoders" or "loss" in expected
            if is_trained and f"{kind}/{folder.name}" not in CHAOTIC:
                yield f"{kind}/{folder.name}", folder, batch_of(expected)


def main():
    path = GOLDEN / "train" / "traces.json"
    only = sys.argv[1:]
    traces = json.loads(path.read_text())["traces"] if only and path.exists() else {}
    for name, folder, batch in cases():
        if only and name not in only:
            continue
        traces[name] = {kind: trace(folder, batch, kind) for kind in ["adamw", "sgd"]}
        print(name, *(f"{kind} {losses[0]:.3f} {losses[-1]:.3f}" for kind, losses in traces[name].items()))
    write_json(path, {"madeBy": made_by(__file__), "adamw": ADAMW, "sgd": SGD, "traces": dict(sorted(traces.items()))})


if __name__ == "__main__":
    main()
