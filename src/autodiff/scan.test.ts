import { expect, test } from "vitest";
import { Graph, placeholder, type Value } from "../ir/index.ts";
import { optimize } from "../lower/index.ts";
import * as ops from "../ops/index.ts";
import { gradients, scan } from "./index.ts";
import { ScanOp } from "./scan-op.ts";

const input = (shape: readonly number[], label: string) => placeholder(label, { dtype: "f32", shape });
const scansOf = (graph: Graph) => graph.nodes.flatMap(({ op }) => (op instanceof ScanOp ? [op] : []));

/** h = tanh(h w + x_t) */
function recurrent(w: Value, xs: Value, h: Value): Value {
  const { carry } = scan(([state], [x]) => ({ carry: [ops.tanh(ops.add(ops.matmul(state, w), x))] }), {
    init: [h],
    xs: [xs],
  });
  return ops.sum(carry[0]);
}

test("the gradient of a weight is one product of all steps, outside of the backward scan", () => {
  const [w, xs, h] = [input([4, 4], "w"), input([7, 3, 4], "xs"), input([3, 4], "h")];
  const [dw] = gradients(recurrent(w, xs, h), [w]);
  const graph = optimize(new Graph([w, xs, h], [dw]));
  const outer = graph.nodes.filter(({ op }) => op === ops.matmul.entry);
  expect(outer.map(({ inputs }) => inputs[0].shape)).toEqual([[21, 4]]);
});

test("the forward steps run once, for the value and for the gradient", () => {
  const [w, xs, h] = [input([4, 4], "w"), input([7, 3, 4], "xs"), input([3, 4], "h")];
  const loss = recurrent(w, xs, h);
  const graph = optimize(new Graph([w, xs, h], [loss, ...gradients(loss, [w])]));
  expect(scansOf(graph).map(({ layout }) => layout.reverse)).toEqual([false, true]);
});
