"""The recipe in PyTorch, after Kindling's run: python recipes/gpt-sotu/peer.py runs/gpt-sotu --seed 0"""

import hashlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "common"))
from gpt_peer import main  # noqa: E402

files = sorted((HERE / "data" / "speeches").glob("*.txt"))
texts = [file.read_text(encoding="utf-8") for file in files]
main(texts, [hashlib.sha256(file.read_bytes()).hexdigest() for file in files], share=0.1, batch_size=8)
