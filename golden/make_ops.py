"""Writes golden/ops/<name>.json: PyTorch's outputs and gradients for each tensor op.

Run from the repository root, with the versions in golden/requirements.txt:

    python golden/make_ops.py [name ...]

The cases are in golden/cases/. Everything is computed on one thread, from standard normal data that is seeded anew for
each op. Floats are written as the shortest text that gives the same number back.
"""

import importlib
import json
import sys
from pathlib import Path

import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "cases"))
from common import AGAIN, OPS  # noqa: E402

OUT = HERE / "ops"
# every op has this many cases in float16, but for those that make no sense there
HALF_CASES = 2
NO_HALF = {
    "ctcLoss",
    "equal",
    "notEqual",
    "floor",
    "ceil",
    "round",
    "trunc",
    "floorDivide",
    "remainder",
    "gridSample",
    "oneHot",
    "dequantizeLinear",
    "float4Matmul",
}
MADE_BY = f"golden/make_ops.py, torch {torch.__version__.split('+')[0]}"


def main(names):
    torch.set_num_threads(1)
    OUT.mkdir(exist_ok=True)
    for path in sorted((HERE / "cases").glob("*.py")):
        importlib.import_module(path.stem)
    for name in names or OPS:
        torch.manual_seed(0)
        AGAIN.clear()
        cases = [case for make_cases in OPS[name] for case in make_cases()]
        if name not in NO_HALF:
            cases += AGAIN[-HALF_CASES:]
        text = ",\n".join(json.dumps(c, separators=(",", ":"), allow_nan=False) for c in cases)
        head = json.dumps({"madeBy": MADE_BY, "op": name}, separators=(",", ":"))
        (OUT / f"{name}.json").write_text(f'{head[:-1]},"cases":[\n{text}\n]}}\n')


if __name__ == "__main__":
    main(sys.argv[1:])
