import { testOp } from "../testing/test-op.ts";
import * as ops from "./index.ts";

for (const [name, op] of Object.entries({ sum: ops.sum, mean: ops.mean, max: ops.max }))
  testOp(name, { golden: name, apply: ([x], options) => op(x, options) });
testOp("softmax", { golden: "softmax", apply: ([x], { axis }) => ops.softmax(x, axis) });
testOp("logSoftmax", { golden: "logSoftmax", apply: ([x], { axis }) => ops.logSoftmax(x, axis) });
testOp("layerNorm", { golden: "layerNorm", apply: ([x, weight, bias], { epsilon }) => ops.layerNorm(x, weight, bias, epsilon) });
testOp("matmul", { golden: "matmul", apply: ([a, b], options) => ops.matmul(a, b, options) });
testOp("linear", { golden: "linear", apply: ([x, weight, bias], options) => ops.linear(x, weight, bias, options) });
testOp("reshape", { golden: "reshape", apply: ([x], { shape }) => ops.reshape(x, shape) });
testOp("transpose", { golden: "transpose", apply: ([x], { permutation }) => ops.transpose(x, permutation) });
testOp("broadcastTo", { golden: "broadcastTo", apply: ([x], { shape }) => ops.broadcastTo(x, shape) });
testOp("concat", { golden: "concat", apply: (xs, { axis }) => ops.concat(xs, axis) });
testOp("slice", { golden: "slice", apply: ([x], options) => ops.slice(x, options) });
testOp("split", { golden: "split", apply: ([x], { parts, axis }) => ops.split(x, parts, axis) });
testOp("gather", { golden: "gather", apply: ([x, indices], { axis }) => ops.gather(x, indices, axis) });
testOp("takeAlong", { golden: "takeAlong", apply: ([x, indices], { axis }) => ops.takeAlong(x, indices, axis) });
testOp("crossEntropy", { golden: "crossEntropy", apply: ([logits, targets], options) => ops.crossEntropy(logits, targets, options) });
testOp("attention", { golden: "attention", apply: ([q, k, v], { isCausal }) => ops.scaledDotProductAttention(q, k, v, { isCausal }), secondOrder: false });
testOp("attention, 4 blocks", {
  golden: "attention",
  apply: ([q, k, v], { isCausal }) => ops.scaledDotProductAttention(q, k, v, { isCausal, blocks: 4 }),
  finiteDifferences: false,
});
testOp("attention, plain path", {
  golden: "attention",
  apply: ([q, k, v], { isCausal }) => ops.plainAttention(q, k, v, { isCausal, scale: 1 / Math.sqrt(4) }),
  finiteDifferences: false,
});
