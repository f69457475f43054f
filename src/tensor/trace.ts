import type { Value } from "../ir/index.ts";
import type { Variable } from "./variable.ts";

/** What a traced function did besides computing: the variables it assigned. */
export class Trace {
  readonly updates = new Map<Variable, Value>();

  assign(variable: Variable, value: Value): void {
    this.updates.set(variable, value);
  }

  assigned(variable: Variable): Value | undefined {
    return this.updates.get(variable);
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
