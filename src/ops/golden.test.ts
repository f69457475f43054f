/** Every file in golden/ops/, by the runtime, by the reference and by finite differences. */
import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { opTable } from "../testing/op-table.ts";
import { testOp } from "../testing/test-op.ts";
import { plainAttention, plainRotaryEmbedding, scaledDotProductAttention } from "./index.ts";

const golden = readdirSync(new URL("../../golden/ops/", import.meta.url)).map((name) => name.replace(".json", ""));

test("every golden file has a row in the table", () => {
  expect(golden.filter((name) => !(name in opTable))).toEqual([]);
});

for (const name of golden) if (opTable[name]) testOp(name, opTable[name]);

testOp("attention, 4 blocks", {
  golden: "attention",
  apply: ([q, k, v], { isCausal }) => scaledDotProductAttention(q, k, v, { isCausal, blocks: 4 }),
  finiteDifferences: false,
});
testOp("attention, plain path", {
  golden: "attention",
  apply: ([q, k, v], { isCausal }) => plainAttention(q, k, v, { isCausal, scale: 1 / Math.sqrt(4) }),
  finiteDifferences: false,
});
testOp("rotaryHeads, plain path", {
  golden: "rotaryHeads",
  apply: ([x, cos, sin], options) => plainRotaryEmbedding(x, cos, sin, options),
  finiteDifferences: false,
});
