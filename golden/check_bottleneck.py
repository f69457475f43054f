"""Loads bottleneck adapters that Kindling saved with Python's adapters, and compares logits with
golden/bottleneck/<base>.json. Runs in an environment of its own (golden/requirements-adapters.txt).

    python golden/check_bottleneck.py FOLDER    # FOLDER/<base>/<adapter>/, as src/peft/bottleneck.test.ts writes with
                                                # KINDLING_KEEP=FOLDER
"""

import os
import sys
from json import loads
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import adapters
import torch

from common import GOLDEN
from make_bottleneck import BASES

for base, (cls, place, configs) in BASES.items():
    expected = loads((GOLDEN / "bottleneck" / f"{base}.json").read_text())
    for name in configs:
        model = cls.from_pretrained(GOLDEN / place, attn_implementation="eager")
        adapters.init(model)
        info = {}
        folder = str(Path(sys.argv[1]) / base / name)
        model.load_adapter(folder, load_as="read", set_active=True, use_safetensors=True, loading_info=info)
        assert not info["missing_keys"] and not info["unexpected_keys"], info
        logits = model.eval()(input_ids=torch.tensor(expected["inputIds"][0])).logits.detach().flatten()
        difference = (logits - torch.tensor(expected["adapters"][name]["logits"]["data"])).abs().max().item()
        print(f"{base} {name}: {difference:.1e}")
        assert difference < 2e-5, f"{base} {name}"
