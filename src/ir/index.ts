/** The graph: nodes with typed values, symbolic sizes, a printer and a checker. Imports nothing. */

export { type BlockKind, type BlockMatrix, type BlockSource, emptyBlocks } from "./block-matrix.ts";
export { checkGraph } from "./checker.ts";
export {
  bytesPerElement,
  type DType,
  decodeElement,
  dtypes,
  encodeElement,
  type FloatDType,
  fromBfloat16Bits,
  fromFloat16Bits,
  type HostArray,
  type HostArrays,
  hostArray,
  hostArrayFrom,
  hostArrayFromBytes,
  type IntDType,
  isFloat,
  isInteger,
  narrowFromF32,
  requireFloatDType,
  roundHalfToEven,
  toBfloat16Bits,
  toFloat16Bits,
  toNumbers,
  widenToF32,
} from "./dtype.ts";
export {
  checkOptions,
  DataError,
  DTypeError,
  type ErrorParts,
  GraphError,
  KindlingError,
  nearest,
  OptionError,
  RuntimeError,
  ShapeError,
} from "./errors.ts";
export { applyOp, countUses, dependents, Graph, rewrite, substitute, topologicalOrder } from "./graph.ts";
export { HalfArray } from "./half-array.ts";
export { hashBytes } from "./hash.ts";
export { type LimitName, limits, overLimit, withinLimit } from "./limits.ts";
export {
  type Attribute,
  type Attributes,
  ConstantOp,
  constantValue,
  describe,
  Node,
  type Op,
  PlaceholderOp,
  placeholder,
  type TensorType,
  Value,
} from "./node.ts";
export { known, type OptionNames, requireDType } from "./options.ts";
export { exceededJsonLimit, type JsonLimits, type ParseJsonOptions, parseJson, parseJsonBytes } from "./parse-json.ts";
export { nameNode, printGraph } from "./printer.ts";
export {
  addSizes,
  broadcastShapes,
  divideSizes,
  evaluateSize,
  isStatic,
  multiplySizes,
  normalizeAxis,
  requireStatic,
  type Shape,
  type Size,
  SymbolicSize,
  shapesEqual,
  sizeOf,
  sizesEqual,
  symbol,
  symbolsOf,
} from "./size.ts";
export { type OnWarning, type Warning, warnOnConsole } from "./warning.ts";
