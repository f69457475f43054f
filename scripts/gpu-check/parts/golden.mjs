// @ts-check
/**
 * Every case of golden/ops/ in one dtype on the card: passed, failed, and the largest difference from PyTorch, by op.
 */
import { Device } from "../../../src/runtime/index.ts";
import { goldenCases, numbersOf, toleranceOf, traceCase } from "../../../src/testing/golden-case.ts";
import { opTable } from "../../../src/testing/op-table.ts";
import { obstacleToF16 } from "./half.mjs";
import { args, isSmallest, provider, report, textOf } from "./part.mjs";

const [dtype, share = "1/1"] = args;
const [place, shares] = share.split("/").map(Number);
const obstacle = dtype === "f16" ? await obstacleToF16() : undefined;
let device = new Device({ type: provider });
let devices = 1;
/** So many devices may be lost before the rest is given up. */
const MOST_DEVICES = 8;
const REPORT_MS = 2000;
/** Cases of an op that are computed together: making a graph costs more than what it computes. */
const AT_ONCE = 8;

/** @typedef {{ passed: number, failed: number, largest: number, failures: string[] }} OpResult */
/** @type {Record<string, OpResult>} */
const ops = {};
const totals = { cases: 0, passed: 0, failed: 0, devices };

/** @typedef {import("../../../src/testing/golden-case.ts").GoldenValue} GoldenValue */

/**
 * The largest difference of a case's values from PyTorch's.
 * @param {readonly GoldenValue[]} values
 * @param {readonly number[][]} computed
 * @param {number | undefined} atLeast
 */
function largestDifference(values, computed, atLeast) {
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

/** What the card computes of lists of values, in one graph. @param {readonly (readonly GoldenValue[])[]} lists */
async function numbersTogether(lists) {
  const values = lists.flat();
  const computed = values.length > 0 ? await numbersOf(values, device) : [];
  return lists.map((list) => computed.splice(0, list.length));
}

/** @param {Work} work @param {number} index of the case in its file @param {unknown} cause */
function fail({ result }, index, cause) {
  result.failed++;
  totals.failed++;
  if (result.failures.length < 3) result.failures.push(`case ${index}: ${textOf(cause)}`);
  if (!/device was closed|worker thread ended|[Dd]evice (is |was )?lost/.test(textOf(cause))) return;
  if (++devices > MOST_DEVICES) throw cause;
  totals.devices = devices;
  device = new Device({ type: provider });
}

/**
 * Cases of one op together; where that fails, each by itself, so that one takes no other with it.
 * @typedef {{ result: OpResult, apply: import("../../../src/testing/golden-case.ts").ApplyOp, tolerance: number |
 *   undefined, cases: { example: import("../../../src/testing/golden-case.ts").GoldenCase, index: number }[] }} Work
 * @param {Work} work
 */
async function check(work) {
  const { result, apply, tolerance, cases } = work;
  try {
    const traced = cases.map(({ example }) => traceCase(example, apply));
    for (const lists of [traced.map(({ outputs }) => outputs), traced.map(({ gradient }) => gradient?.values ?? [])]) {
      const numbers = await numbersTogether(lists);
      const differences = lists.map((list, i) => largestDifference(list, numbers[i], tolerance));
      result.largest = Math.max(result.largest, ...differences);
    }
    result.passed += cases.length;
    totals.passed += cases.length;
  } catch (cause) {
    if (cases.length === 1) fail(work, cases[0].index, cause);
    else for (const one of cases) await check({ ...work, cases: [one] });
  }
}

// the first cases of all ops come first
/** @type {Work[][]} */
const rounds = [];
for (const [name, { golden, apply, webgpuTolerance }] of Object.entries(opTable).filter(
  (_, i) => i % shares === place - 1,
)) {
  const all = goldenCases(golden).map((example, index) => ({ example, index }));
  const cases = all.filter(
    ({ example }) => example.inputs.some((input) => input.dtype === "f16") === (dtype === "f16"),
  );
  if (cases.length === 0 || (isSmallest && Object.keys(ops).length === 4)) continue;
  ops[name] = { passed: 0, failed: 0, largest: 0, failures: [] };
  const least = isSmallest ? cases.slice(0, 2) : cases;
  totals.cases += least.length;
  for (let start = 0, round = 0; start < least.length; start += AT_ONCE, round++) {
    rounds[round] ??= [];
    rounds[round].push({
      result: ops[name],
      apply,
      tolerance: webgpuTolerance,
      cases: least.slice(start, start + AT_ONCE),
    });
  }
}
let reported = 0;
for (const work of obstacle ? [] : rounds.flat()) {
  await check(work);
  if (performance.now() - reported < REPORT_MS) continue;
  report({ dtype, share, ...totals, ops });
  reported = performance.now();
}
report({ dtype, share, ...totals, failure: obstacle, isComplete: true, ops });
await device.close();
