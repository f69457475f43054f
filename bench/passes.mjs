// @ts-check
/**
 * What each improvement of the lowering is worth: the training step of a GPT as it is, and with one improvement undone,
 * in turns; then parts of a layer, written both ways.
 *   npm run bench -- passes [gpt-S gpt-M]
 */
import { rewrite } from "../dist/ir/index.js";
import { defaultPasses } from "../dist/lower/index.js";
import * as ops from "../dist/ops/index.js";
import { Device } from "../dist/runtime/index.js";
import { compile, grad, mul, setDefaultDevice, sum, Tensor, tensor } from "../dist/tensor/index.js";
import { gptSizes } from "./gpt-sizes.mjs";
import { isSmallest, median } from "./torch-python.mjs";
import { gpt } from "./workloads.mjs";

/** @typedef {import("../dist/lower/index.js").Pass} Pass */
/** @typedef {import("../dist/ir/index.js").Value} Value */

const ROUNDS = isSmallest ? 1 : 9;

/** A device that compiles with the passes that are set. */
class Laboratory extends Device {
  /** @type {readonly Pass[] | undefined} */
  passes;
  /**
   * @override @param {import("../dist/ir/index.js").Graph} graph @param
   * {import("../dist/runtime/index.js").CompileOptions} [options]
   */
  compile(graph, options) {
    return super.compile(graph, { ...options, passes: this.passes });
  }
}

const device = new Laboratory({ threads: 2, cache: false });
setDefaultDevice(device);

/**
 * A pass that replaces the nodes of one op. @param {string} name @param {(node: import("../dist/ir/index.js").Node,
 * inputs: readonly Value[]) => readonly Value[] | undefined} replace @returns {Pass}
 */
const replacing = (name, replace) => ({ name, run: (graph) => rewrite(graph, replace) });
/** @param {...string} names */
const without = (...names) => defaultPasses.filter(({ name }) => !names.includes(name));

/** The improvements, and the passes that leave each of them away. @type {Record<string, readonly Pass[]>} */
const undone = {
  "bias added by the product": [
    ...without("addBiasInGelu"),
    replacing("separateBias", ({ op, attributes, scope }, [x, weight, bias]) => {
      if (op !== ops.linear.entry) return undefined;
      return ops.withScope(scope, () => [ops.add(ops.matmul(x, weight, attributes), bias)]);
    }),
  ],
  "bias in front of GELU added by GELU": without("addBiasInGelu"),
  "transposes as flags of products": [
    ...defaultPasses,
    replacing("separateTransposes", ({ op, attributes, scope }, inputs) => {
      if (op !== ops.matmul.entry || !(attributes.transposeA || attributes.transposeB)) return undefined;
      const flags = [attributes.transposeA, attributes.transposeB];
      // a name of its own, or ONNX Runtime would fold the transpose in again
      const [a, b] = inputs.map((x, i) => (flags[i] ? ops.add(ops.transpose(x, swapLast(x.shape.length)), 0) : x));
      return ops.withScope(scope, () => [
        ops.apply(ops.matmul.entry, [a, b], { transposeA: false, transposeB: false, scale: attributes.scale }),
      ]);
    }),
  ],
  "equal expressions once": without("shareCommonSubexpressions"),
  "shorter chains, folded constants": without("simplify", "foldConstants"),
};

/** @param {number} rank */
const swapLast = (rank) => [...Array.from({ length: rank - 2 }, (_, i) => i), rank - 1, rank - 2];

/** Times of variants in turns. @param {Record<string, () => Promise<unknown>>} variants @param {number} repeats */
async function inTurns(variants, repeats) {
  const times = Object.fromEntries(Object.keys(variants).map((name) => [name, /** @type {number[]} */ ([])]));
  for (let round = -1; round < ROUNDS; round++) {
    for (const [name, run] of Object.entries(variants)) {
      const started = performance.now();
      for (let i = 0; i < repeats; i++) await run();
      if (round >= 0) times[name].push((performance.now() - started) / repeats);
    }
  }
  return times;
}

/** @param {string} title @param {Record<string, number[]>} times the first is what others are compared with */
function report(title, times) {
  const [[, ours], ...others] = Object.entries(times);
  console.log(`\n${title}: ${median(ours).toFixed(2)} ms\n`);
  console.log("| without | ms | times |\n| --- | --- | --- |");
  for (const [name, theirs] of others) {
    const ratio = median(theirs.map((time, i) => time / ours[i]));
    console.log(`| ${name} | ${median(theirs).toFixed(2)} | ${ratio.toFixed(3)} |`);
  }
}

/** @param {keyof typeof gptSizes} name */
async function trainingStep(name) {
  /**
   * A model of its own, whose training step is compiled with these passes. @param {readonly Pass[]} [passes] @param
   * {boolean} [keepPreviousState]
   */
  const variant = async (passes, keepPreviousState) => {
    const { step, data } = gpt(gptSizes[name], { keepPreviousState });
    const [inputs, targets] = data();
    const run = async () => (await step(inputs, targets)).item();
    device.passes = passes;
    await run();
    device.passes = undefined;
    return run;
  };
  /** @type {Record<string, () => Promise<unknown>>} */
  const variants = { "as it is": await variant() };
  for (const [improvement, passes] of Object.entries(undone)) variants[improvement] = await variant(passes);
  variants["state in place"] = await variant(undefined, true);
  report(`Training step of ${name}`, await inTurns(variants, name === "gpt-S" && !isSmallest ? 10 : 1));
}

const [batch, heads, time, headDim] = [12, 6, 256, 64];

/**
 * Forward and gradients of all arguments. @param {(...values: Value[]) => Value} fn @param {readonly (readonly
 * number[])[]} shapes
 */
function bothWays(fn, shapes) {
  const step = compile((/** @type {any[]} */ ...xs) => {
    const y = /** @type {Tensor<"f32">} */ (new Tensor(fn(...xs.map(({ ir }) => ir))));
    return grad(sum(mul(y, y)), xs);
  });
  const args = shapes.map((shape, i) =>
    tensor(
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, j) => 0.1 * Math.sin(i + j)),
      { shape: [...shape] },
    ),
  );
  return async () => {
    for (const result of await step.run(...args)) result.dispose();
  };
}

async function parts() {
  const shapes = Array.from({ length: 3 }, () => [batch, heads, time, headDim]);
  const options = { isCausal: true, scale: headDim ** -0.5 };
  report(
    `Causal attention [${shapes[0]}], forward and backward`,
    await inTurns(
      {
        "as it is": bothWays((q, k, v) => ops.scaledDotProductAttention(q, k, v, options), shapes),
        "blocks of queries that skip what is masked": bothWays(
          (q, k, v) => ops.scaledDotProductAttention(q, k, v, { ...options, blocks: 1 }),
          shapes,
        ),
        "blocks, mask added in place, gradient of FlashAttention": bothWays(
          (q, k, v) => ops.plainAttention(q, k, v, options),
          shapes,
        ),
      },
      5,
    ),
  );
  const [rows, width, hidden] = [batch * time, 384, 1536];
  report(
    `Product [${rows}, ${width}] x [${width}, ${hidden}], forward and backward`,
    await inTurns(
      {
        "weight [in, out]": bothWays(
          (x, w) => ops.matmul(x, w),
          [
            [rows, width],
            [width, hidden],
          ],
        ),
        "weight [in, out] but [out, in]": bothWays(
          (x, w) => ops.matmul(x, w, { transposeB: true }),
          [
            [rows, width],
            [hidden, width],
          ],
        ),
      },
      5,
    ),
  );
}

const names = /** @type {(keyof typeof gptSizes)[]} */ (process.argv.slice(2).filter((name) => name in gptSizes));
const usual = /** @type {(keyof typeof gptSizes)[]} */ (isSmallest ? ["gpt-S"] : ["gpt-S", "gpt-M"]);
for (const name of names.length > 0 ? names : usual) await trainingStep(name);
await parts();
await device.close();
