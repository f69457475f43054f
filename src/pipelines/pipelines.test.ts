/** The results of transformers' pipelines, on tiny models. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readJson } from "../files/index.ts";
import { type PipelineTask, pipeline } from "./index.ts";

const golden = fileURLToPath(new URL("../../golden/", import.meta.url));
interface Golden {
  task: PipelineTask;
  cases: {
    model: string;
    processor?: string;
    calls: { inputs: unknown; options: Record<string, unknown>; output: unknown }[];
  }[];
}
/** Needs beam search, or options that are not here yet. */
const isOther = (options: Record<string, unknown>) =>
  [
    "is_split_into_words",
    "return_tensors",
    "num_return_sequences",
    "prefix",
    "handle_long_generation",
    "tokenizer_encode_kwargs",
  ].some((key) => key in options) ||
  Number(options.num_beams ?? 1) > 1 ||
  options.do_sample === true;

const camel = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
/** transformers' options as ours. */
function optionsOf(options: Record<string, unknown>): Record<string, unknown> {
  const {
    generate_kwargs: generate,
    tokenize_kwargs: tokenize,
    subtask: _,
    do_sample: isSampled,
    num_beams: __,
    truncation: ___,
    padding: _______,
    tokenizer_kwargs: ____,
    ...rest
  } = { ...options } as Record<string, unknown>;
  const {
    do_sample: again,
    num_beams: _____,
    truncation: ______,
    ...more
  } = { ...(generate as object), ...(tokenize as object) } as Record<string, unknown>;
  const kindlingOptions = Object.fromEntries(
    Object.entries({ ...rest, ...more }).map(([key, value]) => [camel(key), value]),
  );
  return isSampled === false || again === false ? { ...kindlingOptions, temperature: 0 } : kindlingOptions;
}

const isLists = (value: unknown): value is { question: string[]; context: string[] } =>
  Array.isArray((value as { question?: unknown } | null)?.question);
const asItIs = (key: string): string => key;
/**
 * Files of golden/ by their whole paths; questions and their contexts in two lists as one list. Fields of inputs have
 * our names, those of results have transformers'.
 */
const placed = (value: unknown, nameOf = asItIs): unknown =>
  isLists(value)
    ? value.question.map((question, i) => ({ question, context: value.context[i] }))
    : typeof value === "string" && /^(images|audio)\//.test(value)
      ? join(golden, value)
      : Array.isArray(value)
        ? value.map((each) => placed(each, nameOf))
        : value !== null && typeof value === "object"
          ? Object.fromEntries(Object.entries(value).map(([key, part]) => [nameOf(key), placed(part, nameOf)]))
          : value;

/** Numbers to 1e-4, all else the same; masks as runs of equal pixels. */
function expectSame(path: string, actual: unknown, expected: unknown): void {
  if (typeof expected === "number") {
    expect([path, Math.abs((actual as number) - expected) <= 1e-4 * Math.max(1, Math.abs(expected)), actual]).toEqual([
      path,
      true,
      actual,
    ]);
  } else if (Array.isArray(expected)) {
    expect([path, (actual as unknown[]).length]).toEqual([path, expected.length]);
    for (const [i, each] of expected.entries()) expectSame(`${path}.${i}`, (actual as unknown[])[i], each);
  } else if (expected !== null && typeof expected === "object") {
    if ("runs" in expected) {
      expectSame(path, runsOf((actual as { data: Uint8Array }).data), expected.runs);
      return;
    }
    expect([path, Object.keys(actual as object).sort()]).toEqual([path, Object.keys(expected).sort()]);
    for (const [key, each] of Object.entries(expected))
      expectSame(`${path}.${key}`, (actual as Record<string, unknown>)[key], each);
  } else {
    expect([path, actual]).toEqual([path, expected]);
  }
}

/** Lengths of runs of equal pixels, the first of which is of zeros. */
function runsOf(data: Uint8Array): number[] {
  const runs = [0];
  let value = 0;
  for (const pixel of data) {
    if (pixel !== value) runs.push(0);
    value = pixel;
    runs[runs.length - 1]++;
  }
  return runs;
}

/** Those of sentence-encoder.test.ts and albert.test.ts. */
const sentences = ["albert-tiny-chinese.json", "minilm.json", "reranking.json", "sentence-embeddings.json"];
const files = readdirSync(join(golden, "pipelines")).filter(
  (name) => name.endsWith(".json") && !sentences.includes(name),
);
describe.each(files)("%s", async (file) => {
  const { task, cases } = (await readJson(join(golden, "pipelines", file))) as unknown as Golden;
  test.each(cases.map((each) => [each.model, each] as const))("%s", async (_, { model, processor, calls }) => {
    const runner = await pipeline(task, join(golden, model), processor ? { processor: join(golden, processor) } : {});
    for (const [i, { inputs, options, output }] of calls.entries()) {
      if (isOther(options)) continue;
      const actual = await (runner as unknown as { run(inputs: unknown, options: unknown): Promise<unknown> }).run(
        placed(inputs, camel),
        optionsOf(options),
      );
      expectSame(`call ${i} ${JSON.stringify(options)}`, actual, placed(output));
    }
    runner.dispose();
  });
});

test("a task that is not known names the nearest", async () => {
  await expect(pipeline("text-clasification" as never, "x")).rejects.toThrow(/did you mean "text-classification"/);
});

test("fields that are not known are refused by name", async () => {
  const classifier = await pipeline("text-classification", join(golden, "pipelines/models/bert-token-types"));
  await expect(classifier.run({ text: "john", text_pair: "paris" } as never)).rejects.toThrow(
    /did you mean "textPair"/,
  );
  classifier.dispose();
});

test("a tokenizer with tokens that the model has not is refused", async () => {
  const [model, tokenizer] = ["models/bert-masked-lm", "pipelines/models/bert-masked-lm"].map((name) =>
    join(golden, name),
  );
  await expect(pipeline("fill-mask", model, { tokenizer })).rejects.toThrow(
    /a tokenizer of at most the model's \d+ tokens; received one of \d+/,
  );
});

test("options that a task has not are errors, also those that transformers has and that are not followed", async () => {
  const labels = await pipeline("text-classification", join(golden, "pipelines/models/bert-sequence-classification"));
  await expect(labels.run("x", { top_k: 2 } as never)).rejects.toThrow(
    /text-classification: expected one of the options topK.*"top_k".*did you mean "topK"/,
  );
  await expect(labels.run("x", { functionToApply: "sofmax" as never })).rejects.toThrow(
    /functionToApply: expected softmax, sigmoid, none.*did you mean "softmax"/,
  );
  labels.dispose();
  const names = await pipeline("ner", join(golden, "pipelines/models/bert-token-classification"));
  await expect(names.run("x", { aggregationStrategy: "frist" as never })).rejects.toThrow(/did you mean "first"/);
  await expect(names.run("x", { delimiter: " " } as never)).rejects.toThrow(/"delimiter"/);
  names.dispose();
});
