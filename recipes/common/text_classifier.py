"""A classifier of texts in PyTorch and transformers: what the peers of several recipes are."""

import argparse
import json

from sklearn.metrics import accuracy_score, f1_score
from training_loop import guesses, rows, train
from transformers import AutoModelForSequenceClassification, BertTokenizerFast


def main(folder, labels, *, epochs, batch_size, rate, max_length):
    """Trains on data/train.jsonl of the recipe's folder, from data/model, and tells how good it is on data/test.jsonl."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int)
    arguments = parser.parse_args()
    data = folder / "data"
    tokenizer = BertTokenizerFast.from_pretrained(data / "model")
    model = AutoModelForSequenceClassification.from_pretrained(data / "model", num_labels=len(labels))

    def encoded(name):
        """Rows as ids and the number of the label."""
        examples = rows(data / name)
        ids = tokenizer([row["text"] for row in examples], truncation=True, max_length=max_length)["input_ids"]
        return [{"ids": of, "labels": labels.index(row["label"])} for of, row in zip(ids, examples)]

    options = dict(epochs=epochs, batch_size=batch_size, rate=rate, seed=arguments.seed, steps=arguments.steps)
    padding = tokenizer.pad_token_id
    seconds = train(model, encoded("train.jsonl"), padding=padding, **options)
    test = encoded("test.jsonl")
    expected = [example["labels"] for example in test]
    predicted = guesses(model, test, padding=padding, batch_size=batch_size)
    accuracy, f1 = accuracy_score(expected, predicted), f1_score(expected, predicted, average="macro")
    print(json.dumps({"accuracy": accuracy, "f1Macro": f1, "trainingSeconds": seconds}))
