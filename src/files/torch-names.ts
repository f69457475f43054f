/** The names in pickles of torch.save that are understood. */
import { type StoredType, storedTypes } from "./foreign-types.ts";

const { f32, f64, f16, bf16, i64, i32, i16, i8, u8, u16, u32, bool, f8e4m3, f8e5m2 } = storedTypes;
export const storageTypes: ReadonlyMap<string, StoredType | null> = new Map<string, StoredType | null>([
  ...[
    ["Float", f32],
    ["Double", f64],
    ["Half", f16],
    ["BFloat16", bf16],
    ["Long", i64],
    ["Int", i32],
    ["Short", i16],
    ["Char", i8],
    ["Byte", u8],
    ["Bool", bool],
  ].flatMap(([name, type]): [string, StoredType][] => [
    [`torch.${name}Storage`, type as StoredType],
    [`torch.cuda.${name}Storage`, type as StoredType],
  ]),
  ["torch.storage.UntypedStorage", null],
  ["torch.UntypedStorage", null],
]);
export const dtypes: ReadonlyMap<string, StoredType> = new Map([
  ["torch.float32", f32],
  ["torch.float64", f64],
  ["torch.float16", f16],
  ["torch.bfloat16", bf16],
  ["torch.int64", i64],
  ["torch.int32", i32],
  ["torch.int16", i16],
  ["torch.int8", i8],
  ["torch.uint8", u8],
  ["torch.uint16", u16],
  ["torch.uint32", u32],
  ["torch.bool", bool],
  ["torch.float8_e4m3fn", f8e4m3],
  ["torch.float8_e5m2", f8e5m2],
]);
export const REBUILD = "torch._utils._rebuild_";
export const tensorTypes = new Set(["torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter"]);
/** Makers of values beside tensors, which are passed over. */
export const opaque = new Set([
  "torch.device",
  "torch.serialization._get_layout",
  "_codecs.encode",
  "__builtin__.set",
  "builtins.set",
  "__builtin__.bytearray",
  "builtins.bytearray",
  "__builtin__.complex",
  "builtins.complex",
]);
export const understood = new Set([
  "collections.OrderedDict",
  "collections.Counter",
  "torch.Size",
  `${REBUILD}tensor`,
  `${REBUILD}tensor_v2`,
  `${REBUILD}tensor_v3`,
  `${REBUILD}parameter`,
  `${REBUILD}parameter_with_state`,
  "torch._tensor._rebuild_from_type_v2",
  "torch.tensor._rebuild_from_type_v2",
  ...tensorTypes,
  ...opaque,
  ...storageTypes.keys(),
  ...dtypes.keys(),
]);
