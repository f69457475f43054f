"""The recipe in PyTorch, after Kindling's run: python recipes/gpt-chinese-poetry/peer.py runs/gpt-chinese-poetry --seed 0"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "common"))
from gpt_peer import main  # noqa: E402

lines = (HERE / "data" / "poems.jsonl").read_text(encoding="utf-8").splitlines()
texts = [json.loads(line)["text"] for line in lines]
main(texts, texts, share=0.02, batch_size=8)
