"""Loads adapters that Kindling saved with peft, onto the golden bases, and compares logits with golden/peft/<base>/expected.json.

    python golden/check_peft.py FOLDER    # FOLDER/<base>/<adapter>/, as src/peft/peft.test.ts and
                                          # src/methods/adapter-training.test.ts write with KINDLING_KEEP=FOLDER

Adapters that were trained are compared with what peft trained, number by number.
"""

import os
import sys
import warnings
from json import loads
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import PeftModel
from peft.utils import get_peft_model_state_dict

from common import GOLDEN
from make_peft import ADAPTERS, BASES
from make_peft_training import BATCHES, CASES

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

for base, cases in CASES.items():
    cls, _ = BASES[base]
    expected = loads((GOLDEN / "peft" / base / "training.json").read_text())
    ids, labels = torch.tensor(expected["inputIds"][0]), torch.tensor(expected["labels"][0])
    for name in cases:
        model = cls.from_pretrained(GOLDEN / "peft" / base, attn_implementation="eager")
        adapted = PeftModel.from_pretrained(model, Path(sys.argv[1]) / base / name).eval()
        loss = adapted(input_ids=ids, labels=labels).loss.item()
        ours = get_peft_model_state_dict(adapted)
        for key, value in expected["cases"][name]["final"].items():
            difference = (ours[key].flatten() - torch.tensor(value["data"])).abs().max().item()
            assert difference < 1e-3, f"{base} {name} {key}: {difference}"
        print(f"{base} {name}: trained, loss {loss:.4f} (before the last {BATCHES} steps {expected['cases'][name]['losses'][-BATCHES]:.4f})")
