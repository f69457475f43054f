"""Makes golden/models/<case>/: a tiny random model of each family and head as transformers saves it, and what it answers.

expected.json has "runs" (inputs and outputs), "loss" (inputs with labels, and the value) and "greedy" (prompts and the ids
that generate gives); gradients.safetensors has the loss' gradient for every parameter.

    python golden/make_models.py [case ...]
"""

import importlib
import pkgutil
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers.core_model_loading import revert_weight_conversion

import families
from common import GOLDEN, floats, made_by, write_json

NEW_TOKENS = 12
LEAST_LEAD = 0.01
DTYPES = {torch.float32: "f32", torch.int64: "i32", torch.bool: "bool", torch.int32: "i32"}


def pack(tensor):
    """A tensor as {"dtype", "shape", "data"}."""
    tensor = torch.as_tensor(tensor).detach()
    data = floats(tensor) if tensor.dtype == torch.float32 else [int(x) for x in tensor.flatten()]
    return {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data": data}


def packed(inputs):
    """All inputs; the objects of images, a dict for each, as class_labels and boxes that are filled up with the class -1."""
    inputs = dict(inputs)
    if isinstance(inputs.get("labels"), list):
        for key, filling in [("class_labels", -1), ("boxes", 0.0)]:
            inputs[key] = torch.nn.utils.rnn.pad_sequence([labels[key] for labels in inputs["labels"]], batch_first=True, padding_value=filling)
        del inputs["labels"]
    return {key: pack(value) for key, value in inputs.items()}


def pick(result, path):
    """"hidden_states.1" of a result."""
    for part in path.split("."):
        result = result[int(part)] if part.isdigit() else getattr(result, part)
    return result


def redraw(model, scale):
    """No bias or norm stays at its trivial start."""
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue  # fixed sinusoids
            parameter.normal_(std=scale)
            if parameter.ndim == 1 and "bias" not in key:
                parameter.add_(1)
        for key, buffer in model.named_buffers():
            if key.endswith("running_mean"):
                buffer.normal_(std=scale)
            elif key.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
            elif key.endswith("normalization.bias"):  # a frozen batch norm has its weights as buffers
                buffer.normal_(std=scale)
            elif key.endswith("normalization.weight"):
                buffer.normal_(std=scale).add_(1)


@torch.no_grad()
def greedy_run(model, inputs):
    result = model.generate(
        **inputs, do_sample=False, num_beams=1, max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, output_scores=True, return_dict_in_generate=True
    )
    for scores in result.scores:
        top = scores[0].topk(2).values
        if (top[0] - top[1]).item() < LEAST_LEAD:
            raise SystemExit("a greedy choice is too close: take another seed or prompt")
    return {"inputs": {key: pack(value) for key, value in inputs.items()}, "outputIds": result.sequences[0].tolist()}


def make(name, case, seed):
    torch.manual_seed(seed)
    if callable(case):
        case = case()
    model = case.build(case.config).eval()
    redraw(model, case.scale)
    if hasattr(model, "tie_weights"):
        model.tie_weights()
    folder = GOLDEN / "models" / name
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)

    runs = []
    for inputs in case.runs:
        with torch.no_grad():
            result = model(**inputs)
        outputs = {path: pack(pick(result, path)) for path in case.outputs}
        runs.append({"inputs": {key: pack(value) for key, value in inputs.items()}, "outputs": outputs})
    expected = {"madeBy": made_by(__file__), "runs": runs}
    if case.loss:
        inputs = case.loss
        if case.double:
            model = model.double()
            inputs = {key: value.double() if value.is_floating_point() else value for key, value in inputs.items()}
        loss = model(**inputs).loss
        loss.backward()
        gradients = {key: p.grad.float().contiguous() for key, p in model.named_parameters(remove_duplicate=False) if p.grad is not None}
        gradients = revert_weight_conversion(model, gradients)
        saved = load_file(folder / "model.safetensors")  # the checkpoint's names, also of tied parameters
        save_file({key: gradients[key] for key in saved if key in gradients}, folder / "gradients.safetensors")
        expected["loss"] = {"inputs": packed(case.loss), "value": loss.item()}
    if case.greedy:
        expected["greedy"] = [greedy_run(model, inputs) for inputs in case.greedy]
    write_json(folder / "expected.json", expected)
    print(name, sum(p.numel() for p in model.parameters()), "parameters")


if __name__ == "__main__":
    cases = {}
    for module in pkgutil.iter_modules(families.__path__):
        cases |= getattr(importlib.import_module(f"families.{module.name}"), "CASES", {})
    chosen = sys.argv[1:] or list(cases)
    for name in chosen:
        make(name, cases[name], seed=sum(name.encode()) + 7000)
