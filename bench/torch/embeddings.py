"""Vectors of sentences by sentence-transformers, and the same model as ONNX for transformers.js.

  embeddings.py encode MODEL SENTENCES ROUNDS   prints {"ms": [...], "first": [...]}
  embeddings.py export MODEL FILE
"""

import json
import sys
import time

import torch

torch.set_num_threads(2)


def encode(folder: str, sentences_file: str, rounds: str) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder, device="cpu")
    with open(sentences_file) as file:
        sentences = json.load(file)
    model.encode(sentences[:64])
    times = []
    for _ in range(int(rounds)):
        start = time.perf_counter()
        vectors = model.encode(sentences)
        times.append(1000 * (time.perf_counter() - start))
    print(json.dumps({"ms": times, "first": vectors[0][:4].tolist()}))


def export(folder: str, file: str) -> None:
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    names = ["input_ids", "attention_mask", "token_type_ids"]
    example = torch.ones((2, 8), dtype=torch.int64)
    axes = {name: {0: "batch", 1: "length"} for name in [*names, "last_hidden_state"]}

    class States(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask, token_type_ids):
            inputs = {"attention_mask": attention_mask, "token_type_ids": token_type_ids}
            return self.model(input_ids, **inputs).last_hidden_state

    torch.onnx.export(
        States(),
        (example, example, 0 * example),
        file,
        input_names=names,
        output_names=["last_hidden_state"],
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
    )


{"encode": encode, "export": export}[sys.argv[1]](*sys.argv[2:])
