"""golden/tables/: one small table as pandas and pyarrow write it, in every compression, and its rows as JSON.

python golden/make_tables.py
"""
import base64
import json
import pathlib

import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as parquet

folder = pathlib.Path(__file__).parent / "tables"
folder.mkdir(exist_ok=True)

frame = pd.DataFrame(
    {
        "text": ["Hello", "世界 " * 40, None, 'a\n"b", c'],
        "label": [0, 1, 1, 0],
        "big": [2**60, 1, -2, 3],
        "score": [0.5, float("nan"), 1.0, -2.25],
        "tags": [["a", "b"], [], ["c"], None],
        "when": pd.to_datetime(["2020-01-01", "2021-02-03 04:05:06", "2022-01-01", None], format="ISO8601"),
        "kind": pd.Categorical(["x", "y", "x", "y"]),
        "flag": [True, False, True, None],
        "raw": [b"\x00\xff", b"", None, b"abc"],
        "image": [{"path": "a.png", "bytes": b"\x89PNG"}, {"path": "b.png", "bytes": b"\xff"}, None, {"path": None, "bytes": b""}],
        "messages": [[{"role": "user", "content": "hi"}], [], [{"role": "a", "content": "b"}, {"role": "c", "content": None}], None],
    }
)
table = pa.Table.from_pandas(frame)


def plain(value):
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {name: plain(field) for name, field in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
        return str(value)
    if hasattr(value, "isoformat"):
        return pd.Timestamp(value).isoformat(timespec="milliseconds") + "Z"
    return value


rows = [plain(row) for row in table.to_pylist()]
(folder / "rows.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
for name in ["lz4", "zstd", "uncompressed"]:
    feather.write_feather(frame, folder / f"{name}.feather", compression=name, chunksize=3)
with pa.ipc.new_stream(folder / "stream.arrow", table.schema) as writer:
    writer.write_table(table, max_chunksize=3)
for name in ["snappy", "zstd", "gzip", "brotli", "lz4", "none"]:
    parquet.write_table(table, folder / f"{name}.parquet", compression=name, row_group_size=3)
