"""golden/pretrain.json: losses of documents alone, and a batch that transformers masks, with the numbers that it drew.

    python golden/make_pretrain.py
"""

import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, BertTokenizerFast, DataCollatorForLanguageModeling

from common import GOLDEN, made_by, write_json

LENGTHS = [7, 1, 12, 2, 9]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROWS, LENGTH = 3, 20


@torch.no_grad()
def documents_alone(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    documents = [torch.randint(1, model.config.vocab_size, (1, length)) for length in LENGTHS]
    losses = [model(ids, labels=ids).loss.item() if ids.shape[1] > 1 else None for ids in documents]
    return {"documents": [ids[0].tolist() for ids in documents], "losses": losses}


@torch.no_grad()
def masked_batch(folder):
    """The collator draws twice for each token whether something happens, and a word; all three are kept."""
    model = AutoModelForMaskedLM.from_pretrained(folder, attn_implementation="eager").eval()
    size = model.config.vocab_size
    vocabulary = {token: i for i, token in enumerate(SPECIAL + [f"w{i}" for i in range(size - len(SPECIAL))])}
    tokenizer = BertTokenizerFast(vocab=vocabulary)
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.4)
    ids = torch.randint(len(SPECIAL), size, (ROWS, LENGTH))
    ids[:, 0], ids[:, -1] = vocabulary["[CLS]"], vocabulary["[SEP]"]
    draws, words = [], []
    bernoulli, randint = torch.bernoulli, torch.randint
    torch.bernoulli = lambda *args, **kwargs: draws.append(bernoulli(*args, **kwargs)) or draws[-1]
    torch.randint = lambda *args, **kwargs: words.append(randint(*args, **kwargs)) or words[-1]
    rows = [{"input_ids": row, "attention_mask": torch.ones_like(row)} for row in ids]
    batch = collator(rows)
    torch.bernoulli, torch.randint = bernoulli, randint
    picked, replaced, random = [draw.int().tolist() for draw in draws]
    loss = model(input_ids=batch["input_ids"], labels=batch["labels"]).loss.item()
    return {
        "ids": ids.tolist(), "maskTokenId": vocabulary["[MASK]"], "vocabSize": size, "probability": 0.4,
        "picked": picked, "replaced": replaced, "random": random, "words": words[0].tolist(),
        "inputIds": batch["input_ids"].tolist(), "labels": batch["labels"].tolist(), "loss": loss,
    }


def main():
    torch.manual_seed(4)
    alone = {name: documents_alone(GOLDEN / name) for name in ["decoders/llama", "gpt2/a"]}
    masked = masked_batch(GOLDEN / "models" / "bert-masked-lm")
    write_json(GOLDEN / "pretrain.json", {"madeBy": made_by(__file__), "alone": alone, "masked": masked})


main()
