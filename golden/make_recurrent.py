"""Makes golden/recurrent/: recurrent layers and the Transformer of 2017 as PyTorch has them.

<kind>.json has cases of torch.nn.RNN, LSTM and GRU: "options" of the module (always batch_first), its "weights", "inputs" x
[B, T, I] and perhaps initial states h0, c0 [layers * directions, B, H], "lengths" of the rows if they are packed, and what
comes out: "output" [B, T, directions * H], zero after the end of a row, and the last states "h_n", "c_n". "gradients" are
those of the sum of every output times its entry of "weightings".

transformer/ has a torch.nn.Transformer: model.safetensors, expected.json with inputs and outputs, gradients.safetensors
with the gradients of its first run.

    python golden/make_recurrent.py
"""

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from common import GOLDEN, made_by, tensor_json, write_json

FOLDER = GOLDEN / "recurrent"
BATCH, LENGTH, INPUT, HIDDEN = 3, 4, 2, 3
LENGTHS = [3, 4, 1]
KINDS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}

# (name, options of the module, with initial states, packed)
CASES = [
    ("plain", {}, False, False),
    ("two-layers", {"num_layers": 2}, True, False),
    ("no-bias", {"bias": False}, True, False),
    ("bidirectional", {"num_layers": 2, "bidirectional": True}, True, False),
    ("packed", {}, False, True),
    ("packed-bidirectional", {"num_layers": 2, "bidirectional": True}, True, True),
]
MORE = {
    "rnn": [("relu", {"nonlinearity": "relu", "num_layers": 2}, True, False)],
    "lstm": [
        ("projection", {"proj_size": 2, "num_layers": 2}, True, False),
        ("projection-packed-bidirectional", {"proj_size": 2, "bidirectional": True}, True, True),
    ],
    "gru": [],
}


def draw(*shape, largest=0.9):
    """Random numbers with two decimals, so that the files stay small."""
    return torch.randint(round(-100 * largest), round(100 * largest) + 1, shape) / 100


def redraw(module, largest):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(draw(*parameter.shape, largest=largest))


def tensors(values):
    return {name: tensor_json(value) for name, value in values.items()}


def recurrent(kind, name, options, initial, packed):
    torch.manual_seed(sum(f"{kind} {name}".encode()))
    options = {"input_size": INPUT, "hidden_size": HIDDEN, **options}
    module = KINDS[kind](**options, batch_first=True)
    redraw(module, largest=0.9)
    inputs = {"x": draw(BATCH, LENGTH, INPUT, largest=2)}
    if initial:
        states = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
        inputs["h0"] = draw(states, BATCH, options.get("proj_size") or HIDDEN)
        if kind == "lstm":
            inputs["c0"] = draw(states, BATCH, HIDDEN)
    for value in inputs.values():
        value.requires_grad_()

    start = (inputs["h0"], inputs["c0"]) if "c0" in inputs else inputs.get("h0")
    if packed:
        output, last = module(pack_padded_sequence(inputs["x"], torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False), start)
        output, _ = pad_packed_sequence(output, batch_first=True, total_length=LENGTH)
    else:
        output, last = module(inputs["x"], start)
    outputs = {"output": output} | dict(zip(["h_n", "c_n"], last if kind == "lstm" else [last]))
    weightings = {key: draw(*value.shape) for key, value in outputs.items()}
    sum((value * weightings[key]).sum() for key, value in outputs.items()).backward()
    weights = dict(module.named_parameters())
    return {
        "name": name,
        "options": options,
        "lengths": LENGTHS if packed else None,
        "weights": tensors(weights),
        "inputs": tensors(inputs),
        "outputs": tensors(outputs),
        "weightings": tensors(weightings),
        "gradients": tensors({key: value.grad for key, value in (inputs | weights).items()}),
    }


TRANSFORMER = dict(d_model=8, nhead=2, num_encoder_layers=2, num_decoder_layers=2, dim_feedforward=12, layer_norm_eps=1e-5, norm_first=False)
SOURCE, TARGET = 5, 4


def padding(lengths, length):
    """True where a row has ended."""
    return torch.arange(length) >= torch.tensor(lengths)[:, None]


def transformer():
    torch.manual_seed(2017)
    module = nn.Transformer(**TRANSFORMER, dropout=0.0, activation="relu", batch_first=True)
    redraw(module, largest=0.5)
    with torch.no_grad():
        for key, parameter in module.named_parameters():
            if "norm" in key and key.endswith("weight"):
                parameter.add_(1)
    causal = torch.ones(TARGET, TARGET, dtype=torch.bool).triu(1)
    ended = padding([5, 3], SOURCE)
    runs = [
        {"tgt_mask": causal, "src_key_padding_mask": ended, "memory_key_padding_mask": ended, "tgt_key_padding_mask": padding([2, 4], TARGET)},
        # True masks a place; numbers are added to the scores.
        {"src_mask": torch.eye(SOURCE, dtype=torch.bool).roll(1, 0), "tgt_mask": draw(TARGET, TARGET, largest=2), "memory_mask": torch.eye(TARGET, SOURCE, dtype=torch.bool)},
        {},
    ]
    written, gradients = [], None
    for masks in runs:
        inputs = {"src": draw(2, SOURCE, 8, largest=2).requires_grad_(), "tgt": draw(2, TARGET, 8, largest=2).requires_grad_()}
        output = module(**inputs, **masks)
        weighting = draw(*output.shape)
        if "tgt_key_padding_mask" in masks:
            weighting[masks["tgt_key_padding_mask"]] = 0
        if gradients is None:
            (output * weighting).sum().backward()
            gradients = {key: parameter.grad for key, parameter in (inputs | dict(module.named_parameters())).items()}
        masks = {key: {"dtype": "bool" if mask.dtype == torch.bool else "f32", **tensor_json(mask.float())} for key, mask in masks.items()}
        written.append({"inputs": tensors(inputs), "masks": masks, "output": tensor_json(output), "weighting": tensor_json(weighting)})
    folder = FOLDER / "transformer"
    folder.mkdir(parents=True, exist_ok=True)
    save_file(module.state_dict(), folder / "model.safetensors")
    save_file(gradients, folder / "gradients.safetensors")
    write_json(folder / "expected.json", {"madeBy": made_by(__file__), "options": TRANSFORMER, "runs": written})


if __name__ == "__main__":
    for kind in KINDS:
        cases = [recurrent(kind, *case) for case in CASES + MORE[kind]]
        write_json(FOLDER / f"{kind}.json", {"madeBy": made_by(__file__), "cases": cases})
    transformer()
