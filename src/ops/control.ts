import type { Value } from "../ir/index.ts";
import { apply } from "./apply.ts";
import { defineOp } from "./define.ts";
import { hostTensor } from "./host-tensor.ts";

const stopGradientEntry = defineOp({
  name: "stopGradient",
  precision: "any",
  batch: "elementwise",
  inputs: ["x"],
  infer: ({ x }) => x,
  gradient: () => ({}),
  lower: (graph, { x }) => graph.node("Identity", [x]),
  carries: ["x"],
  isView: true,
  simplify: ({ x }) => x,
  reference: ({ x }) => hostTensor(x.shape, x.data),
});

/** The same numbers, but no gradient flows back through. */
export function stopGradient(x: Value): Value {
  return apply(stopGradientEntry, [x]);
}
