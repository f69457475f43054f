"""Makes golden/gguf/blocks.gguf and expected.json: every block format with the numbers it stands for.

Formats that the gguf package can quantize are made from random numbers, which
are kept too; the K formats are random bits with small scales.

    python golden/make_gguf.py
"""

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

from common import GOLDEN, floats, write_json

QUANTIZED = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]
# where the 16-bit floats of a block are
K_FORMATS = {"Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}
ROWS, COLUMNS = 2, 64


def random_blocks(name, rng):
    block, size = gguf.GGML_QUANT_SIZES[Type[name]]
    raw = rng.integers(0, 256, size=(ROWS, size), dtype=np.uint8)
    for offset in K_FORMATS[name]:
        scales = rng.uniform(-0.05, 0.05, size=(ROWS, 1)).astype(np.float16)
        raw[:, offset : offset + 2] = scales.view(np.uint8)
    return raw


def make():
    rng = np.random.default_rng(2024)
    folder = GOLDEN / "gguf"
    folder.mkdir(exist_ok=True)
    path = folder / "blocks.gguf"
    writer = gguf.GGUFWriter(path, "test")
    writer.add_uint8("kinds.u8", 200)
    writer.add_int8("kinds.i8", -100)
    writer.add_uint16("kinds.u16", 60000)
    writer.add_int16("kinds.i16", -30000)
    writer.add_uint32("kinds.u32", 4_000_000_000)
    writer.add_int32("kinds.i32", -2_000_000_000)
    writer.add_uint64("kinds.u64", 2**63 + 1)
    writer.add_int64("kinds.i64", -(2**40))
    writer.add_float32("kinds.f32", 0.25)
    writer.add_float64("kinds.f64", 0.1)
    writer.add_bool("kinds.bool", True)
    writer.add_string("kinds.text", "Grüße, 世界")
    writer.add_array("kinds.texts", ["a", "", "🙂"])
    writer.add_array("kinds.numbers", [1, 2, -3])
    writer.add_array("kinds.fractions", [0.5, -0.25])
    tensors = {}
    for name in QUANTIZED:
        source = rng.normal(size=(ROWS, COLUMNS)).astype(np.float32)
        source[0, :32] = 0  # a block whose scale is 0
        raw = gguf.quants.quantize(source, Type[name])
        writer.add_tensor(name, raw, raw_dtype=Type[name])
        tensors[name] = {"source": floats(source), "data": floats(gguf.quants.dequantize(raw, Type[name]).astype(np.float32))}
    for name in K_FORMATS:
        raw = random_blocks(name, rng)
        writer.add_tensor(name, raw, raw_dtype=Type[name])
        tensors[name] = {"data": floats(gguf.quants.dequantize(raw, Type[name]))}
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    made_by = f"golden/make_gguf.py, gguf 0.19.0, numpy {np.__version__}"
    write_json(folder / "expected.json", {"madeBy": made_by, "tensors": tensors})


if __name__ == "__main__":
    make()
