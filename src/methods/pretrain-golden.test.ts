/** Batches of texts beside transformers: see golden/make_pretrain.py. Span corruption is compared in augment/. */
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { Draws } from "../augment/index.ts";
import { readJson } from "../files/index.ts";
import { fromPretrained } from "../models/index.ts";
import { tensor } from "../tensor/index.ts";
import { causalBatches, type MaskedOptions, maskedBatches, maskedWindow } from "./parts/pretraining-batches.ts";
import { spanBatches } from "./parts/span-batches.ts";
import type { MeasuredDocuments } from "./parts/text-tokens.ts";

const golden = (name: string) => fileURLToPath(new URL(`../../golden/${name}`, import.meta.url));
interface Masked {
  ids: number[][];
  maskTokenId: number;
  vocabSize: number;
  probability: number;
  picked: number[][];
  replaced: number[][];
  random: number[][];
  words: number[][];
  inputIds: number[][];
  labels: number[][];
  loss: number;
}
const { alone, masked } = (await readJson(golden("pretrain.json"))) as unknown as {
  alone: Record<string, { documents: number[][]; losses: (number | null)[] }>;
  masked: Masked;
};

const documentsOf = (documents: readonly (readonly number[])[]): MeasuredDocuments => ({
  tokens: documents.flat().length,
  lengths: documents.map(({ length }) => length),
  ids: async (document, start, length) => documents[document].slice(start, start + length),
});
const options = { batchSize: 2, groupByLength: true, padId: 0, seed: 1, isShuffled: false } as const;
const silent = { onWarning: () => {} };

describe.each(Object.keys(alone))("%s", (name) => {
  const { documents, losses } = alone[name];
  // a document of n tokens has n - 1 that are told
  const told = documents.map(({ length }) => length - 1);
  const sum = told.reduce((total, count, i) => total + count * (losses[i] ?? 0), 0);
  const expected = sum / told.reduce((a, b) => a + b, 0);

  test.each(["documents", "none"] as const)("packing %s: the mean loss of documents alone", async (packing) => {
    const model = await fromPretrained(golden(name), { ...silent, task: "causal-lm" });
    const batchSize = packing === "none" ? documents.length : 2;
    const batches = causalBatches(documentsOf(documents), { ...options, batchSize, packing, maxLength: 16 });
    expect(batches.batchesPerEpoch).toBe(1);
    const batch = await batches.source.batch(0);
    expect(Math.abs((await model.loss(batch).item()) / expected - 1)).toBeLessThan(1e-5);
    model.dispose();
  });
});

/** A part of the numbers that PyTorch drew. */
class RecordedDraws extends Draws {
  private readonly rows: Readonly<Record<"picked" | "replaced" | "random" | "words", number[]>>;
  private readonly part: number;
  private at = 0;
  constructor(rows: RecordedDraws["rows"], part = -1) {
    super([0, 0]);
    this.rows = rows;
    this.part = part;
  }
  override fold(part: number): Draws {
    return new RecordedDraws(this.rows, part);
  }
  override isLikely(): boolean {
    expect(this.part).toBe(0);
    return this.rows.picked[this.at++] === 1;
  }
  /** Below 0.8 a mask, below 0.9 a random word. */
  override uniform(): number {
    const i = this.at++;
    return this.rows.replaced[i] ? 0.1 : this.rows.random[i] ? 0.85 : 0.95;
  }
  override integer(): number {
    return this.rows.words[this.at++];
  }
}

test("masks: the collator's rows, and the model's loss of them", async () => {
  const { ids, maskTokenId, vocabSize, probability } = masked;
  const parts: Pick<MaskedOptions, "before" | "after" | "special" | "masking"> = {
    before: [2],
    after: [3],
    special: new Set([0, 1, 2, 3, 4]),
    masking: { maskTokenId, vocabSize, probability },
  };
  const rows = ids.map((row, i) => {
    const draws = { picked: masked.picked[i], replaced: masked.replaced[i], random: masked.random[i] };
    return maskedWindow(row.slice(1, -1), parts, new RecordedDraws({ ...draws, words: masked.words[i] }));
  });
  expect(rows.map(({ inputIds }) => inputIds)).toEqual(masked.inputIds);
  expect(rows.map(({ labels }) => labels)).toEqual(masked.labels);
  const model = await fromPretrained(golden("models/bert-masked-lm"), { ...silent, task: "masked-lm" });
  const inputIds = tensor(masked.inputIds, { dtype: "i32" });
  const loss = await model.loss({ inputIds, labels: tensor(masked.labels, { dtype: "i32" }) }).item();
  expect(Math.abs(loss / masked.loss - 1)).toBeLessThan(1e-5);
  model.dispose();
});

test("masks and spans: a sample has its own in each epoch, the same at each call; rows of all lengths fit", async () => {
  const documents = documentsOf(
    Array.from({ length: 60 }, (_, i) => Array.from({ length: i }, (_, j) => 5 + ((7 * i + j) % 30))),
  );
  const common = { ...options, batchSize: 7, maxLength: 24, isShuffled: true };
  const masking = { maskTokenId: 4, vocabSize: 40 };
  const parts = { before: [2], after: [3], special: new Set([2, 3, 4]), masking };
  const spans = { noise: { noiseDensity: 0.15, meanSpanLength: 3 }, eosTokenId: 1 };
  const sentinels = { firstSentinelId: 139, numSentinels: 100 };
  for (const packing of ["none", "concatenate"] as const) {
    const all = [
      maskedBatches(documents, { ...common, ...parts, packing }),
      spanBatches(documents, { ...common, ...spans, sentinels, packing }),
    ];
    for (const { source, batchesPerEpoch, padding } of all) {
      expect(padding).toBeLessThan(packing === "none" ? 0.35 : 0.02);
      const texts = new Set<string>();
      for (let i = 0; i < 2 * batchesPerEpoch; i++) {
        const [first, again] = [await source.batch(i), await source.batch(i)];
        const values = await first.inputIds.read();
        expect(await again.inputIds.read()).toEqual(values);
        texts.add(values.join());
      }
      // of the shortest texts there are few ways to be masked
      expect(texts.size).toBeGreaterThan(1.8 * batchesPerEpoch);
    }
  }
});
