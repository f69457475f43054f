/** Every key of generation_config.json, against transformers' numbers and texts. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { type CausalLM, fromPretrained, type Seq2SeqLM } from "../models/index.ts";
import { characterTokenizer } from "../testing/characters.ts";
import {
  Candidates,
  type GenerateOptions,
  type GenerationSettings,
  Generator,
  generateText,
  generationConfigKeys,
  processorsOf,
  Seq2SeqGenerator,
  settingsOf,
  warpersOf,
} from "./index.ts";

const golden = fileURLToPath(new URL("../../golden/", import.meta.url));
type Json = Record<string, unknown>;
interface Expected {
  keys: string[];
  prompt: number[];
  written: number[];
  processed: { name: string; config: Json; logits: number[]; expected: (number | null)[] }[];
  greedy: { name: string; config: Json; prompt: number[]; outputIds: number[] }[];
  beams: { name: string; model: string; config: Json; inputIds: number[]; outputIds: number[] }[];
}
const { keys, prompt, written, processed, greedy, beams } = JSON.parse(
  readFileSync(`${golden}generation.json`, "utf8"),
) as Expected;
const llama = (): Promise<CausalLM> => fromPretrained(`${golden}decoders/llama`, { task: "causal-lm" });

/** Logits as a sampler sees them: -Infinity for what may not be drawn. */
function processedBy(config: Json, values: readonly number[], options: GenerationSettings = {}): number[] {
  const logits = Float32Array.from(values);
  const { limits, ...rules } = settingsOf(config, options);
  const { maxLength = 99 } = rules;
  const progress = { ids: [...prompt, ...written], startLength: prompt.length, maxLength, source: prompt };
  for (const process of processorsOf(rules)) process(logits, progress);
  if (limits.temperature === 0) return [...logits];
  const out = new Array<number>(logits.length).fill(Number.NEGATIVE_INFINITY);
  const candidates = new Candidates().take(logits);
  for (const warp of warpersOf(limits)) warp(candidates, () => 0);
  candidates.ids.forEach((id, i) => {
    out[id] = candidates.scores[i];
  });
  return out;
}

describe("logits", () => {
  test.each(processed)("$name", ({ config, logits, expected }) => {
    const got = processedBy(config, logits);
    for (const [i, value] of expected.entries()) {
      if (value === null) expect(got[i]).toBe(Number.NEGATIVE_INFINITY);
      else expect(Math.abs(got[i] - value)).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(value)));
    }
    expect(got).toHaveLength(expected.length);
  });

  test("the first and the last token, and what may not be first", () => {
    const at = (json: Json, ids: number[], maxLength = 9) => {
      const logits = Float32Array.of(1, 2, 3, 4);
      for (const process of processorsOf(settingsOf(json))) process(logits, { ids, startLength: 1, maxLength });
      return [...logits];
    };
    const none = Number.NEGATIVE_INFINITY;
    expect(at({ forced_bos_token_id: 0 }, [1])).toEqual([0, none, none, none]);
    expect(at({ forced_bos_token_id: 0 }, [1, 0])).toEqual([1, 2, 3, 4]);
    expect(at({ forced_eos_token_id: [3] }, [1, 1, 1], 4)).toEqual([none, none, none, 0]);
    expect(at({ begin_suppress_tokens: [2] }, [1])).toEqual([1, 2, none, 4]);
    expect(at({ begin_suppress_tokens: [2], forced_bos_token_id: 0 }, [1, 0])).toEqual([1, 2, none, 4]);
    expect(at({ begin_suppress_tokens: [2] }, [1, 1])).toEqual([1, 2, 3, 4]);
  });

  test("an option goes before the file, and the file before the default", () => {
    const [{ logits }] = processed;
    expect(processedBy({ repetition_penalty: 3 }, logits, { repetitionPenalty: 1 })).toEqual(processedBy({}, logits));
    expect(processedBy({}, logits, { minP: 0.2, topK: 0 })).toEqual(
      processedBy({ do_sample: true, top_k: 0, min_p: 0.2 }, logits),
    );
  });
});

describe("texts of a model whose generation_config.json says", () => {
  test.each(greedy)("$name", async ({ config, prompt: start, outputIds }) => {
    const model = await llama();
    model.generationConfig = config;
    const generator = new Generator(model);
    const ids: number[] = [];
    for await (const id of generator.generate(start)) ids.push(id);
    const end = outputIds.at(-1) === 2; // transformers gives the end out too
    expect(ids).toEqual(end ? outputIds.slice(0, -1) : outputIds);
    generator.dispose();
    model.dispose();
  });
});

describe("beam search", () => {
  test.each(beams)("$name", async ({ model: name, config, inputIds, outputIds }) => {
    const model = (await fromPretrained(`${golden}models/${name}`)) as Seq2SeqLM;
    (model as { generationConfig: Json }).generationConfig = config;
    const generator = new Seq2SeqGenerator(model, { initialRoom: 3 });
    const ids: number[] = [];
    for await (const id of generator.generate({ inputIds })) ids.push(id);
    const isWhole = [config.eos_token_id].flat().includes(outputIds.at(-1)); // transformers gives the end out too
    expect(ids).toEqual(isWhole ? outputIds.slice(0, -1) : outputIds);
    generator.dispose();
    model.dispose();
  });
});

describe("keys", () => {
  test("all that transformers knows are followed, refused or known to change no text", () => {
    expect([...generationConfigKeys].sort()).toEqual(keys);
  });

  test.each([
    ["penalty_alpha", 0.6],
    ["dola_layers", "high"],
    ["guidance_scale", 1.5],
    ["watermarking_config", { greenlist_ratio: 0.25 }],
    ["token_healing", true],
    ["num_return_sequences", 2],
    ["force_words_ids", [[1]]],
    ["constraints", [{}]],
    ["num_beam_groups", 2],
    ["cache_implementation", "quantized"],
  ])("%s is refused by name", (key, value) => {
    expect(() => settingsOf({ [key as string]: value })).toThrow(
      `generation_config.json, ${key}: expected a way to write texts that is built`,
    );
  });

  test("num_beams is refused by name where hypotheses cannot be followed, and can be taken back", () => {
    expect(() => settingsOf({ num_beams: 4 })).toThrow(
      /generation_config\.json, num_beams: expected 1, or nothing that is drawn/,
    );
    expect(() => settingsOf({ num_beams: 4, do_sample: true }, {}, { hasBeams: true })).toThrow(
      /nothing that is drawn/,
    );
    expect(settingsOf({ num_beams: 4 }, { numBeams: 1 }).numBeams).toBe(1);
    expect(settingsOf({ num_beams: 4 }, {}, { hasBeams: true }).numBeams).toBe(4);
  });

  test("values that cannot be followed are named with their key or option", () => {
    expect(() => settingsOf({ bad_words_ids: [1] })).toThrow(/generation_config\.json, bad_words_ids/);
    expect(() => settingsOf({ repetition_penalty: 0 })).toThrow(/generation_config\.json, repetition_penalty/);
    expect(() => settingsOf({ eos_token_id: "x" })).toThrow(/eos_token_id/);
    expect(() => settingsOf({}, { noRepeatNgramSize: -1 })).toThrow(
      /noRepeatNgramSize to be a number of tokens; received -1/,
    );
    expect(() => settingsOf({}, { doSample: false, topK: 3 })).toThrow(/doSample with topK/);
    expect(() => settingsOf({}, { numBeams: 4 })).toThrow(/generate, numBeams: expected 1/);
  });
});

test("unknown options name the nearest", async () => {
  const model = await llama();
  const generator = new Generator(model);
  const refusal = (options: object) => generator.generate([1], options as GenerateOptions).next();
  await expect(refusal({ repetitionPenlty: 2 })).rejects.toThrow(/did you mean "repetitionPenalty"/);
  await expect(refusal({ max_new_tokens: 2 })).rejects.toThrow(/did you mean "maxNewTokens"/);
  await expect(refusal({ stopStrings: ["x"] })).rejects.toThrow(/use generateText/);
  await expect(refusal({ maxLength: 1 })).rejects.toThrow(/maxLength above 1, the tokens of the prompt/);
  generator.dispose();
  model.dispose();
});

test("a greatest time ends a text", async () => {
  const model = await llama();
  const generator = new Generator(model);
  const ids: number[] = [];
  for await (const id of generator.generate([1], { maxTime: 1e-6, stopTokens: [] })) ids.push(id);
  expect(ids).toHaveLength(1);
  generator.dispose();
  model.dispose();
});

test("stop_strings of the file end a text, and can be taken back", async () => {
  const model = await llama();
  const generator = new Generator(model);
  const tokenizer = await characterTokenizer(
    Array.from({ length: 43 }, (_, i) => String.fromCharCode(65 + i)).join(""),
  );
  const textOf = async (options: object) => {
    let text = "";
    for await (const piece of generateText(generator, tokenizer, [3, 9, 6], {
      stopTokens: [],
      maxNewTokens: 8,
      ...options,
    }))
      text += piece.text;
    return text;
  };
  const whole = await textOf({});
  model.generationConfig = { stop_strings: whole[3] };
  expect(await textOf({})).toBe(whole.slice(0, whole.indexOf(whole[3])));
  expect(await textOf({ stopStrings: [] })).toBe(whole);
  generator.dispose();
  model.dispose();
});
