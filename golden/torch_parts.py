"""Hand-made parts of torch checkpoints for make_torch.py: pickle code, zip archives and legacy files; makes nothing when run."""

import pickle
import struct
import zlib
from dataclasses import dataclass

STORED, DEFLATED = 0, 8
DESCRIPTOR_FOLLOWS = 0x8
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001


# Pickle code: bytes stand for themselves, other values are turned into opcodes of protocol 2.
def code(value):
    """The opcodes that push a value; bytes are taken as opcodes already."""
    if isinstance(value, bytes):
        return value
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        data = value.encode()
        return b"X" + struct.pack("<I", len(data)) + data
    items = sum(value.items(), ()) if isinstance(value, dict) else value
    parts = b"".join(code(item) for item in items)
    if isinstance(value, dict):
        return b"}(" + parts + b"u"
    if isinstance(value, list):
        return b"](" + parts + b"e"
    return {0: b")", 1: parts + b"\x85", 2: parts + b"\x86", 3: parts + b"\x87"}.get(len(value), b"(" + parts + b"t")


def integer(value):
    if 0 <= value < 2**8:
        return b"K" + struct.pack("<B", value)
    if 0 <= value < 2**16:
        return b"M" + struct.pack("<H", value)
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    data = pickle.encode_long(value)
    return b"\x8a" + struct.pack("<B", len(data)) + data


def name(module, attribute):
    """GLOBAL: a function or class by name."""
    return f"c{module}\n{attribute}\n".encode()


def stack_name(module, attribute):
    """STACK_GLOBAL of protocol 4: the same with both names from the stack."""
    return code(module) + code(attribute) + b"\x93"


def call(function, *arguments):
    """REDUCE."""
    return function + code(arguments) + b"R"


def program(body, protocol=2):
    """A whole pickle."""
    return b"\x80" + struct.pack("<B", protocol) + code(body) + b"."


ORDERED_DICT = call(name("collections", "OrderedDict"))
REBUILD = name("torch._utils", "_rebuild_tensor_v2")


def storage(key="0", count=4, kind="FloatStorage", location="cpu", tag="storage"):
    """A storage by its persistent id."""
    return code((tag, name("torch", kind) if isinstance(kind, str) else kind, key, location, count)) + b"Q"


def tensor(data=None, offset=0, size=(4,), stride=(1,)):
    return call(REBUILD, data or storage(), offset, size, stride, False, ORDERED_DICT)


@dataclass
class Entry:
    """A file in a zip archive. What is not None after `method` is written instead of the truth."""

    name: str
    data: bytes
    method: int = STORED
    size: int | None = None
    packed: int | None = None
    crc: int | None = None
    offset: int | None = None
    local_name: str | None = None
    flags: int = 0
    said_method: int | None = None
    extra: bytes = b""


def deflate(data):
    """As zip files hold it: no header."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def archive(entries, count=None, directory_at=None):
    """A zip archive without zip64; `count` and `directory_at` are written instead of the truth."""
    body, directory = b"", b""
    for entry in entries:
        packed = deflate(entry.data) if entry.method == DEFLATED else entry.data
        truth = (zlib.crc32(entry.data), len(packed), len(entry.data))
        crc, packed_size, size = (said if said is not None else real for said, real in zip((entry.crc, entry.packed, entry.size), truth))
        method = entry.said_method if entry.said_method is not None else entry.method
        file_name = entry.name.encode()
        local_name = (entry.local_name if entry.local_name is not None else entry.name).encode()
        offset = entry.offset if entry.offset is not None else len(body)
        fields = struct.pack("<HHHHHIII", 20, entry.flags, method, 0, 33, crc, packed_size, size)
        body += b"PK\3\4" + fields + struct.pack("<HH", len(local_name), 0) + local_name + packed
        directory += b"PK\1\2" + struct.pack("<H", 20) + fields + struct.pack("<HHHHHII", len(file_name), len(entry.extra), 0, 0, 0, 0, offset)
        directory += file_name + entry.extra
    count = len(entries) if count is None else count
    start = len(body) if directory_at is None else directory_at
    return body + directory + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), start, 0)


def checkpoint(pickled, data=None, more=(), prefix="archive", byteorder="little", version="3"):
    """A checkpoint; `data` maps storage keys to their bytes or to an Entry without a name."""
    entries = [Entry(f"{prefix}/data.pkl", pickled)]
    if byteorder:
        entries.append(Entry(f"{prefix}/byteorder", byteorder.encode()))
    for key, value in ({"0": FOUR} if data is None else data).items():
        entry = value if isinstance(value, Entry) else Entry("", value)
        entry.name = f"{prefix}/data/{key}"
        entries.append(entry)
    entries.append(Entry(f"{prefix}/version", f"{version}\n".encode()))
    return archive([*entries, *more])


FOUR = struct.pack("<4f", 1, 2, 3, 4)
"""The numbers of tensor `w` in every hand-made checkpoint."""


def legacy_storage(key="0", count=4, kind="FloatStorage", view=None):
    """As storage(), in a legacy file: `view` is (key, offset, count) of a part."""
    return code(("storage", name("torch", kind), key, "cpu", count, view)) + b"Q"


def legacy(pickled, raw=None, keys=None, magic=LEGACY_MAGIC, protocol=LEGACY_PROTOCOL):
    """A file of torch before 1.6: five pickles, then each storage as a 64-bit count and its bytes."""
    raw = {"0": (4, FOUR)} if raw is None else raw
    info = {"protocol_version": LEGACY_PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    pickles = [program(magic), program(protocol), program(info), pickled, program(list(raw) if keys is None else keys)]
    return b"".join(pickles) + b"".join(struct.pack("<q", count) + data for count, data in raw.values())
