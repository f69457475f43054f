import type { Value } from "../ir/index.ts";
import { testOp } from "../testing/test-op.ts";
import * as ops from "./index.ts";

const unary = {
  neg: ops.neg,
  abs: ops.abs,
  exp: ops.exp,
  log: ops.log,
  sqrt: ops.sqrt,
  reciprocal: ops.reciprocal,
  rsqrt: ops.rsqrt,
  tanh: ops.tanh,
  erf: ops.erf,
  sigmoid: ops.sigmoid,
  sin: ops.sin,
  cos: ops.cos,
  relu: ops.relu,
  silu: ops.silu,
  gelu: (x: Value) => ops.gelu(x),
  geluTanh: (x: Value) => ops.gelu(x, "tanh"),
};
for (const [name, op] of Object.entries(unary)) testOp(name, { golden: name, apply: ([x]) => op(x) });

const binary = {
  add: ops.add,
  sub: ops.sub,
  mul: ops.mul,
  div: ops.div,
  pow: ops.pow,
  maximum: ops.maximum,
  minimum: ops.minimum,
  equal: ops.equal,
  less: ops.less,
  greater: ops.greater,
};
for (const [name, op] of Object.entries(binary)) testOp(name, { golden: name, apply: ([a, b]) => op(a, b) });

testOp("where", { golden: "where", apply: ([condition, a, b]) => ops.where(condition, a, b) });
