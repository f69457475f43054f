"""Makes golden/torch/: torch checkpoints with the numbers they hold, ones that no state dict is, and hostile ones.

Every file is read back with torch.load (weights_only, in a process of its own with little memory for hostile files).
Nothing in a hostile file is ever run; torch_hostile.py says what each would do.

    python golden/make_torch.py
"""

import argparse
import base64
import collections
import gzip
import io
import json
import os
import pickle
import resource
import shutil
import signal
import struct
import tarfile
import tempfile
import warnings
import zipfile
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

import torch_hostile
from common import GOLDEN, write_json
from torch_parts import FOUR, Entry, call, checkpoint, legacy, legacy_storage, name, program, storage, tensor

FOLDER = GOLDEN / "torch"
MADE_BY = f"golden/make_torch.py, torch {torch.__version__.split('+')[0]}, numpy {np.__version__}"
# the nearest dtype of Kindling that holds every value (float64: the nearest float32)
STORED_AS = {
    torch.float64: torch.float32,
    torch.float8_e4m3fn: torch.float32,
    torch.float8_e5m2: torch.float32,
    torch.int16: torch.int32,
    torch.uint16: torch.int32,
    torch.uint32: torch.int64,
}
MEMORY_BYTES = 2**30
SECONDS = 20


def leaves(value, path=()):
    """(path, leaf) of everything in nested dicts, lists and tuples."""
    if isinstance(value, (dict, list, tuple)) and not isinstance(value, torch.Size):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from leaves(item, (*path, str(key)))
    else:
        yield ".".join(path), value


def same_bits(a, b):
    """Whether two tensors agree in dtype, shape and every bit."""
    return a.dtype == b.dtype and a.shape == b.shape and bits(a) == bits(b)


def bits(value):
    value = value.detach().contiguous()
    return b"" if value.numel() == 0 else value.reshape(-1).view(torch.uint8).numpy().tobytes()


def expect(label, path, held, read=None):
    """Checks that torch reads `held` from a file and writes its tensors as safetensors; returns the entry of expected.json."""
    weights_only = not label.startswith("protocol-")  # torch's own safe reader knows protocol 2 alone
    loaded = torch.load(FOLDER / path, weights_only=weights_only, map_location="cpu") if read is None else read
    held, loaded = dict(leaves(held)), dict(leaves(loaded))
    assert list(held) == list(loaded), label
    tensors, dtypes, others = {}, {}, {}
    for key, value in held.items():
        if isinstance(value, torch.Tensor):
            assert same_bits(value, loaded[key]), (label, key)
            dtypes[key] = str(value.dtype).removeprefix("torch.")
            tensors[key] = value.detach().to(STORED_AS.get(value.dtype, value.dtype)).contiguous().clone()
        elif value is None or isinstance(value, (bool, int, float, str)):
            assert value == loaded[key], (label, key)
            others[key] = value
    save_file(tensors, FOLDER / f"{label}.safetensors")
    return {"file": str(path), "expected": f"{label}.safetensors", "dtypes": dtypes, **({"others": others} if others else {})}


def dtypes():
    floats = torch.tensor([[0.0, -0.0, 1.0, -2.5], [1e-3, 65504.0, float("inf"), float("nan")]])
    return {
        "f32": floats * 1.1,
        "f16": floats.half(),
        "bf16": (floats * 1.1).bfloat16(),
        "i64": torch.tensor([0, -1, 2**53 + 1, -(2**63), 2**63 - 1]),
        "i32": torch.tensor([0, -1, 2**31 - 1, -(2**31)], dtype=torch.int32),
        "i8": torch.tensor([0, -1, 127, -128], dtype=torch.int8),
        "u8": torch.tensor([0, 1, 255], dtype=torch.uint8),
        "bool": torch.tensor([[True, False], [False, True]]),
    }


def other_dtypes():
    return {
        "f64": torch.tensor([0.1, -1e300, 1 / 3, 1e-310], dtype=torch.float64),
        "i16": torch.tensor([0, -1, 32767, -32768], dtype=torch.int16),
        "u16": torch.tensor([0, 65535], dtype=torch.uint16),
        "u32": torch.tensor([0, 2**32 - 1], dtype=torch.uint32),
    }


def float8():
    codes = torch.arange(256).to(torch.uint8)
    return {"f8_e4m3fn": codes.view(torch.float8_e4m3fn), "f8_e5m2": codes.view(torch.float8_e5m2).reshape(16, 16)}


def shapes():
    base = torch.arange(24.0).reshape(2, 3, 4)
    return {
        "scalar": torch.tensor(2.5),
        "scalar_i64": torch.tensor(7),
        "empty": torch.zeros(0),
        "empty_rows": torch.zeros(0, 3),
        "empty_middle": torch.zeros(2, 0, 2),
        "ones": torch.full((1, 1, 1, 1, 1), 3.0),
        "transposed": base[0].t(),
        "permuted": base.permute(2, 0, 1),
        "every_second": base[:, :, ::2],
        "narrow": base[1, 1:, 1:3],
        "expanded": torch.tensor([[1.0], [2.0]]).expand(2, 5),
        "expanded_scalar": torch.tensor(4.0).expand(2, 3),
        "channels_last": torch.arange(16.0).reshape(1, 2, 2, 4).to(memory_format=torch.channels_last),
        "diagonal": torch.arange(9.0).reshape(3, 3).diagonal(),
    }


def shared():
    base = torch.arange(12.0)
    tied = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    return {
        "first": base[:4],
        "second": base[4:].reshape(2, 4),
        "whole": base,
        "windows": base.as_strided((5, 4), (2, 1)),
        "embed.weight": tied,
        "head.weight": tied,
        "head.transposed": tied.t(),
    }


def many():
    """So many tensors that the memo's indices take four bytes."""
    rows = {f"row.{index}": row for index, row in enumerate(torch.arange(160.0).reshape(80, 2))}
    return {**rows, "tied": rows["row.79"]}


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 2), nn.BatchNorm1d(2)])
        self.head = nn.Linear(2, 3, bias=False)
        self.head.weight = nn.Parameter(torch.randn(3, 2).half())


def training():
    """What a training script saves: weights, an optimizer after a step, and settings."""
    model = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    settings = {"name": "Grüße, 世界 🙂", "empty": "", "steps": 2**40, "least": -(2**70), "seed": -5, "rate": 0.1, "resume": None, "ema": True, "fp16": False}
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "settings": settings, "sizes": [1, (2, 3), []], "epoch": 3}


def values():
    """Python values that torch's safe reader knows too; only the tensor has to be read."""
    return {
        "weight": torch.ones(2),
        "size": torch.Size([2, 3]),
        "dtype": torch.bfloat16,
        "device": torch.device("cpu"),
        "set": {"a"},
        "bytes": b"\x00\xff",
        "bytearray": bytearray(b"ab"),
        "complex": 1 + 2j,
        "counter": collections.Counter("aab"),
    }


def attributes():
    """Tensors that have Python attributes."""
    weight = nn.Parameter(torch.ones(2))
    weight.tensor_parallel = True
    buffer = torch.zeros(2)
    buffer.note = "x"
    return {"weight": weight, "buffer": buffer}


def save(path, value, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(value, path, **options)


def stable_key():
    """str() for torch's legacy writer, whose storage keys are addresses: the first storage comes last among the sorted keys."""
    keys = {}
    return lambda value: keys.setdefault(value, f"9475{10**10 - 112 * (len(keys) + 1)}") if isinstance(value, int) else str(value)


def save_legacy(path, value):
    with path.open("wb") as file, mock.patch.object(torch.serialization, "str", stable_key(), create=True):
        torch.serialization._legacy_save(value, file, pickle, 2)  # torch.save(..., _use_new_zipfile_serialization=False)


def repack(source, path, **options):
    """The same records by another zip tool: deflated, data first, in another folder, without alignment."""
    with zipfile.ZipFile(source) as old:
        records = sorted(((info.filename.split("/", 1)[1], old.read(info)) for info in old.infolist()), key=lambda record: record[0] == "data.pkl")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for record, data in records:
            new.writestr(zipfile.ZipInfo(f"re packed/{record}"), data, zipfile.ZIP_DEFLATED)


def big_endian():
    """As a machine with the high byte first writes it."""
    held = {"f32": torch.tensor([1.5, -2.0]), "f16": torch.tensor([1.5]).half(), "i64": torch.tensor([1, -2]), "u8": torch.tensor([1, 2], dtype=torch.uint8)}
    kinds = {"f32": ("FloatStorage", ">f4"), "f16": ("HalfStorage", ">f2"), "i64": ("LongStorage", ">i8"), "u8": ("ByteStorage", "u1")}
    body, data = {}, {}
    for key, (label, value) in enumerate(held.items()):
        kind, order = kinds[label]
        body[label] = tensor(storage(str(key), len(value), kind), size=tuple(value.shape))
        data[str(key)] = value.numpy().astype(order).tobytes()
    return held, checkpoint(program(body), data, byteorder="big")


def first_zip():
    """As torch 1.6 wrote it on a GPU: no byteorder record, the location cuda:0, the class of a CUDA storage."""
    places = {"w": storage(location="cuda:0"), "v": storage("1", 2, name("torch.cuda", "FloatStorage"), "cuda:1")}
    body = {"w": tensor(places["w"], size=(2, 2), stride=(2, 1)), "v": tensor(places["v"], size=(2,))}
    held = {"w": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "v": torch.tensor([5.0, 6.0])}
    return held, checkpoint(program(body), {"0": FOUR, "1": struct.pack("<2f", 5, 6)}, byteorder=None, version="2")


def legacy_views():
    """As torch 0.3 wrote it: _rebuild_tensor without hooks, and storages that are views of others."""
    rebuild = name("torch._utils", "_rebuild_tensor")
    view = legacy_storage("100", 4, view=("101", 1, 2))
    body = {"w": call(rebuild, legacy_storage("100"), 0, (2, 2), (1, 2)), "v": call(rebuild, view, 0, (2,), (1,))}
    return {"w": torch.tensor([[1.0, 3.0], [2.0, 4.0]]), "v": torch.tensor([2.0, 3.0])}, legacy(program(body), {"100": (4, FOUR)})


def checkpoints():
    torch.manual_seed(0)
    plain = {
        "dtypes": dtypes(),
        "other-dtypes": other_dtypes(),
        "float8": float8(),
        "shapes": shapes(),
        "shared": shared(),
        "many": many(),
        "module": Small().state_dict(),
        "ordered": collections.OrderedDict(b=torch.ones(1), a=torch.zeros(2)),
        "nested": {"state_dict": {"layer.weight": torch.randn(2, 2), "layer.bias": torch.randn(2)}, "epoch": 3},
        "parameters": {"weight": nn.Parameter(torch.randn(2, 2)), "frozen": nn.Parameter(torch.randn(2), requires_grad=False), "buffer": torch.ones(2)},
        "training": training(),
        "values": values(),
        "attributes": attributes(),
    }
    for label, value in plain.items():
        save(FOLDER / f"{label}.pt", value, _use_new_zipfile_serialization=True)
        yield label, expect(label, f"{label}.pt", value)
    for protocol in (3, 4, 5):
        held = {"model": Small().state_dict(), "p": nn.Parameter(torch.ones(2)), "f8": torch.ones(2).to(torch.float8_e5m2), "epoch": 3}
        label = f"protocol-{protocol}"
        save(FOLDER / f"{label}.pt", held, pickle_protocol=protocol)
        yield label, expect(label, f"{label}.pt", held)

    torch.serialization.set_crc32_options(False)
    save(FOLDER / "no-crc.pt", plain["ordered"])
    torch.serialization.set_crc32_options(True)
    yield "no-crc", expect("no-crc", "no-crc.pt", plain["ordered"])
    held = plain["shared"] | plain["dtypes"] | {"empty": torch.zeros(0, 3), "parameter": nn.Parameter(torch.ones(2))}
    save_legacy(FOLDER / "legacy.bin", held)
    yield "legacy", expect("legacy", "legacy.bin", held)
    repack(FOLDER / "module.pt", FOLDER / "deflated.pt")
    yield "deflated", expect("deflated", "deflated.pt", plain["module"])
    for path, (held, data) in {"big-endian.pt": big_endian(), "first-zip.pt": first_zip(), "legacy-views.bin": legacy_views()}.items():
        (FOLDER / path).write_bytes(data)
        yield Path(path).stem, expect(Path(path).stem, path, held)
    yield "sharded", sharded()


def sharded():
    """Two shards with an index as transformers wrote them before safetensors."""
    folder, held = FOLDER / "sharded", {"embed.weight": torch.randn(4, 2), "layer.weight": torch.randn(2, 2).half(), "layer.bias": torch.randn(2)}
    shards = {"pytorch_model-00001-of-00002.bin": ["embed.weight"], "pytorch_model-00002-of-00002.bin": ["layer.weight", "layer.bias"]}
    read = {}
    for file, keys in shards.items():
        save(folder / file, {key: held[key] for key in keys})
        read |= torch.load(folder / file, weights_only=True)
    index = {
        "metadata": {"total_size": sum(value.nbytes for value in held.values())},
        "weight_map": {key: file for file, keys in shards.items() for key in keys},
    }
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n", newline="\n")
    return expect("sharded", "sharded/pytorch_model.bin.index.json", held, read)


def tar_file():
    """The frame of a file of torch before 0.1.12: a tar of pickles."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member in ("sys_info", "pickle", "storages", "tensors"):
            data = program({} if member in ("sys_info", "pickle") else 0)
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def unsupported():
    """Checkpoints that torch can write and that are no state dict of dense tensors: (file, what it is, what an error should name)."""
    folder, w = FOLDER / "unsupported", torch.tensor([1.0, 2.0, 3.0, 4.0])
    quantized = torch.quantize_per_tensor(w, 0.1, 3, torch.qint8)
    things = {
        "complex": ("a tensor of complex64", {"w": torch.complex(w, -w)}, "ComplexFloatStorage"),
        "sparse": ("a sparse tensor", {"w": torch.eye(3).to_sparse()}, "_rebuild_sparse_tensor"),
        "quantized": ("a quantized tensor", {"w": quantized}, "_rebuild_qtensor"),
        "meta": ("a tensor without data", {"w": torch.empty(2, device="meta")}, "_rebuild_meta_tensor_no_storage"),
        "module": ("a whole module, not its state dict", nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        "namespace": ("weights beside an argparse.Namespace", {"w": w, "args": argparse.Namespace(rate=0.1)}, "argparse.Namespace"),
        "numpy": ("weights beside a number of NumPy", {"w": w, "best": np.float64(0.5)}, "numpy"),
        "float4": ("a tensor of float4_e2m1fn_x2", {"w": torch.zeros(2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)}, "float4_e2m1fn_x2"),
        "tensor": ("one tensor, not a dict", w, None),
    }
    for label, (about, value, mention) in things.items():
        save(folder / f"{label}.pt", value)
        yield label, {"file": f"unsupported/{label}.pt", "about": about, "mention": mention}
    (folder / "tar.bin").write_bytes(tar_file())
    yield "tar", {"file": "unsupported/tar.bin", "about": "a tar archive, as torch before 0.1.12 wrote", "mention": "tar"}
    script = [Entry("archive/constants.pkl", program(())), Entry("archive/code/__torch__.py", b"class Model(Module):\n  pass\n")]
    (folder / "torchscript.pt").write_bytes(checkpoint(program(name("__torch__", "Model")), more=script))
    yield "torchscript", {"file": "unsupported/torchscript.pt", "about": "a TorchScript archive", "mention": "TorchScript"}
    (folder / "pickle.bin").write_bytes(pickle.dumps({"w": [1.0, 2.0]}, protocol=2))
    yield "pickle", {"file": "unsupported/pickle.bin", "about": "a plain pickle, not by torch.save", "mention": None}


def torch_says(data):
    """What torch.load(weights_only=True) makes of a file: "reads", the name of its exception, or how its process ended."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))
        signal.alarm(SECONDS)
        warnings.simplefilter("ignore")
        try:
            with tempfile.NamedTemporaryFile(suffix=".pt") as file:
                file.write(data)
                file.flush()
                read = torch.load(file.name, weights_only=True, map_location="cpu")
            w = read["w"] if isinstance(read, dict) and "w" in read else torch.empty(0)
            answer = "reads" if w.numel() != 4 or w.flatten().tolist() == [1, 2, 3, 4] else "reads other numbers"
        except BaseException as error:
            answer = type(error).__name__
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read().decode()
    status = os.waitpid(child, 0)[1]
    return answer or ("takes too long" if os.WTERMSIG(status) == signal.SIGALRM else "crashes")


def hostile():
    marker = Path(tempfile.gettempdir()) / torch_hostile.MARKER
    assert not marker.exists(), f"remove {marker} first"
    files = {}
    for case in torch_hostile.cases():
        assert case.name not in files, case.name
        mention = {"mention": case.mention} if case.mention else {}
        data = base64.b64encode(case.data).decode()
        files[case.name] = {"about": case.about, "outcome": case.outcome, **mention, "torch": torch_says(case.data), "data": data}
    assert not marker.exists(), "a hostile file was run"
    text = json.dumps({"madeBy": MADE_BY, "marker": torch_hostile.MARKER, "files": files}, separators=(",", ":"))
    (FOLDER / "hostile.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def make():
    warnings.filterwarnings("ignore", message="torch.quantize_per_tensor")
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "unsupported").mkdir(parents=True)
    expected = {"madeBy": MADE_BY, "checkpoints": dict(checkpoints()), "unsupported": dict(unsupported())}
    write_json(FOLDER / "expected.json", expected)
    hostile()


if __name__ == "__main__":
    make()
