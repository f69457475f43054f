"""The same distillation with sentence-transformers: layers 0 and 5, its MSELoss on the teacher's vectors, the same steps.

    python recipes/distil-6-to-2/peer.py recipes/minilm-retrieval/data --seed 0
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import MSELoss

sys.path.insert(0, str(Path(__file__).parent.parent / "minilm-retrieval"))
from peer import evaluator, rows  # noqa: E402


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=float, default=10)
    parser.add_argument("--steps", type=int, default=-1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    teacher = SentenceTransformer(str(args.data / "model"), device="cpu")
    student = SentenceTransformer(str(args.data / "model"), device="cpu")
    for model in (teacher, student):
        model.max_seq_length = 64
    bert = student[0].auto_model
    bert.encoder.layer = torch.nn.ModuleList([bert.encoder.layer[i] for i in (0, 5)])
    bert.config.num_hidden_layers = 2
    texts = list(dict.fromkeys(text for pair in rows(args.data / "train.jsonl") for text in (pair["anchor"], pair["positive"])))
    test = evaluator(rows(args.data / "test.jsonl"))
    theirs, before = test(teacher), test(student)
    train = Dataset.from_dict({"sentence": texts, "label": teacher.encode(texts).tolist()})
    settings = SentenceTransformerTrainingArguments(
        output_dir="runs/distil-6-to-2-peer", seed=args.seed, num_train_epochs=args.epochs, max_steps=args.steps, per_device_train_batch_size=32, learning_rate=5e-4,
        lr_scheduler_type="linear", warmup_ratio=0.1, weight_decay=0.01, report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True,
    )
    trainer = SentenceTransformerTrainer(model=student, args=settings, train_dataset=train, loss=MSELoss(student))
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    after = test(student)
    name = next(key for key in after if key.endswith("cosine_ndcg@10"))
    print(json.dumps({"seed": args.seed, "teacher": theirs[name], "before": before[name], "ndcgAt10": after[name], "trainingSeconds": seconds, "steps": trainer.state.global_step}))


if __name__ == "__main__":
    main()
