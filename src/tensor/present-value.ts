import { HalfArray, type HostArrays } from "../base/index.ts";
import { isStatic, substitute, type Value } from "../ir/index.ts";
import type { DeviceBuffer } from "../runtime/index.ts";
import { capturedLeaves, materialize } from "./execute.ts";
import type { Leaf } from "./leaf.ts";
import { fromHost } from "./tensor.ts";

/** Whether a value may be another or gone later: it depends on state, or on numbers that can be freed. */
export function isPassing(value: Value): boolean {
  return capturedLeaves([value]).some(({ isState, isOnHost }) => isState || !isOnHost);
}

/**
 * What a passing value is now. It is computed where its numbers are; one whose numbers are on no device yet becomes a
 * value that nothing changes, to be computed on the device that needs it.
 * @throws (rejects with) the error of a run that should have made its numbers
 */
export async function presentValue(passing: Value): Promise<Value | DeviceBuffer> {
  const leaves = capturedLeaves([passing]);
  await Promise.allSettled(leaves.flatMap(({ sources }) => sources.map(({ end }) => end))); // one that fails restores
  await Promise.all(leaves.map(({ lack }) => (lack instanceof Promise ? lack : undefined)));
  const pending = leaves.flatMap((leaf) => {
    const value = pendingValue(leaf);
    return value ? [[leaf.value, value] as const] : [];
  });
  const [value] = substitute([passing], new Map(pending));
  return isPassing(value) ? (await materialize([value]))[0] : value;
}

/**
 * The first value of state that is on no device yet. Numbers are copied: memory that a file is mapped to becomes the
 * state's own, which runs write.
 */
function pendingValue({ isState, lack, type }: Leaf): Value | undefined {
  if (!isState || !lack || lack instanceof Promise || !isStatic(type.shape)) return undefined;
  if (!("data" in lack)) return lack;
  const { dtype, shape, data } = lack;
  const numbers = data instanceof HalfArray ? data.widened() : data.slice();
  return fromHost(dtype, shape, numbers as HostArrays[typeof dtype]).ir;
}
