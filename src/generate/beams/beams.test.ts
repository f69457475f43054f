/** Searches, against the texts of transformers in golden/searches.json. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { type CausalLM, fromPretrained, type Seq2SeqLM } from "../../models/index.ts";
import { PlainRows } from "../../testing/plain-rows.ts";
import { type BeamText, Seq2SeqGenerator, searchBeams, searchContrastive, TokenPicker } from "../index.ts";

interface Run {
  name: string;
  kind: "groups" | "constraints" | "contrastive";
  model: string;
  config: Record<string, unknown>;
  ids: number[];
  texts: { ids: number[]; isWhole: boolean }[];
}
const golden = fileURLToPath(new URL("../../../golden/", import.meta.url));
const { runs } = JSON.parse(readFileSync(`${golden}searches.json`, "utf8")) as { runs: Run[] };
const built = { hasBeams: true, hasSequences: true, hasContrastive: true };
const shown = (texts: readonly BeamText[]) =>
  texts.map(({ ids, finishReason }) => ({ ids, isWhole: finishReason === "stop" }));

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
      expect(shown(await generator.generateSequences({ inputIds: ids }))).toEqual(texts);
      generator.dispose();
      return;
    }
    const model = (await opened) as CausalLM;
    const picker = new TokenPicker({ config: model.config, generationConfig: config }, ids, ids, {}, built);
    picker.maxLength = ids.length + (picker.limitOf({}).tokens as number);
    const rows = new PlainRows(model, ids, picker.maxLength);
    if (kind === "contrastive") {
      const written: number[] = [];
      const search = searchContrastive(rows.contrastive(), picker);
      let next = await search.next();
      for (; !next.done; next = await search.next()) written.push(next.value);
      expect([{ ids: written, isWhole: next.value === "stop" }]).toEqual(texts);
    } else {
      const { numBeams } = picker.beams as { numBeams: number };
      expect(shown(await searchBeams(rows.beams(numBeams), picker))).toEqual(texts);
    }
    rows.dispose();
  });
});
