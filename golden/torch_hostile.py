"""Hostile and damaged torch checkpoints for make_torch.py; makes nothing when run.

Where a file tries to run something, it would only make an empty file named MARKER in the temporary folder.
Tensor `w` of a file that may be read is [1, 2, 3, 4].
"""

import struct
from dataclasses import dataclass

from torch_parts import (
    DEFLATED,
    DESCRIPTOR_FOLLOWS,
    FOUR,
    LEGACY_MAGIC,
    ORDERED_DICT,
    REBUILD,
    Entry,
    archive,
    call,
    checkpoint,
    code,
    legacy,
    legacy_storage,
    name,
    program,
    stack_name,
    storage,
    tensor,
)

MARKER = "kindling-pickle-ran"
SHELL = f'touch "${{TMPDIR:-/tmp}}/{MARKER}"'
PYTHON = f'open(__import__("os").path.join(__import__("tempfile").gettempdir(), "{MARKER}"), "w").close()'
REFUSE, EITHER = "refuse", "either"
W = {"w": tensor()}


@dataclass
class Case:
    name: str
    about: str
    data: bytes
    outcome: str = REFUSE
    mention: str | None = None
    """What the error should name."""


def pickled(body, protocol=2):
    return checkpoint(program(body, protocol))


def deflated(body):
    """A checkpoint whose pickle is packed."""
    return archive([Entry("archive/data.pkl", program(body), DEFLATED), Entry("archive/data/0", FOUR), Entry("archive/version", b"3\n")])


def raw(body):
    """A checkpoint whose pickle is these opcodes after PROTO."""
    return checkpoint(b"\x80\x02" + body)


def calls():
    """Files that try to run something."""
    system, evaluate = name("os", "system"), name("builtins", "eval")
    yield Case("os-system", "REDUCE of os.system", pickled(call(system, SHELL)), mention="os.system")
    yield Case("posix-system", "REDUCE of posix.system, beside weights", pickled({**W, "x": call(name("posix", "system"), SHELL)}), mention="posix.system")
    yield Case("builtins-eval", "REDUCE of builtins.eval", pickled(call(evaluate, PYTHON)), mention="builtins.eval")
    yield Case("python2-eval", "REDUCE of eval by its name in Python 2", pickled(call(name("__builtin__", "eval"), PYTHON)), mention="eval")
    yield Case("stack-global", "os.system by STACK_GLOBAL", pickled(call(stack_name("os", "system"), SHELL), 4), mention="os.system")
    memoized = code("os") + b"\x94" + code("system") + b"\x94" + b"00" + b"h\0h\1\x93" + code((SHELL,)) + b"R."
    yield Case("stack-global-memo", "os.system by STACK_GLOBAL of names from the memo", checkpoint(b"\x80\x04" + memoized), mention="os.system")
    dotted = stack_name("torch", "serialization.os.system")
    yield Case("dotted-name", "STACK_GLOBAL walks from torch to os.system", pickled(call(dotted, SHELL), 4), mention="serialization.os.system")
    yield Case("inst", "os.system by INST", raw(b"(" + code(SHELL) + b"ios\nsystem\n."), mention="os.system")
    yield Case("obj", "os.system by OBJ", raw(b"(" + system + code(SHELL) + b"o."), mention="os.system")
    yield Case("newobj", "NEWOBJ of subprocess.Popen", raw(name("subprocess", "Popen") + code((["touch"],)) + b"\x81."), mention="subprocess.Popen")
    yield Case(
        "newobj-ex",
        "NEWOBJ_EX of subprocess.Popen",
        checkpoint(program(name("subprocess", "Popen") + code(()) + code({}) + b"\x92", 4)),
        mention="subprocess.Popen",
    )
    yield Case("extension", "EXT1 asks for a registered function", raw(b"\x82\x01" + code((SHELL,)) + b"R."))
    yield Case("never-called", "os.system is named but not called", pickled({**W, "x": system}), mention="os.system")
    yield Case("popped", "os.system is called and its result dropped", raw(call(system, SHELL) + b"0" + code(W) + b"."), mention="os.system")
    yield Case("after-stop", "weights, and a second pickle that calls os.system after STOP", checkpoint(program(W) + program(call(system, SHELL))), EITHER)
    yield Case("other-class", "REDUCE of a class that no state dict has", pickled({**W, "x": call(name("pathlib", "PosixPath"), "/tmp")}), mention="pathlib.PosixPath")
    yield Case("torch-function", "REDUCE of a torch function that is no part of state dicts", pickled(call(name("torch", "load"), "x")), mention="torch.load")
    yield Case("hub-load", "REDUCE of torch.hub.load", pickled(call(name("torch.hub", "load"), "a/b", "c")), mention="torch.hub.load")
    yield Case("getattr", "REDUCE of getattr", pickled(call(name("builtins", "getattr"), REBUILD, "__globals__")), mention="getattr")
    yield Case("call-text", "REDUCE of a string", pickled(call(code("os.system"), SHELL)))
    yield Case("call-storage-class", "REDUCE of torch.FloatStorage", pickled(call(name("torch", "FloatStorage"), 2**40)), mention="FloatStorage")
    yield Case("build-class", "BUILD sets __class__ of an OrderedDict", pickled(ORDERED_DICT + code({"__class__": name("os", "system")}) + b"b"), mention="os.system")
    yield Case("build-function", "BUILD of a function", pickled(REBUILD + code({"__code__": None}) + b"b"))
    yield Case("module-id", "a persistent id of a module with its source", pickled(code(("module", name("os", "system"), "a.py", PYTHON)) + b"Q"), mention="os.system")
    yield Case("text-id", "PERSID, the id as text", raw(b"Pstorage\n."))
    yield Case("other-id", "a persistent id that is no storage", pickled(code(("weights", "0")) + b"Q"))
    yield Case("number-id", "a persistent id that is a number", pickled(code(7) + b"Q"))


def bombs():
    """Small files that would take much memory or time."""
    laughs, dicts = code("lol") + b"q\0", code({"a": 1}) + b"q\0"
    for index in range(30):
        again = b"h" + bytes([index])
        laughs = b"(" + laughs + again * 9 + b"tq" + bytes([index + 1])
        dicts = b"}(" + code("a") + dicts + b"".join(code(key) + again for key in "bcd") + b"uq" + bytes([index + 1])
    yield Case("billion-laughs", "tuples of ten times the same tuple, 30 deep, beside weights", pickled({"bomb": laughs, **W}), EITHER)
    yield Case("laughing-key", "the same tuples as a key of a dict: hashing takes forever", pickled({laughs: 1, **W}), EITHER)
    yield Case("doubled-dicts", "dicts of four times the same dict, 30 deep", pickled({"bomb": dicts, **W}), EITHER)
    doubled = code(["lol"]) + b"".join(b"2\x86" for _ in range(60))
    yield Case("doubled", "pairs of the same pair by DUP, 60 deep, beside weights", pickled({"bomb": doubled, **W}), EITHER)
    yield Case("list-in-itself", "a list that holds itself, beside weights", pickled({"bomb": b"]q\0h\0a", **W}), EITHER)
    yield Case("dict-in-itself", "a state dict that holds itself", raw(b"}q\0(" + code("self") + b"h\0" + code("w") + tensor() + b"u."), EITHER)
    yield Case("deep", "tuples 200000 deep, deflated, beside weights", deflated({"bomb": b")" + b"\x85" * 200_000, **W}), EITHER)
    yield Case("many-lists", "16 million lists, deflated to 16 KB", deflated(b"]" * 2**24))
    yield Case("memo-index", "LONG_BINPUT at the largest index", raw(code(W) + b"r\xff\xff\xff\xff."), EITHER)
    yield Case("expanded", "a tensor of 2^40 elements, all of stride 0", pickled({"w": tensor(size=(2**20, 2**20), stride=(0, 0))}))
    wide = tensor(size=(2**24,), stride=(0,))
    yield Case("many-expanded", "500 tensors of 2^24 elements of stride 0, beside weights", deflated({**W, **{f"v{index}": wide for index in range(500)}}), EITHER)
    yield Case("dims", "a tensor of 10000 dimensions", deflated({"w": tensor(size=(1,) * 9_999 + (4,), stride=(1,) * 10_000)}), EITHER)
    hidden = Entry("", bytes(2**23), DEFLATED, size=16)
    yield Case("deflate-bomb", "a record said to be 16 bytes inflates to 8 MB", checkpoint(program(W), {"0": hidden}))
    claimed = Entry("", bytes(64), DEFLATED, size=2**32 - 2)
    yield Case("deflate-claim", "a record of 64 bytes said to inflate to 4 GB", checkpoint(program({"w": tensor(storage(count=2**30 - 1), size=(2**30 - 1,))}), {"0": claimed}))
    yield Case("pickle-claim", "data.pkl is said to inflate to 4 GB", archive([Entry("archive/data.pkl", program(W), DEFLATED, size=2**32 - 2), Entry("archive/data/0", FOUR), Entry("archive/version", b"3\n")]))


def damaged_pickles():
    for opcode, about in {"BINUNICODE": b"X\xff\xff\xff\xffabc", "BINBYTES": b"B\xff\xff\xff\xffabc", "LONG1": b"\x8a\xffabc", "LONG4": b"\x8b\xff\xff\xff\x7fabc"}.items():
        yield Case(f"length-{opcode.lower()}", f"{opcode} longer than the pickle", raw(about))
    yield Case("length-binunicode8", "BINUNICODE8 of 2^62 bytes", checkpoint(b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"abc"))
    yield Case("length-bytearray8", "BYTEARRAY8 of 2^40 bytes", checkpoint(b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"abc"))
    yield Case("length-long4-negative", "LONG4 of -1 bytes", raw(b"\x8b\xff\xff\xff\xff."))
    yield Case("frame", "FRAME longer than the pickle, beside weights", checkpoint(b"\x80\x04\x95" + struct.pack("<Q", 2**40) + code(W) + b"."), EITHER)
    yield Case("no-stop", "a pickle that ends before STOP", raw(code(W)))
    yield Case("empty-pickle", "data.pkl has no bytes", checkpoint(b""))
    yield Case("protocol", "protocol 9", pickled(W, 9))
    yield Case("opcode", "an opcode that does not exist", raw(b"\xff."))
    yield Case("underflow", "REDUCE on an empty stack", raw(b"R."))
    yield Case("stop-on-nothing", "STOP on an empty stack", raw(b"."))
    yield Case("no-mark", "TUPLE without a mark", raw(code(1) + b"t."))
    yield Case("no-memo", "BINGET of an index that was never put", raw(b"h\x05."))
    yield Case("append-to-tuple", "APPEND to a tuple", raw(code(()) + code(1) + b"a."))
    yield Case("item-of-list", "SETITEM on a list", raw(b"]" + code("w") + code(1) + b"s."))
    yield Case("item-of-class", "SETITEM on a class", raw(name("collections", "OrderedDict") + code("w") + code(1) + b"s."))
    yield Case("odd-items", "SETITEMS with a key and no value", raw(b"}(" + code("w") + tensor() + code("v") + b"u."))
    yield Case("no-utf8", "text that is not UTF-8", raw(b"}X\x01\x00\x00\x00\xff" + tensor() + b"s."))
    yield Case("list-key", "a dict with a list as a key", raw(b"}]" + tensor() + b"s."))
    yield Case("no-dict", "the pickle is a number", pickled(3))
    for key in ("__proto__", "constructor", "hasOwnProperty", "toString"):
        body = {**W, key: {"polluted": tensor()}}
        yield Case(f"key-{key.strip('_').lower()}", f"a dict under the key {key}: no object of the reader may change", pickled(body), EITHER)
    build = ORDERED_DICT + code({"__proto__": {"polluted": 1}}) + b"b(" + code("w") + tensor() + b"u"
    yield Case("build-proto", "BUILD with a state under __proto__", pickled(build), EITHER)


def lying_tensors():
    def case(label, about, body, data=None, outcome=REFUSE):
        return Case(label, about, checkpoint(program({"w": body}), data), outcome)

    yield case("count-beyond", "a storage of 1000 elements in a record of 4", tensor(storage(count=1000)))
    yield case("count-below", "a storage of 4 elements in a record of 8", tensor(), {"0": FOUR + FOUR})
    yield case("count-negative", "a storage of -4 elements", tensor(storage(count=-4)))
    yield case("count-huge", "a storage of 2^62 elements", tensor(storage(count=2**62), size=(2**62,)))
    yield case("count-wraps", "a storage of 2^62 + 4 elements: the bytes wrap to 16", tensor(storage(count=2**62 + 4)))
    yield case("count-float", "a storage of 4.0 elements", tensor(storage(count=4.0)))
    yield case("count-text", "a storage of '4' elements", tensor(storage(count="4")))
    yield case("no-record", "a storage without a record", tensor(storage("7")))
    yield case("key-path", "a storage whose key walks out of the archive", tensor(storage("../../../etc/passwd")))
    yield case("key-walks", "a storage whose key walks inside the archive", tensor(storage("x/../0")))
    yield case("key-number", "a storage whose key is a number", tensor(storage(0)), outcome=EITHER)
    yield case("kind", "a storage of a class that does not exist", tensor(storage(kind="SecretStorage")))
    yield case("kind-text", "a storage whose class is text", tensor(storage(kind=code("FloatStorage"))))
    yield case("kind-function", "a storage whose class is a function", tensor(storage(kind=REBUILD)))
    yield case("short-id", "a storage id of two parts", tensor(code(("storage", "0")) + b"Q"))
    yield Case(
        "two-dtypes",
        "one record as 4 floats and as 4000 bytes",
        pickled({**W, "v": tensor(storage(count=4000, kind="ByteStorage"), size=(4000,))}),
    )
    yield case("size-beyond", "5 elements of a storage of 4", tensor(size=(5,)))
    yield case("stride-beyond", "2 elements, 4 apart", tensor(size=(2,), stride=(4,)))
    yield case("offset-beyond", "4 elements from element 1 on", tensor(offset=1))
    yield case("offset-negative", "elements from -1 on", tensor(offset=-1))
    yield case("offset-huge", "elements from 2^62 on", tensor(offset=2**62))
    yield case("size-negative", "a size of -4", tensor(size=(-4,)))
    yield case("sizes-negative", "sizes of -2 and -2", tensor(size=(-2, -2), stride=(2, 1)))
    yield case("stride-negative", "a stride of -1", tensor(offset=3, stride=(-1,)))
    yield case("size-wraps", "sizes whose product wraps to 0", tensor(size=(2**32, 2**32), stride=(2**32, 1)))
    yield case("stride-wraps", "a stride whose bytes wrap", tensor(size=(2, 2), stride=(2**62, 1)))
    yield case("stride-missing", "two sizes and one stride", tensor(size=(2, 2), stride=(1,)))
    yield case("size-float", "a size of 4.0", tensor(size=(4.0,)))
    yield case("size-number", "sizes that are a number", tensor(size=4))
    yield case("no-storage", "a tensor without a storage", tensor(code(None)))
    yield case("few-arguments", "a tensor of storage and offset only", call(REBUILD, storage(), 0))
    yield case("v3-dtype", "_rebuild_tensor_v3 with text as its dtype", call(name("torch._utils", "_rebuild_tensor_v3"), storage(kind="ByteStorage", count=16), 0, (4,), (1,), False, ORDERED_DICT, "float32"))
    yield case("parameter-of-text", "_rebuild_parameter of text", call(name("torch._utils", "_rebuild_parameter"), "w", True, ORDERED_DICT))


def damaged_zips():
    good = checkpoint(program(W))
    records = [Entry("archive/data.pkl", program(W)), Entry("archive/data/0", FOUR), Entry("archive/version", b"3\n")]

    def changed(index, **lies):
        return archive([Entry(**{**vars(entry), **(lies if at == index else {})}) for at, entry in enumerate(records)])

    yield Case("empty", "no bytes", b"")
    yield Case("text", "a page of text", b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n")
    yield Case("git-lfs", "a Git LFS pointer in place of the file", b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 439457\n", mention="LFS")
    yield Case("signature", "four bytes of a zip", b"PK\3\4")
    yield Case("cut-half", "the first half of a file", good[: len(good) // 2])
    yield Case("cut-end", "the last byte is missing", good[:-1])
    yield Case("cut-front", "the first 20 bytes are missing", good[20:])
    yield Case("no-pickle", "an archive without data.pkl", archive(records[1:]))
    yield Case("no-entries", "an archive of no files", archive([]))
    yield Case("parent-prefix", "the archive's folder is ../..", checkpoint(program(W), prefix="../.."), EITHER)
    yield Case("parent-record", "a record named ../escape beside the others: nothing may be written", checkpoint(program(W), more=[Entry("archive/../../escape", b"x")]), EITHER)
    yield Case("absolute-record", "a record named /tmp/escape beside the others", checkpoint(program(W), more=[Entry("/tmp/escape", b"x")]), EITHER)
    yield Case("backslash-record", "a record named ..\\escape beside the others", checkpoint(program(W), more=[Entry("archive\\..\\..\\escape", b"x")]), EITHER)
    yield Case("two-prefixes", "data.pkl in two folders, the second calls os.system", archive([*records, Entry("other/data.pkl", program(call(name("os", "system"), SHELL)))]), EITHER)
    yield Case("two-pickles", "data.pkl twice, the second calls os.system", archive([*records, Entry("archive/data.pkl", program(call(name("os", "system"), SHELL)))]))
    yield Case("two-records", "data/0 twice with other numbers", archive([*records, Entry("archive/data/0", bytes(16))]))
    yield Case("byteorder", "byteorder is neither little nor big", checkpoint(program(W), byteorder="middle"))
    yield Case("version", "version 99", checkpoint(program(W), version="99"), EITHER)
    yield Case("encrypted", "a record that is encrypted", changed(1, flags=1))
    yield Case("method", "a record packed with a method that does not exist", changed(1, said_method=77))
    yield Case("not-deflate", "a record said to be deflated that is not", changed(1, said_method=DEFLATED))
    yield Case("record-beyond", "a record said to be 1 GB", changed(1, size=2**30, packed=2**30))
    yield Case("record-short", "a record said to be 8 bytes", changed(1, size=8, packed=8))
    yield Case("record-offset", "a record that starts outside of the file", changed(1, offset=2**31))
    yield Case("record-elsewhere", "a record that starts where no record does", changed(1, offset=5))
    yield Case("record-name", "a record with another name before its data", changed(1, local_name="archive/data/9"), EITHER)
    yield Case("overlap", "data/0 is said to start where data.pkl does", changed(1, offset=0))
    zip64 = struct.pack("<HHQQ", 1, 16, 2**62, 2**62)
    yield Case("zip64-size", "a record of 2^62 bytes by zip64", changed(1, size=2**32 - 1, packed=2**32 - 1, extra=zip64))
    yield Case("zip64-missing", "a record with its size in a zip64 field that is missing", changed(1, size=2**32 - 1, packed=2**32 - 1))
    yield Case("zip64-short", "a zip64 field longer than the entry", changed(1, size=2**32 - 1, packed=2**32 - 1, extra=struct.pack("<HHQ", 1, 400, 16)))
    yield Case("streamed", "sizes only after the data, zeros in the directory", changed(1, size=0, packed=0, crc=0, flags=DESCRIPTOR_FOLLOWS))
    yield Case("directory-count", "a directory said to have 60000 entries", archive(records, count=60_000))
    yield Case("directory-offset", "a directory said to start at 2 GB", archive(records, directory_at=2**31))
    yield Case("directory-zip64", "a directory with 2^60 entries by zip64", zip64_directory(archive(records)))


def zip64_directory(data):
    """The archive with a zip64 end record that claims 2^60 entries."""
    end = data.rfind(b"PK\5\6")
    size, start = struct.unpack("<II", data[end + 12 : end + 20])
    record = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 2**60, 2**60, size, start)
    locator = b"PK\6\7" + struct.pack("<IQI", 0, end, 1)
    return data[:end] + record + locator + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 2**32 - 1, 2**32 - 1, 0)


def damaged_legacy():
    def body(data=None):
        return program({"w": tensor(data or legacy_storage())})

    system = call(name("os", "system"), SHELL)
    good = legacy(body())
    yield Case("legacy-system", "a legacy file that calls os.system", legacy(program(system)), mention="os.system")
    yield Case("legacy-system-first", "os.system in the pickle of the magic number", program(system), mention="os.system")
    yield Case("legacy-system-keys", "os.system in the pickle of the storage keys", legacy(body(), keys=system), mention="os.system")
    yield Case("legacy-magic", "another magic number", legacy(body(), magic=LEGACY_MAGIC + 1))
    yield Case("legacy-protocol", "another protocol number", legacy(body(), protocol=1002))
    module = code(("module", name("torch.nn.modules.linear", "Linear"), "linear.py", PYTHON)) + b"Q"
    yield Case("legacy-module", "a legacy file of a whole module with its source", legacy(program(module)), mention="torch.nn.modules.linear.Linear")
    yield Case("legacy-cut", "a legacy file whose last storage is cut", good[:-1])
    yield Case("legacy-cut-keys", "a legacy file that ends before the storage keys", good[: good.rfind(b"\x80\x02")])
    yield Case("legacy-count-huge", "a storage of 2^60 elements", legacy(body(), raw={"0": (2**60, FOUR)}))
    yield Case("legacy-count-negative", "a storage of -1 elements", legacy(body(), raw={"0": (-1, FOUR)}))
    yield Case("legacy-count-differs", "a storage of 4 elements that has 2", legacy(body(), raw={"0": (2, FOUR[:8])}))
    yield Case("legacy-no-key", "a storage that is not among the keys", legacy(body(), raw={}))
    yield Case("legacy-other-key", "a key that no tensor has", legacy(body(), raw={"0": (4, FOUR), "9": (4, FOUR)}))
    yield Case("legacy-keys-text", "storage keys that are text", legacy(body(), keys="0"), EITHER)
    yield Case("legacy-view-beyond", "a view that ends outside of its storage", legacy(body(legacy_storage(view=("1", 2, 4)))))
    yield Case("legacy-view-negative", "a view that starts before its storage", legacy(body(legacy_storage(view=("1", -2, 4)))))


def cases():
    for kind in (calls, bombs, damaged_pickles, lying_tensors, damaged_zips, damaged_legacy):
        yield from kind()
