"""Good and bad reviews in Chinese: the same recipe in PyTorch and transformers.

    python recipes/chinese-sentiment/peer.py [--seed 0] [--steps N]

Needs torch, transformers and scikit-learn.
"""

import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.append(str(FOLDER.parent / "common"))
from text_classifier import main  # noqa: E402

main(FOLDER, ["negative", "positive"], epochs=1, batch_size=32, rate=1e-4, max_length=128)
