"""Good and bad reviews in Chinese: the same recipe in PyTorch and transformers.

    python recipes/chinese-sentiment/peer.py [--seed 0] [--steps N]

Needs torch, transformers and scikit-learn.
"""

import argparse
import sys
from pathlib import Path

from sklearn.metrics import accuracy_score, f1_score
from transformers import AutoModelForSequenceClassification, BertTokenizerFast

FOLDER = Path(__file__).parent
sys.path.append(str(FOLDER.parent / "common"))
from training_loop import guesses, rows, train  # noqa: E402

EPOCHS, BATCH_SIZE, RATE, MAX_LENGTH = 2, 32, 1e-4, 128
LABELS = ["negative", "positive"]


def encoded(tokenizer, path):
    """Rows as ids and the number of the label."""
    examples = rows(path)
    ids = tokenizer([row["text"] for row in examples], truncation=True, max_length=MAX_LENGTH)["input_ids"]
    return [{"ids": of, "labels": LABELS.index(row["label"])} for of, row in zip(ids, examples)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int)
    arguments = parser.parse_args()
    data = FOLDER / "data"
    tokenizer = BertTokenizerFast.from_pretrained(data / "model")
    model = AutoModelForSequenceClassification.from_pretrained(data / "model", num_labels=len(LABELS))
    options = dict(epochs=EPOCHS, batch_size=BATCH_SIZE, rate=RATE, seed=arguments.seed, steps=arguments.steps)
    padding = tokenizer.pad_token_id
    seconds = train(model, encoded(tokenizer, data / "train.jsonl"), padding=padding, **options)
    test = encoded(tokenizer, data / "test.jsonl")
    labels = [example["labels"] for example in test]
    predicted = guesses(model, test, padding=padding, batch_size=BATCH_SIZE)
    accuracy, f1 = accuracy_score(labels, predicted), f1_score(labels, predicted, average="macro")
    print(f"accuracy {accuracy:.4f}, macro F1 {f1:.4f}, {seconds:.0f} s of training")


main()
