"""Persons, places and organisations in Chinese news: the same recipe in PyTorch and transformers.

    python recipes/chinese-ner/peer.py [--seed 0] [--steps N]

Needs torch, transformers and seqeval.
"""

import argparse
import json
import sys
from pathlib import Path

from seqeval.metrics import accuracy_score, f1_score
from transformers import AutoModelForTokenClassification, BertTokenizerFast

FOLDER = Path(__file__).parent
sys.path.append(str(FOLDER.parent / "common"))
from training_loop import guesses, rows, train  # noqa: E402

STEPS, BATCH_SIZE, RATE, MAX_LENGTH = 600, 32, 3e-4, 128
TAGS = ["B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER", "O"]


def encoded(tokenizer, path):
    """Rows as ids, with the number of the tag of each character's first token."""
    examples = rows(path)
    words = [row["tokens"] for row in examples]
    encodings = tokenizer(words, is_split_into_words=True, truncation=True, max_length=MAX_LENGTH)
    result = []
    for i, row in enumerate(examples):
        last, labels = None, []
        for word in encodings.word_ids(i):
            labels.append(-100 if word is None or word == last else TAGS.index(row["tags"][word]))
            last = word
        result.append({"ids": encodings["input_ids"][i], "labels": labels})
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    data = FOLDER / "data"
    tokenizer = BertTokenizerFast.from_pretrained(data / "model")
    model = AutoModelForTokenClassification.from_pretrained(data / "model", num_labels=len(TAGS))
    options = dict(epochs=1, batch_size=BATCH_SIZE, rate=RATE, seed=arguments.seed, steps=arguments.steps)
    padding = tokenizer.pad_token_id
    seconds = train(model, encoded(tokenizer, data / "train.jsonl"), padding=padding, **options)
    test = encoded(tokenizer, data / "test.jsonl")
    labels, predicted = [], []
    for example, guess in zip(test, guesses(model, test, padding=padding, batch_size=BATCH_SIZE)):
        counted = [i for i, label in enumerate(example["labels"]) if label >= 0]
        labels.append([TAGS[example["labels"][i]] for i in counted])
        predicted.append([TAGS[guess[i]] for i in counted])
    f1, accuracy = f1_score(labels, predicted), accuracy_score(labels, predicted)
    print(json.dumps({"f1": f1, "accuracy": accuracy, "trainingSeconds": seconds}))


main()
