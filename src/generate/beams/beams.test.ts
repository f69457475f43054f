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
const runs: Run[] = [...read("decoding.json").sequences, ...read("searches.json").runs];
const built = { hasBeams: true, hasSequences: true, hasContrastive: true };
function compare(texts: readonly BeamText[], expected: Run["texts"]): void {
  const shown = texts.map(({ ids, finishReason }) => ({ ids, isWhole: finishReason === "stop" }));
  expect(shown).toEqual(expected.map(({ ids, isWhole }) => ({ ids, isWhole })));
  for (const [i, { score }] of expected.entries())
    if (score !== undefined) expect(texts[i].score).toBeCloseTo(score, 4);
}

describe.each([...new Set(runs.map(({ model }) => model))])("%s", (name) => {
  const cases = runs.filter(({ model }) => model === name);
  const isDecoder = !name.startsWith("models/");
  const opened = fromPretrained(golden + name) as Promise<unknown>;
  afterAll(async () => ((await opened) as CausalLM).dispose());

  test.each(cases)("$name", async ({ kind, config, ids, texts }) => {
    if (!isDecoder) {
      const model = (await opened) as Seq2SeqLM;
      (model as { generationConfig: unknown }).generationConfig = config;
      const generator = new Seq2SeqGenerator(model, { initialRoom: 3 });
      compare(await generator.generateSequences({ inputIds: ids }), texts);
      generator.dispose();
      return;
    }
    const model = (await opened) as CausalLM;
    (model as { generationConfig: unknown }).generationConfig = config;
    const cached = new SearchGenerator(model, { initialRoom: 3, prefillTokens: 3 });
    const picker = new TokenPicker({ config: model.config, generationConfig: config }, ids, ids, {}, built);
    picker.maxLength = ids.length + (picker.limitOf({}).tokens as number);
    const rows = new PlainRows(model, ids, picker.maxLength);
    if (kind === "contrastive") {
      const written: number[] = [];
      const search = searchContrastive(rows.contrastive(), picker);
      let next = await search.next();
      for (; !next.done; next = await search.next()) written.push(next.value);
      expect([{ ids: written, isWhole: next.value === "stop" }]).toEqual(texts);
      const again: number[] = [];
      for await (const id of cached.generate(ids)) again.push(id);
      expect(again).toEqual(written);
    } else {
      const { numBeams } = picker.beams as { numBeams: number };
      compare(await searchBeams(rows.beams(numBeams), picker), texts);
      compare(await cached.generateSequences(ids), texts);
    }
    rows.dispose();
    cached.dispose();
  });
});
