import type { HostArray } from "../base/index.ts";
import type { Value } from "../ir/index.ts";

/** Values of a graph whose numbers are looked at after each run: further outputs, which come back with it. */
export interface Probe {
  values: readonly Value[];
  /** @throws to fail the run, whose change of the state is taken back if that was kept */
  look(numbers: readonly HostArray[], shapes: readonly (readonly number[])[]): void;
}
