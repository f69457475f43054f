import type { Value } from "../ir/index.ts";
import type { Leaf } from "./leaf.ts";
import type { Probe } from "./probe.ts";

/** A value to look at, which can be looked at in another that stands for it, such as that of all steps of a loop. */
export interface Watch {
  value: Value;
  /** For messages. */
  name: string;
  probe(value: Value): Probe;
}

/** What a traced function did besides computing: the state it assigned, the values it wants to look at. */
export class Trace {
  readonly updates = new Map<Leaf, Value>();
  readonly watches: Watch[] = [];

  assign(state: Leaf, value: Value): void {
    this.updates.set(state, value);
  }

  assigned(state: Leaf): Value | undefined {
    return this.updates.get(state);
  }
}

/*
 * The functions being traced now, innermost last. Tracing is synchronous, so the stack is empty between any two awaits;
 * it is what lets `variable.assign` know which graph it belongs to.
 */
const stack: Trace[] = [];

export function currentTrace(): Trace | undefined {
  return stack[stack.length - 1];
}

/** Runs `body` as a trace. */
export function traced<T>(trace: Trace, body: () => T): T {
  stack.push(trace);
  try {
    return body();
  } finally {
    stack.pop();
  }
}

/**
 * Runs `body` in the function being traced, and forgets what it assigns: for losses that are computed once more, which
 * must not move BatchNorm's running statistics twice. Does nothing besides outside of one.
 */
export function withoutAssignments<T>(body: () => T): T {
  const updates = currentTrace()?.updates;
  const before = new Map(updates);
  const result = body();
  updates?.clear();
  for (const [state, value] of before) updates?.set(state, value);
  return result;
}

/* The bodies of loops and branches being traced now, innermost last: what is watched there is no value outside. */
const bodies: Watch[][] = [];

/** Traces a body, and gives what it watches to the caller, who can carry that out of it. */
export function tracedBody<T>(body: () => T): { result: T; watches: Watch[] } {
  const watches: Watch[] = [];
  bodies.push(watches);
  try {
    return { result: body(), watches };
  } finally {
    bodies.pop();
  }
}

/** Where to put what is watched now; undefined outside of every trace. */
export function currentWatches(): Watch[] | undefined {
  return bodies[bodies.length - 1] ?? currentTrace()?.watches;
}
