"""Writes golden/onnx-nodes.json.gz: ONNX's own backend node tests, from the Python package onnx (Apache-2.0).

    python golden/make_onnx.py

Kept are small tests of single operators on tensors of numbers; each has the model as a file, the inputs and the outputs.
"""

import base64
import gzip
import json
from pathlib import Path

import numpy as np
import onnx
from onnx.backend.test.case.node import collect_testcases

OUT = Path(__file__).parent / "onnx-nodes.json.gz"
LARGEST = 20000
TYPES = {"float32": "f32", "float16": "f16", "int32": "i32", "int64": "i64", "int8": "i8", "uint8": "u8", "bool": "bool"}


def encode(x):
    x = np.asarray(x)
    dtype = TYPES[x.dtype.name]
    raw = np.ascontiguousarray(x).tobytes()
    return {"shape": list(x.shape), "dtype": dtype, "data": base64.b64encode(raw).decode()}


def main():
    tests = []
    for case in collect_testcases(None):
        name = case.name
        try:
            if len(case.data_sets) == 0 or name.endswith("_expanded"):
                continue
            inputs, outputs = case.data_sets[0]
            model = case.model.SerializeToString()
            if len(model) > LARGEST or sum(np.asarray(x).nbytes for x in [*inputs, *outputs]) > LARGEST:
                continue
            tests.append(
                {
                    "name": name,
                    "operator": case.model.graph.node[0].op_type,
                    "model": base64.b64encode(model).decode(),
                    "inputs": [encode(x) for x in inputs],
                    "outputs": [encode(x) for x in outputs],
                    "tolerance": case.rtol,
                }
            )
        except (KeyError, AttributeError, TypeError, ValueError):
            continue  # other types of numbers, sequences, optional values
    made_by = f"golden/make_onnx.py, onnx {onnx.__version__}"
    text = json.dumps({"madeBy": made_by, "licence": "Apache-2.0", "tests": tests}, separators=(",", ":"))
    OUT.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(len(tests), OUT.stat().st_size)


if __name__ == "__main__":
    main()
