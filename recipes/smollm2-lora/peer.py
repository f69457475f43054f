"""SmolLM2 on dialogues: the same recipe with transformers and peft, in the order that run.mjs has written.

    python recipes/smollm2-lora/peer.py [--seed 0] [--steps N]
"""

import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.append(str(FOLDER.parent / "common"))
from chat_peer import main  # noqa: E402

main(FOLDER)
