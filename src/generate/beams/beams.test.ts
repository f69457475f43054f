/** Searches, against the texts of transformers in golden/searches.json and golden/decoding.json. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { type CausalLM, fromPretrained, type Seq2SeqLM } from "../../models/index.ts";
import { PlainRows } from "../../testing/plain-rows.ts";
import {
  type BeamText,
  SearchGenerator,
  Seq2SeqGenerator,
  searchBeams,
  searchContrastive,
  TokenPicker,
} from "../index.ts";

interface Run {
  name: string;
  kind: "sequences" | "groups" | "constraints" | "contrastive";
  model: string;
  config: Record<string, unknown>;
  ids: number[];
  texts: { ids: number[]; isWhole: boolean; score?: number }[];
}
const golden = fileURLToPath(new URL("../../../golden/", import.meta.url));
const read = (file: string) => JSON.parse(readFileSync(golden + file, "utf8"));
/** Rows of a cache: graphs are compiled for each number of them. */
const rowsOf = ({ config }: Run) => (config.num_beams ?? config.top_k) as number;
const all: Run[] = [...read("decoding.json").sequences, ...read("searches.json").runs];
const runs = all.toSorted((a, b) => rowsOf(a) - rowsOf(b));
const built = { hasBeams: true, hasSequences: true, hasContrastive: true };
function compare(texts: readonly BeamText[], expected: Run["texts"]): void {
  const shown = texts.map(({ ids, finishReason }) => ({ ids, isWhole: finishReason === "stop" }));
  expect(shown).toEqual(expected.map(({ ids, isWhole }) => ({ ids, isWhole })));
  for (const [i, { score }] of expected.entries())
    if (score !== undefined) expect(texts[i].score).toBeCloseTo(score, 4);
}

const NEW_TOKENS = 12;
const parts: { dispose(): void }[] = [];
const kept = <T extends { dispose(): void }>(part: T): T => {
  parts.unshift(part);
  return part;
};
afterAll(() => {
  for (const part of parts) part.dispose();
});
const names = [...new Set(runs.map(({ model }) => model))];

describe.each(names.filter((name) => name.startsWith("models/")))("%s", async (name) => {
  const model = kept((await fromPretrained(golden + name)) as Seq2SeqLM);
  const generator = kept(new Seq2SeqGenerator(model, { initialRoom: 3 }));

  test.each(runs.filter((run) => run.model === name))("$name", async ({ config, ids, texts }) => {
    (model as { generationConfig: unknown }).generationConfig = config;
    compare(await generator.generateSequences({ inputIds: ids }), texts);
  });
});

describe.each(names.filter((name) => !name.startsWith("models/")))("%s", async (name) => {
  const cases = runs.filter((run) => run.model === name);
  const model = kept((await fromPretrained(golden + name, { task: "causal-lm" })) as CausalLM);
  const generator = kept(new SearchGenerator(model, { initialRoom: 3, prefillTokens: 3 }));
  const [{ ids: start }] = cases;
  const rows = kept(new PlainRows(model, start, start.length + NEW_TOKENS));

  test.each(cases)("$name", async ({ kind, config, texts }) => {
    (model as { generationConfig: unknown }).generationConfig = config;
    const picker = new TokenPicker(model, start, start, {}, built);
    picker.maxLength = start.length + NEW_TOKENS;
    if (kind !== "contrastive") {
      const { numBeams } = picker.beams as { numBeams: number };
      compare(await searchBeams(rows.beams(numBeams), picker), texts);
      compare(await generator.generateSequences(start), texts);
      return;
    }
    for (const search of [searchContrastive(rows.contrastive(), picker), generator.generate(start)]) {
      const ids: number[] = [];
      let next = await search.next();
      for (; !next.done; next = await search.next()) ids.push(next.value);
      expect([{ ids, isWhole: next.value === "stop" }]).toEqual(texts);
    }
  });
});
