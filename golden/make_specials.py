"""Writes golden/specials.json.gz: PyTorch's answers where numbers are special.

Run from the repository root, with the versions in golden/requirements.txt:

    python golden/make_specials.py

The cases of golden/cases/ say how each op is called. Here each of them is called again with inputs made from their dtypes and
shapes: NaN, infinities, zeros of both signs, the ends of the ranges, far and equal numbers, -inf everywhere, and sizes of 0.
Elementwise ops get all combinations of a table of such numbers, in every dtype that PyTorch takes. What PyTorch refuses is left out.
Gradients are those of the sum of all float outputs.
"""

import gzip
import importlib
import json
import sys
from itertools import product
from pathlib import Path

import torch
import torch.nn.functional as F

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "cases"))
import common  # noqa: E402

NAN, INF = float("nan"), float("inf")
TABLE = {
    torch.float32: [0.0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3, 0.1, 1e-45, 1.1754944e-38, 3.4028235e38, -3.4028235e38]
    + [INF, -INF, NAN, 1e4, -1e4, 88.8, -104, 1e-8, 123456792, 1e10, 3e9, 2147483648, -2147483648, -9.3e18, 0.49999997],
    torch.float16: [0.0, -0.0, 1, -1, 0.5, 1.5, 2.5, -2.5, 65504, -65504, INF, -INF, NAN, 6e-8, 6.2e-5, 11, -17, 1000],
    torch.bfloat16: [0.0, -0.0, 1, -1, 0.5, 1.5, 2.5, -2.5, 3.3895e38, -3.3895e38, INF, -INF, NAN, 9e-41, 88.5, -17, 256],
    torch.int32: [0, 1, -1, 2, -2, 3, -3, 7, -8, 2**31 - 1, -(2**31), 65536, 46341, -46341, 31, 32, 33],
    torch.int64: [0, 1, -1, 2, -3, 7, -10, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 3037000500, 2**32, 63, 64],
    torch.int8: [0, 1, -1, 2, -3, 100, 127, -128, 7, 8],
    torch.uint8: [0, 1, 2, 3, 7, 8, 100, 128, 255],
    torch.bool: [False, True],
}
DTYPES = {**common.DTYPES, torch.bfloat16: "bf16"}
# what comes from a decomposition or a search on the host has no answer at such numbers
LEFT_OUT = {"cholesky", "solve", "inverse", "determinant", "logDeterminant", "triangularSolve", "qr", "eigh", "svd"} | {
    "eigenvalues",
    "linearSumAssignment",
    "blockMatmul",
    "float4Matmul",
    "quantizeLinear",
    "dequantizeLinear",
    "fakeQuantize",
}
MOST_CASES = 2  # of one op that are called again
FOUND = []


def encode(x):
    if x is None:
        return None
    flat = x.detach().reshape(-1)
    if x.is_floating_point():
        numbers = flat.double().tolist() if x.dtype != torch.float32 else [float(str(v)) for v in flat.numpy()]
        data = [v if v - v == 0 and str(v) != "-0.0" else str(v) for v in numbers]
    else:
        data = [str(v) if abs(v) > 2**53 else int(v) for v in flat.tolist()]
    return {"shape": list(x.shape), "dtype": DTYPES[x.dtype], "data": data}


def add(name, fn, inputs, attrs):
    """Calls fn, and keeps what came of it unless PyTorch refuses. -> whether it did not"""
    narrow = next((x.dtype for x in inputs if x.dtype in (torch.float16, torch.bfloat16)), None)
    leaves = [x.detach().clone().requires_grad_(x.dtype == torch.float32) for x in inputs]
    try:
        ys = fn(*[x.float() if x.dtype == narrow else x for x in leaves])
    except (RuntimeError, IndexError, ValueError, NotImplementedError, TypeError, AssertionError):
        return
    ys = list(ys) if isinstance(ys, (list, tuple)) else [ys]
    if any(y.dtype not in DTYPES for y in ys):
        return
    whole = next((x.dtype for x in inputs if not x.is_floating_point() and x.dtype != torch.bool), None)
    if whole and all(not x.is_floating_point() for x in inputs) and any(y.is_floating_point() for y in ys):
        return  # PyTorch makes floats of integers
    case = {"op": name, "attrs": attrs or {}, "inputs": [encode(x) for x in inputs]}
    case["outputs"] = [encode(y.to(narrow) if narrow and y.dtype == torch.float32 else y) for y in ys]
    graded = [y for y in ys if y.requires_grad]
    if graded:
        trained = [x for x in leaves if x.requires_grad]
        try:
            found = iter(torch.autograd.grad(graded, trained, [torch.ones_like(y) for y in graded], allow_unused=True))
        except RuntimeError:
            return
        case["gradients"] = [encode(next(found)) if x.requires_grad else None for x in leaves]
    FOUND.append(case)
    return True


def tables(name, fn, inputs, attrs):
    """All combinations of special numbers, in each dtype, for an elementwise op."""
    for dtype in TABLE:
        kinds = [x.dtype for x in inputs]
        rows = list(product(*[TABLE[torch.bool if kind == torch.bool else dtype] for kind in kinds]))
        if len(inputs) > 2:
            rows = rows[::7]
        make = lambda rows: [
            torch.tensor(c, dtype=torch.bool if k == torch.bool else dtype) for c, k in zip(zip(*rows), kinds)
        ]
        if not add(name, fn, make(rows), attrs) and len(inputs) == 2:  # PyTorch divides no integer by 0
            least = min(TABLE[dtype])
            add(name, fn, make([row for row in rows if row[1] != 0 and row != (least, -1)]), attrs)


def fill(x, values):
    """x with every third number replaced by one of these."""
    y = x.clone().reshape(-1)
    for i, value in enumerate(values):
        if y.numel() > 0:
            y[(3 * i + 1) % y.numel()] = value
    return y.reshape(x.shape)


FILLS = [
    lambda x: fill(x, [NAN]),
    lambda x: fill(x, [INF, 1e4, -1e4]),
    lambda x: fill(x, [-INF, -0.0, 0.0]),
    lambda x: fill(x, [INF, -INF]),
    lambda x: torch.full_like(x, -INF),
    lambda x: torch.zeros_like(x),
    lambda x: -torch.zeros_like(x),
    lambda x: torch.full_like(x, 2.0),
    lambda x: torch.sign(x) * 1e4,
]


def variants(name, fn, inputs, attrs):
    floats = [i for i, x in enumerate(inputs) if x.dtype == torch.float32]
    for i, change in product(floats[:1] if name == "gridSample" else floats, FILLS):  # far places end PyTorch's process
        add(name, fn, [change(x) if i == j else x for j, x in enumerate(inputs)], attrs)
    for size in sorted({s for x in inputs for s in x.shape}):
        add(name, fn, [torch.zeros([0 if s == size else s for s in x.shape], dtype=x.dtype) for x in inputs], attrs)
    for axis in range(inputs[0].dim() if len(inputs) == 1 else 0):
        shape = [0 if a == axis else s for a, s in enumerate(inputs[0].shape)]
        add(name, fn, [torch.zeros(shape, dtype=inputs[0].dtype)], attrs)
    for dtype in (torch.int64, torch.int32, torch.uint8, torch.bool) if floats else ():
        values = TABLE[dtype]
        whole = [torch.tensor([values[(5 * j + 7) % len(values)] for j in range(x.numel())], dtype=dtype).reshape(x.shape) for x in inputs]
        add(name, fn, [whole[i] if i in floats else x for i, x in enumerate(inputs)], attrs)


def again(name, seen):
    """Stands in for common.case: calls the op with special numbers instead."""

    def case(fn, inputs, attrs=None, without_gradient=()):
        key = json.dumps(attrs)
        if name in ELEMENTWISE:
            if key not in seen:
                tables(name, fn, inputs, attrs)
                add(name, fn, [torch.zeros((0, 3), dtype=x.dtype) for x in inputs], attrs)
        elif len(seen) < MOST_CASES or key not in seen and len(seen) < 3 * MOST_CASES:
            variants(name, fn, [x.detach() for x in inputs], attrs)
        seen.append(key)

    return case


def main():
    torch.set_num_threads(1)
    modules = [importlib.import_module(path.stem) for path in sorted((HERE / "cases").glob("*.py"))]
    global ELEMENTWISE
    basics, elementwise = importlib.import_module("basics"), importlib.import_module("elementwise")
    names_in = lambda module: {n for n, makes in common.OPS.items() if any(m.__module__ == module.__name__ for m in makes)}
    ELEMENTWISE = {*basics.UNARY, *basics.BINARY, "where"} | (names_in(elementwise) - {"prelu"})
    for name in common.OPS:
        if name in LEFT_OUT:
            continue
        torch.manual_seed(0)
        case = again(name, [])
        for module in modules:
            module.case = case
        for make_cases in common.OPS[name]:
            list(make_cases())
    tables("div", lambda a, b: torch.div(a, b, rounding_mode=None if a.is_floating_point() else "trunc"), [torch.zeros(3), torch.zeros(3)], {})
    for source, target in product(TABLE, TABLE):
        add("cast", lambda x: x.to(target), [torch.tensor(TABLE[source], dtype=source)], {"to": DTYPES[target]})
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        add("isNan", torch.isnan, [torch.tensor(TABLE[dtype], dtype=dtype)], {})
        add("isInfinite", torch.isinf, [torch.tensor(TABLE[dtype], dtype=dtype)], {})
    made_by = f"golden/make_specials.py, torch {torch.__version__.split('+')[0]}"
    text = ",\n".join(json.dumps(c, separators=(",", ":"), allow_nan=False) for c in FOUND)
    with gzip.GzipFile(HERE / "specials.json.gz", "wb", mtime=0) as file:
        file.write(f'{{"madeBy":"{made_by}","cases":[\n{text}\n]}}\n'.encode())


if __name__ == "__main__":
    main()
