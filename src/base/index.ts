/**
 * What files and graphs share: errors, options, dtypes, arrays of numbers on the host, limits of foreign files. Imports
 * nothing.
 */

export { BatchQueue, type BatchQueueOptions, type CallOptions } from "./batch-queue.ts";
export { type BlockKind, type BlockMatrix, type BlockSource, emptyBlocks } from "./block-matrix.ts";
export { checkSchema } from "./check-schema.ts";
export {
  bytesPerElement,
  type DType,
  decodeElement,
  dtypes,
  encodeElement,
  type FloatDType,
  type HostArray,
  type HostArrays,
  hostArray,
  hostArrayFrom,
  hostArrayFromBytes,
  type IntDType,
  isFloat,
  isInteger,
  requireFloatDType,
  roundHalfToEven,
  toNumbers,
  widenToF32,
} from "./dtype.ts";
export {
  checkOptions,
  DataError,
  DTypeError,
  type ErrorParts,
  errorMessage,
  GraphError,
  KindlingError,
  listedNames,
  nearest,
  OptionError,
  RuntimeError,
  ShapeError,
} from "./errors.ts";
export { type Float4Type, float4Levels, float4Pairs } from "./float4.ts";
export { fromBfloat16Bits, fromFloat16Bits, narrow, toBfloat16Bits, toFloat16Bits } from "./half.mjs";
export { HalfArray } from "./half-array.ts";
export { handOver, takeHandedOver } from "./hand-over.ts";
export { hashBytes, hashNumbers, knownHash, noteHash } from "./hash.ts";
export { IGNORED_LABEL } from "./ignored-label.ts";
export { isObject } from "./is-object.ts";
export { joined } from "./joined.ts";
export { type LimitName, limits, overLimit, withinLimit } from "./limits.ts";
export { LONGEST_TIMER_MS } from "./longest-timer.ts";
export { type Merged, merged } from "./merge.ts";
export { nextTurn } from "./next-turn.ts";
export { onAbort, unlessAborted } from "./on-abort.ts";
export { known, numberRules, type OptionNames, requireDType, requireNumbers } from "./options.ts";
export {
  exceededJsonLimit,
  type JsonLimits,
  type ParseJsonOptions,
  parseJson,
  parseJsonBytes,
  requestLimits,
} from "./parse-json.ts";
export { type OnWarning, type Warning, warnOnConsole } from "./warning.ts";
export { withYamlErrors } from "./yaml-errors.ts";
