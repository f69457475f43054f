import { DataError, type HostArray } from "../base/index.ts";
import type { StoredType } from "./foreign-types.ts";
import {
  describe,
  PickleName,
  PickleOpaque,
  type PickleRules,
  PickleTuple,
  type PickleValue,
  readPickle,
} from "./pickle.ts";
import { readExactly, withSource } from "./read.ts";
import type { StoredTensor } from "./safetensors.ts";
import type { ByteSource, StoredFile } from "./source.ts";
import { dtypes, opaque, REBUILD, storageTypes, tensorTypes, understood } from "./torch-names.ts";
import { ZipFile } from "./zip.ts";

/*
 * Checkpoints of torch.save: a pickle that describes tensors, and the bytes of their storages. Since torch 1.6 a zip
 * archive, before that pickles and bytes one after another. Nothing of the pickle is run: the few names of
 * torch-names.ts are understood, all others are errors.
 */

/** Bytes that tensors are parts of. */
class Storage {
  readonly pickled = "a storage";
  readonly key: string;
  readonly type: StoredType | null; // null: bytes, the tensor says of what
  readonly count: number;
  /** First element, and elements: of old files, where a storage may be a part of another. */
  readonly part: { offset: number; count: number } | null;
  constructor(key: string, type: StoredType | null, count: number, part: { offset: number; count: number } | null) {
    this.key = key;
    this.type = type;
    this.count = count;
    this.part = part;
  }
}

class TensorReference {
  readonly pickled = "a tensor";
  readonly storage: Storage;
  readonly type: StoredType;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  constructor(
    storage: Storage,
    type: StoredType,
    place: { offset: number; shape: readonly number[]; strides: readonly number[] },
  ) {
    this.storage = storage;
    this.type = type;
    this.offset = place.offset;
    this.shape = place.shape;
    this.strides = place.strides;
  }
}

const MAX_DIMENSIONS = 64;
/** Dicts and lists inside one another, and values in all. */
const MAX_DEPTH = 32;
const MAX_VALUES = 1_000_000;
/** Elements that views may add to those of the storages: expanded tensors repeat theirs. */
const MAX_REPEATED = 1 << 22;
const MAX_LEGACY_BYTES = 2 ** 31;

type Malformed = (expected: string, received: string) => DataError;

/**
 * Reads the tensors of a torch checkpoint (.bin, .pt, .pth), of dicts inside dicts too, their keys joined by dots.
 * Types that tensors do not have are widened: f64 and f8 to f32, 16-bit integers to i32, u32 to i64.
 * @throws DataError for a damaged file, and for a pickle that names anything but tensors: nothing of it is run
 */
export function readTorch(from: string | StoredFile): Promise<Map<string, StoredTensor>> {
  return withSource(from, "a torch checkpoint", (file, name) => {
    const fix = "fetch the file again from a source that you trust, or use its safetensors";
    return readSource(file, (expected, received) => new DataError({ where: name, expected, received, fix }));
  });
}

async function readSource(file: ByteSource, malformed: Malformed): Promise<Map<string, StoredTensor>> {
  const { size } = file;
  const start = await readExactly(file, { position: 0, length: Math.min(size, 512) }, malformed);
  const text = new TextDecoder("latin1").decode(start);
  if (text.startsWith("version https://git-lfs"))
    throw malformed("a torch checkpoint", "a Git LFS pointer: the file itself is not there");
  if (text.slice(257, 262) === "ustar")
    throw malformed("a torch checkpoint since 0.1.12", "a tar archive, as older versions wrote");
  return text.startsWith("PK\x03\x04") ? readZip(file, malformed) : readLegacy(file, malformed);
}

async function readZip(file: ByteSource, malformed: Malformed): Promise<Map<string, StoredTensor>> {
  const zip = await ZipFile.open(file, malformed);
  const pickles = [...zip.entries.keys()].filter((name) => /^[^/]*(?:\/[^/]+)*\/data\.pkl$/.test(name));
  if (pickles.length !== 1) throw malformed("one data.pkl in the archive", `${pickles.length}`);
  const prefix = pickles[0].slice(0, -"data.pkl".length);
  if (zip.entries.has(`${prefix}constants.pkl`)) throw malformed("a state dict", "a TorchScript archive");
  const order = zip.entries.has(`${prefix}byteorder`)
    ? new TextDecoder().decode(await zip.read(`${prefix}byteorder`)).trim()
    : "little";
  if (order !== "little" && order !== "big") throw malformed("byteorder little or big", order.slice(0, 20));
  const { value } = readPickle(await zip.read(pickles[0]), 0, rules(malformed), malformed);
  return collect(value, malformed, async (storage) => {
    if (!/^\d+$/.test(storage.key)) throw malformed("storages with numbers for names", storage.key);
    const bytes = await zip.read(`${prefix}data/${storage.key}`);
    const wanted = storage.count * (storage.type?.bytes ?? 1);
    if (bytes.length !== wanted) throw malformed(`${wanted} bytes in storage ${storage.key}`, `${bytes.length}`);
    return order === "big" ? swapped(bytes, storage.type?.bytes ?? 1) : bytes;
  });
}

const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;
const LEGACY_PROTOCOL = 1001;

/** Magic number, protocol, machine, the object, the names of its storages: a pickle each; then the storages. */
async function readLegacy(file: ByteSource, malformed: Malformed): Promise<Map<string, StoredTensor>> {
  const { size } = file;
  if (size > MAX_LEGACY_BYTES)
    throw malformed("a file of at most 2 GiB in the format before torch 1.6", `${size} bytes`);
  const bytes = await readExactly(file, { position: 0, length: size }, malformed);
  let at = 0;
  const next = (): PickleValue => {
    const { value, end } = readPickle(bytes, at, rules(malformed), malformed);
    at = end;
    return value;
  };
  if (next() !== LEGACY_MAGIC) throw malformed("a file of torch.save", "another pickle");
  const protocol = next();
  if (protocol !== LEGACY_PROTOCOL) throw malformed(`protocol ${LEGACY_PROTOCOL}`, describe(protocol));
  next();
  const value = next();
  const keys = next();
  if (!Array.isArray(keys)) throw malformed("the names of storages", describe(keys));
  const places = new Map<string, { offset: number; count: number }>();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wanted = storagesOf(value, malformed);
  for (const key of keys) {
    const storage = wanted.get(String(key));
    if (typeof key !== "string" || !storage) throw malformed("names of the tensors' storages", describe(key));
    if (at + 8 > size) throw malformed(`storage ${key}`, "the end of the file");
    const count = Number(view.getBigInt64(at, true));
    const end = at + 8 + count * (storage.type?.bytes ?? 1);
    if (count !== storage.count || end > size)
      throw malformed(`${storage.count} elements in storage ${key}`, `${count}`);
    places.set(key, { offset: at + 8, count });
    at = end;
  }
  return collect(value, malformed, async (storage) => {
    const place = places.get(storage.key);
    if (!place) throw malformed(`storage ${storage.key}`, "none");
    return bytes.slice(place.offset, place.offset + place.count * (storage.type?.bytes ?? 1));
  });
}

/** The bytes of each element turned round. */
function swapped(bytes: Uint8Array, width: number): Uint8Array {
  const out = new Uint8Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) out[i - (i % width) + width - 1 - (i % width)] = bytes[i];
  return out;
}

function rules(malformed: Malformed): PickleRules {
  return {
    resolve: (name) => {
      if (understood.has(name)) return new PickleName(name);
      throw malformed("nothing but tensors, and dicts and lists of them", `${name}, which is not run`);
    },
    call: (callee, args) => {
      if (!(callee instanceof PickleName)) throw malformed("a function that makes tensors", describe(callee));
      return called(callee.name, args, malformed);
    },
    takesState: (target) =>
      target instanceof Map || target instanceof TensorReference || target instanceof PickleOpaque,
    persistent: (id) => storageOf(id, malformed),
  };
}

function called(name: string, args: readonly PickleValue[], malformed: Malformed): PickleValue {
  const [first] = args;
  if (opaque.has(name)) return new PickleOpaque();
  if (name === "collections.OrderedDict" && args.length === 0) return new Map();
  if (name === "collections.Counter") return first instanceof Map ? first : new Map();
  if (name === "torch.Size" && first instanceof PickleTuple) return first;
  if (name === `${REBUILD}parameter` || name === `${REBUILD}parameter_with_state`) {
    if (first instanceof TensorReference) return first;
  } else if (name.endsWith("._rebuild_from_type_v2")) {
    const [make, type, inner] = args;
    const isFine =
      make instanceof PickleName &&
      make.name.startsWith(REBUILD) &&
      type instanceof PickleName &&
      tensorTypes.has(type.name);
    if (isFine && inner instanceof PickleTuple) return called(make.name, inner.items, malformed);
  } else if (name.startsWith(`${REBUILD}tensor`)) {
    return tensorOf(args, name.endsWith("_v3"), malformed);
  }
  throw malformed("a call that makes a tensor", `${name} of ${args.map(describe).join(", ").slice(0, 80)}`);
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const counts = (value: PickleValue): number[] | undefined =>
  value instanceof PickleTuple && value.items.every(isCount) ? (value.items as number[]) : undefined;

function tensorOf(
  [storage, offset, size, stride, , , dtype]: readonly PickleValue[],
  hasDtype: boolean,
  malformed: Malformed,
): TensorReference {
  const [shape, strides] = [counts(size), counts(stride)];
  const type = hasDtype
    ? dtype instanceof PickleName && dtypes.get(dtype.name)
    : storage instanceof Storage && (storage.type ?? undefined);
  if (
    !(storage instanceof Storage) ||
    !isCount(offset) ||
    !shape ||
    !strides ||
    shape.length !== strides.length ||
    shape.length > MAX_DIMENSIONS ||
    !type
  ) {
    throw malformed(
      "a storage, an offset, sizes and strides",
      [storage, offset, size, stride].map((each) => describe(each ?? null)).join(", "),
    );
  }
  const { count } = storage.part ?? storage;
  const elements = storage.type ? count : Math.floor(count / type.bytes);
  const last = shape.reduce((sum, n, i) => sum + (n - 1) * strides[i], offset);
  if (!shape.includes(0) && !(last < elements))
    throw malformed(`a tensor inside its storage of ${elements} elements`, `elements up to ${last}`);
  return new TensorReference(storage, type, { offset, shape, strides });
}

/** ("storage", class, key, location, count), in old files with a part of the storage. */
function storageOf(id: PickleValue, malformed: Malformed): Storage {
  const [kind, type, key, , count, part] = id instanceof PickleTuple ? id.items : [];
  if (
    kind !== "storage" ||
    !(type instanceof PickleName) ||
    !storageTypes.has(type.name) ||
    typeof key !== "string" ||
    !isCount(count)
  ) {
    throw malformed(
      "a storage: its type, name and count",
      id instanceof PickleTuple ? id.items.map(describe).join(", ").slice(0, 120) : describe(id),
    );
  }
  const [, offset, partCount] = part instanceof PickleTuple ? part.items : [];
  if (part !== undefined && part !== null && !(isCount(offset) && isCount(partCount) && offset + partCount <= count)) {
    throw malformed(`a part of the ${count} elements of storage ${key}`, describe(part));
  }
  return new Storage(
    key,
    storageTypes.get(type.name) as StoredType | null,
    count,
    isCount(offset) && isCount(partCount) ? { offset, count: partCount } : null,
  );
}

/** Tensors by their keys, through dicts and lists. @throws when there are none */
function tensorsOf(root: PickleValue, malformed: Malformed): Map<string, TensorReference> {
  if (!(root instanceof Map)) throw malformed("a dict of tensors", describe(root));
  const tensors = new Map<string, TensorReference>();
  let seen = 0;
  const visit = (value: PickleValue, path: string, depth: number): void => {
    if (++seen > MAX_VALUES || depth > MAX_DEPTH)
      throw malformed(`dicts at most ${MAX_DEPTH} deep, of at most ${MAX_VALUES} values`, "more");
    if (value instanceof TensorReference) {
      tensors.set(path, value);
      return;
    }
    const children =
      value instanceof Map
        ? [...value]
        : Array.isArray(value)
          ? [...value.entries()]
          : value instanceof PickleTuple
            ? [...value.items.entries()]
            : [];
    for (const [key, child] of children) visit(child, path === "" ? String(key) : `${path}.${String(key)}`, depth + 1);
  };
  visit(root, "", 0);
  return tensors;
}

/** @throws when one name stands for storages that differ */
function storagesOf(root: PickleValue, malformed: Malformed): Map<string, Storage> {
  const storages = new Map<string, Storage>();
  for (const { storage } of tensorsOf(root, malformed).values()) {
    const before = storages.get(storage.key);
    const bytes = ({ count, type }: Storage) => count * (type?.bytes ?? 1);
    if (before && bytes(before) !== bytes(storage))
      throw malformed(`one size of storage ${storage.key}`, `${bytes(before)} and ${bytes(storage)} bytes`);
    storages.set(storage.key, storage);
  }
  return storages;
}

/** The numbers of all tensors; each storage is read once, and given up when its tensors are made. */
async function collect(
  root: PickleValue,
  malformed: Malformed,
  load: (storage: Storage) => Promise<Uint8Array>,
): Promise<Map<string, StoredTensor>> {
  const tensors = tensorsOf(root, malformed);
  const storages = storagesOf(root, malformed);
  const total = [...tensors.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const stored = [...storages.values()].reduce((sum, { count }) => sum + count, 0);
  const limit = MAX_REPEATED + stored * Math.max(1, tensors.size / Math.max(1, storages.size));
  if (!(total <= limit)) throw malformed("about as many elements as the file holds", `${total}`);
  const out = new Map<string, StoredTensor>(
    [...tensors.keys()].map((key) => [key, { dtype: "f32", shape: [], data: new Float32Array(0) }]),
  );
  for (const [key, storage] of storages) {
    const bytes = await load(storage);
    for (const [name, tensor] of tensors) {
      if (tensor.storage.key === key)
        out.set(name, { dtype: tensor.type.dtype, shape: tensor.shape, data: gather(bytes, tensor) });
    }
  }
  return out;
}

/** The elements of a view, in order. */
function gather(bytes: Uint8Array, { type, offset, shape, strides, storage }: TensorReference): HostArray {
  const { bytes: width } = type;
  const count = shape.reduce((a, b) => a * b, 1);
  const base = (storage.part?.offset ?? 0) * (storage.type?.bytes ?? 1) + offset * width;
  let expected = 1;
  const isDense = [...shape.keys()].reverse().every((i) => {
    const isNext = shape[i] === 1 || strides[i] === expected;
    expected *= shape[i];
    return isNext;
  });
  if (count === 0 || isDense) return type.read(bytes.slice(base, base + count * width));
  const packed = new Uint8Array(count * width);
  const index = shape.map(() => 0);
  let source = base;
  for (let i = 0; i < count; i++) {
    packed.set(bytes.subarray(source, source + width), i * width);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      source += strides[axis] * width;
      if (++index[axis] < shape[axis]) break;
      source -= strides[axis] * width * shape[axis];
      index[axis] = 0;
    }
  }
  return type.read(packed);
}
