"""The same training with sentence-transformers: its loss, rows, rate, schedule and steps; nDCG@10 before and after.

    python recipes/minilm-retrieval/peer.py recipes/minilm-retrieval/data --seed 0
"""

import argparse
import json
import time
from pathlib import Path

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.training_args import BatchSamplers


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def evaluator(pairs):
    questions, answers = (list(dict.fromkeys(pair[part] for pair in pairs)) for part in ("anchor", "positive"))
    relevant = {}
    for pair in pairs:
        relevant.setdefault(str(questions.index(pair["anchor"])), set()).add(str(answers.index(pair["positive"])))
    numbered = ({str(i): text for i, text in enumerate(texts)} for texts in (questions, answers))
    return InformationRetrievalEvaluator(*numbered, relevant, ndcg_at_k=[10], mrr_at_k=[10], precision_recall_at_k=[1, 10])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--steps", type=int, default=-1)
    parser.add_argument("--output", default="runs/minilm-retrieval-peer")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    model = SentenceTransformer(str(args.data / "model"), device="cpu")
    model.max_seq_length = 64
    test = evaluator(rows(args.data / "test.jsonl"))
    before = test(model)
    settings = SentenceTransformerTrainingArguments(
        output_dir=args.output, seed=args.seed, num_train_epochs=args.epochs, max_steps=args.steps, per_device_train_batch_size=32, learning_rate=5e-5, lr_scheduler_type="linear",
        warmup_ratio=0.1, weight_decay=0.01, batch_sampler=BatchSamplers.NO_DUPLICATES, report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True,
    )
    train = Dataset.from_list([{part: pair[part] for part in ("anchor", "positive")} for pair in rows(args.data / "train.jsonl")])
    trainer = SentenceTransformerTrainer(model=model, args=settings, train_dataset=train, loss=MultipleNegativesRankingLoss(model))
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    after = test(model)
    name = next(key for key in after if key.endswith("cosine_ndcg@10"))
    print(json.dumps({"seed": args.seed, "before": before[name], "ndcgAt10": after[name], "trainingSeconds": seconds, "steps": trainer.state.global_step}))


if __name__ == "__main__":
    main()
