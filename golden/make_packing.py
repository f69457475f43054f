"""golden/packing.json: documents packed by TRL's best-fit decreasing.

python golden/make_packing.py
"""
import json
import pathlib
import random

from datasets import Dataset
from trl.data_utils import pack_dataset

random.seed(5)
cases = []
for count, longest, context in [(40, 30, 32), (300, 500, 128), (200, 64, 64)]:
    lengths = [random.randrange(0, longest + 1) for _ in range(count)]
    # each token says which document it is of, and where
    rows = Dataset.from_dict({"input_ids": [[doc * 1000 + i for i in range(n)] for doc, n in enumerate(lengths)]})
    packed = pack_dataset(rows, seq_length=context, strategy="bfd_split")
    windows = [sorted(row, reverse=True) for row in packed["seq_lengths"]]
    cases.append({"context": context, "lengths": lengths, "windows": windows})
path = pathlib.Path(__file__).parent / "packing.json"
path.write_text(json.dumps({"madeBy": "golden/make_packing.py, trl 1.16.0", "cases": cases}, separators=(",", ":")) + "\n")
