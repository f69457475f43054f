import fc from "fast-check";
import { expect, test } from "vitest";
import { Graph, type Node, placeholder, topologicalOrder } from "../ir/index.ts";
import * as ops from "../ops/index.ts";
import { Ancestors } from "./ancestors.ts";

test("ancestors of many nodes at once are those that a walk from each finds", () => {
  const pairs = fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 1, maxLength: 100 });
  fc.assert(
    fc.property(pairs, (choices) => {
      const x = placeholder("x", { dtype: "f32", shape: [2] });
      const values = [x];
      for (const [a, b] of choices) values.push(ops.add(values[a % values.length], values[b % values.length]));
      const { nodes } = new Graph([x], values);
      const ancestors = new Ancestors(nodes, nodes, nodes);
      const neededFor = (node: Node) => new Set(topologicalOrder(node.inputs));
      return nodes.every((node) => {
        const needed = neededFor(node);
        return nodes.every((other) => ancestors.has(other, node) === needed.has(other));
      });
    }),
    { numRuns: 40 },
  );
});

test("what was not asked for is nobody's ancestor", () => {
  const x = placeholder("x", { dtype: "f32", shape: [2] });
  const [a, b] = [ops.exp(x), ops.neg(x)];
  const sum = ops.add(a, b);
  const { nodes } = new Graph([x], [sum]);
  const ancestors = new Ancestors(nodes, [a.node], [sum.node]);
  expect(ancestors.has(a.node, sum.node)).toBe(true);
  expect([ancestors.has(b.node, sum.node), ancestors.has(a.node, b.node)]).toEqual([false, false]);
});
