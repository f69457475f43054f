// @ts-check
/**
 * Every case of golden/ops/ in one dtype on the card: passed, failed, and the largest difference from PyTorch, by op.
 */
import { Device } from "../../../src/runtime/index.ts";
import { goldenCases, numbersOf, toleranceOf, traceCase } from "../../../src/testing/golden-case.ts";
import { opTable } from "../../../src/testing/op-table.ts";
import { args, isSmallest, provider, report, textOf } from "./part.mjs";

const [dtype, share = "1/1"] = args;
const [place, shares] = share.split("/").map(Number);
let device = new Device({ type: provider });
let devices = 1;
/** So many devices may be lost before the rest is given up. */
const MOST_DEVICES = 8;
const REPORT_MS = 2000;

/** @typedef {{ passed: number, failed: number, largest: number, failures: string[] }} OpResult */
/** @type {Record<string, OpResult>} */
const ops = {};
const totals = { passed: 0, failed: 0, devices };

/** @param {import("../../../src/testing/golden-case.ts").GoldenValue[]} values @param {number | undefined} atLeast */
async function largestDifference(values, atLeast) {
  const computed = await numbersOf(values, device);
  return Math.max(
    0,
    ...values.map(({ what, value, golden }, i) => {
      if (String(value.shape) !== String(golden.shape)) throw new Error(`${what}: shape [${value.shape}]`);
      const differences = golden.data.map((expected, j) => {
        const actual = computed[i][j];
        if (Object.is(actual, expected) || actual === expected) return 0;
        const difference = Math.abs(actual - expected) / Math.max(1, Math.abs(expected));
        return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
      });
      const largest = Math.max(0, ...differences);
      const tolerance = toleranceOf({ what, value, golden }, atLeast);
      if (!(largest <= tolerance)) {
        const at = differences.indexOf(largest);
        throw new Error(`${what}: ${computed[i][at]} instead of ${golden.data[at]} at ${at} (tolerance ${tolerance})`);
      }
      return largest;
    }),
  );
}

let reported = 0;
const mine = Object.entries(opTable).filter((_, i) => i % shares === place - 1);
for (const [name, { golden, apply, webgpuTolerance }] of mine) {
  const all = goldenCases(golden).map((example, index) => ({ example, index }));
  const cases = all.filter(
    ({ example }) => example.inputs.some((input) => input.dtype === "f16") === (dtype === "f16"),
  );
  if (cases.length === 0) continue;
  /** @type {OpResult} */
  const result = { passed: 0, failed: 0, largest: 0, failures: [] };
  ops[name] = result;
  for (const { example, index } of isSmallest ? cases.slice(0, 1) : cases) {
    try {
      const { outputs, gradient } = traceCase(example, apply);
      const forward = await largestDifference([...outputs], webgpuTolerance);
      const backward = gradient ? await largestDifference([...gradient.values], webgpuTolerance) : 0;
      result.largest = Math.max(result.largest, forward, backward);
      result.passed++;
      totals.passed++;
    } catch (cause) {
      result.failed++;
      totals.failed++;
      if (result.failures.length < 3) result.failures.push(`case ${index}: ${textOf(cause)}`);
      if (/device was closed|worker thread ended|[Dd]evice (is |was )?lost/.test(textOf(cause))) {
        if (++devices > MOST_DEVICES) throw cause;
        totals.devices = devices;
        device = new Device({ type: provider });
      }
    }
    if (performance.now() - reported > REPORT_MS) {
      report({ dtype, share, ...totals, ops });
      reported = performance.now();
    }
  }
  if (isSmallest && Object.keys(ops).length === 4) break;
}
report({ dtype, share, ...totals, isComplete: true, ops });
await device.close();
