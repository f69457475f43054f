import { expect, test } from "vitest";
import { randomKey, tensor } from "../tensor/index.ts";
import { GPT2LMHeadModel, RecurrentLanguageModel } from "./index.ts";

const config = { vocabSize: 7, hiddenSize: 8, numHeads: 2, numLayers: 1, maxPositionEmbeddings: 8 };
const rows = [
  [1, 2, 3, 4],
  [5, 6, 0, 1],
];
const ids = (values: number[][]) => tensor(values, { dtype: "i32" });

test.each([
  ["GPT2LMHeadModel", new GPT2LMHeadModel(config, randomKey(1))],
  [
    "RecurrentLanguageModel",
    new RecurrentLanguageModel({ kind: "gru", vocabSize: 7, hiddenSize: 8, numLayers: 1 }, randomKey(1)),
  ],
])("%s: labels are the ids, shiftLabels what comes next, and -100 does not count", async (_, model) => {
  const inputIds = ids(rows);
  const shifted = rows.map((row) => [...row.slice(1), -100]);
  const loss = await model.loss({ inputIds, labels: inputIds }).item();
  expect(loss).toBe(await model.loss({ inputIds, shiftLabels: ids(shifted) }).item());
  const { logits } = model.forward({ inputIds });
  const data = await logits.read();
  /** Negative log likelihood of a next token, in double precision. */
  const nll = (row: number, at: number) => {
    const start = (row * 4 + at) * 7;
    const scores = Array.from(data.subarray(start, start + 7));
    return Math.log(scores.reduce((total, score) => total + Math.exp(score), 0)) - scores[rows[row][at + 1]];
  };
  const all = [0, 1].flatMap((row) => [0, 1, 2].map((at) => nll(row, at)));
  expect(loss).toBeCloseTo(all.reduce((a, b) => a + b) / 6, 5);
  const some = await model.loss({ inputIds, labels: ids(rows.map(([a, b, c]) => [a, b, c, -100])) }).item();
  expect(some).toBeCloseTo((all[0] + all[1] + all[3] + all[4]) / 4, 5);
});

test("a loss wants one kind of labels, and whole ones", () => {
  const model = new GPT2LMHeadModel(config, randomKey(1));
  const inputIds = ids(rows);
  expect(() => model.loss({ inputIds, labels: inputIds, shiftLabels: inputIds } as never)).toThrow(
    /GPT2LMHeadModel: expected labels, which are the ids, or shiftLabels.*received both/,
  );
  expect(() => model.loss({ inputIds } as never)).toThrow(/received neither/);
  expect(() => model.loss({ inputIds, labels: tensor(rows) } as never)).toThrow(/labels: expected i32/);
});
