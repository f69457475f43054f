"""Loads adapters that Kindling saved with peft, onto the golden bases, and compares logits with golden/peft/<base>/expected.json.

    python golden/check_peft.py FOLDER    # FOLDER/<base>/<adapter>/, as src/peft/peft.test.ts writes with KINDLING_KEEP=FOLDER
"""

import os
import sys
import warnings
from json import loads
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import PeftModel

from common import GOLDEN
from make_peft import ADAPTERS, BASES

warnings.filterwarnings("ignore")
for base, (cls, _) in BASES.items():
    expected = loads((GOLDEN / "peft" / base / "expected.json").read_text())
    ids = torch.tensor(expected["inputIds"])
    for name in ADAPTERS[base]:
        model = cls.from_pretrained(GOLDEN / "peft" / base, attn_implementation="eager")
        adapted = PeftModel.from_pretrained(model, Path(sys.argv[1]) / base / name).eval()
        logits = adapted(input_ids=ids).logits.detach().flatten()
        difference = (logits - torch.tensor(expected["adapters"][name]["data"])).abs().max().item()
        print(f"{base} {name}: {difference:.1e}")
        assert difference < 2e-5, f"{base} {name}"
