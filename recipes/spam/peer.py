"""Spam against ham: the same recipe in PyTorch and transformers.

    python recipes/spam/peer.py [--seed 0] [--steps N]

Needs torch, transformers and scikit-learn.
"""

import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.append(str(FOLDER.parent / "common"))
from text_classifier import main  # noqa: E402

main(FOLDER, ["ham", "spam"], epochs=1, batch_size=16, rate=5e-5, max_length=64)
