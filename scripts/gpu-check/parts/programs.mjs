// @ts-check
/** Random programs and their gradients on the card, against the plain reference. */
import fc from "fast-check";
import { Device } from "../../../src/runtime/index.ts";
import { checkProgram, GPU_TOLERANCE } from "../../../src/testing/check-program.ts";
import { randomProgram } from "../../../src/testing/random-graph.ts";
import { isSmallest, provider, report, textOf } from "./part.mjs";

const PROGRAMS = isSmallest ? 2 : 300;
const SEED = 1;
const device = new Device({ type: provider });
const result = { passed: 0, failed: 0, largest: 0, failures: /** @type {string[]} */ ([]) };
for (const [i, program] of fc.sample(randomProgram, { numRuns: PROGRAMS, seed: SEED }).entries()) {
  try {
    result.largest = Math.max(result.largest, await checkProgram(program, i, { device, tolerance: GPU_TOLERANCE }));
    result.passed++;
  } catch (cause) {
    result.failed++;
    if (result.failures.length < 10)
      result.failures.push(`program ${i}: ${textOf(cause)} ${JSON.stringify(program).slice(0, 600)}`);
  }
  if (i % 10 === 9) report(result);
}
report({ ...result, isComplete: true });
await device.close();
