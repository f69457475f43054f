import { shapesEqual } from "../ir/index.ts";
import type { DeviceBuffer, Executable } from "../runtime/index.ts";
import type { Variable } from "./variable.ts";

/** A variable and the output of a graph that is its next value. */
export interface Update {
  variable: Variable;
  output: number;
}

/** A variable's buffer that a run has replaced. */
export interface Change {
  variable: Variable;
  next: DeviceBuffer;
  buffer: DeviceBuffer;
  spares: SpareBuffers;
  /** The change before it, while that may still fail. */
  before: Change | undefined;
  hasFailed: boolean;
}

/** The buffers of variables that take turns with their present ones, where new state is not written in place. */
export class SpareBuffers {
  private readonly buffers = new Map<Variable, DeviceBuffer>();

  /** Where the variable's next value goes; a spare buffer of a size that the variable has no longer is freed. */
  take(variable: Variable): DeviceBuffer | undefined {
    const buffer = this.buffers.get(variable);
    if (!buffer || shapesEqual(buffer.shape, variable.shape)) return buffer;
    this.buffers.delete(variable);
    buffer.dispose();
    return undefined;
  }

  keep(variable: Variable, buffer: DeviceBuffer): void {
    this.buffers.set(variable, buffer);
  }

  dispose(): void {
    for (const buffer of this.buffers.values()) buffer.dispose();
  }
}

/**
 * The last change of each variable, by whichever function. Two buffers take turns, so that a buffer does not tell whose
 * it is.
 */
const latest = new WeakMap<Variable, Change>();

/**
 * Makes outputs of a run the values of variables. The device works in order, so the new state can be handed to the next
 * run before this one has finished. Gives what was not written in place.
 */
export function replaceState(
  updates: readonly Update[],
  { inPlace }: Executable,
  outputs: readonly (DeviceBuffer | undefined)[],
  spares: SpareBuffers,
): Change[] {
  const changes: Change[] = [];
  for (const { variable, output } of updates) {
    if (inPlace.has(output)) continue;
    const next = outputs[output] as DeviceBuffer;
    const buffer = variable.replaceBuffer(next);
    if (!buffer) continue;
    spares.keep(variable, buffer);
    const change = { variable, next, buffer, spares, before: latest.get(variable), hasFailed: false };
    latest.set(variable, change);
    changes.push(change);
  }
  return changes;
}

/** After a run has ended well: nothing will go back beyond it. */
export function settleChanges(changes: readonly Change[]): void {
  for (const change of changes) change.before = undefined;
}

/** Puts state back to what it was before a run that has ended. */
export function undoChanges(changes: readonly Change[]): void {
  for (const { variable, buffer, spares } of changes) {
    variable.countChange();
    const undone = variable.replaceBuffer(buffer);
    if (undone) spares.keep(variable, undone);
  }
}

/**
 * After a failed run: gives a variable its value from before, unless a later call has changed it; those that read what
 * it was to make fail too.
 */
export function restoreState(failure: Change): void {
  failure.hasFailed = true;
  const { variable } = failure;
  let change = latest.get(variable);
  if (!change?.hasFailed || !variable.isInitialized || variable.buffer !== change.next) return;
  let restored = change.buffer;
  for (; change?.hasFailed; change = change.before) {
    change.next.isFilled = false; // a run that was not begun has not made it
    change.spares.keep(variable, change.next);
    restored = change.buffer;
  }
  restored.isFilled = true;
  variable.replaceBuffer(restored);
  if (change) latest.set(variable, change);
  else latest.delete(variable);
}
