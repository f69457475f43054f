"""Checks a model folder that Kindling saved: transformers must load it and answer as Kindling did.

    python golden/check_gpt2.py DIR EXPECTED.json

EXPECTED.json: {"inputIds": [[..]], "logits": {"shape", "data"},
"greedy": {"inputIds": [..], "outputIds": [..]}, "text"?: string, "textIds"?: [..]}.
Prints what it compared; exits with 1 when the logits differ by more than 1e-4
or anything else differs. Makes no files.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from common import greedy

TOLERANCE = 1e-4


def check(folder, expected):
    """True when everything agrees."""
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32, output_loading_info=True
    )
    model.eval()
    wrong = {key: sorted(map(str, names)) for key, names in info.items() if names}
    print("weights:", f"do not fit: {wrong}" if wrong else "all loaded")
    good = not wrong

    with torch.no_grad():
        logits = model(torch.tensor(expected["inputIds"])).logits
    shape = expected["logits"]["shape"]
    if list(logits.shape) == shape:
        theirs = torch.tensor(expected["logits"]["data"]).reshape(shape)
        difference = (logits - theirs).abs().max().item()
        print(f"logits: max abs difference {difference:.3g}")
        good &= difference <= TOLERANCE  # False for NaN too
    else:
        print(f"logits: shape {list(logits.shape)}, expected {shape}")
        good = False

    start, output = expected["greedy"]["inputIds"], expected["greedy"]["outputIds"]
    ours, lead = greedy(model, start, len(output) - len(start))
    print("greedy:", "agrees" if ours == output else f"differs: {ours}, expected {output}",
          f"(closest choice {lead:.3g})")
    good &= ours == output

    text, path = expected.get("text"), folder / "tokenizer.json"
    if text is not None and path.exists():
        tokenizer = Tokenizer.from_file(str(path))
        ids = tokenizer.encode(text).ids
        want = expected.get("textIds", ids)
        back = tokenizer.decode(want, skip_special_tokens=False)
        print("encode:", "agrees" if ids == want else f"differs: {ids}, expected {want}")
        print("decode:", "agrees" if back == text else f"differs: {back!r}, expected {text!r}")
        good &= ids == want and back == text
    elif text is not None:
        print("tokenizer: not checked, no tokenizer.json")
    return bool(good)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compare a saved model folder with expected answers.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("expected", type=Path)
    options = parser.parse_args()
    good = check(options.folder, json.loads(options.expected.read_text(encoding="utf-8")))
    print("ok" if good else "FAILED")
    sys.exit(0 if good else 1)
