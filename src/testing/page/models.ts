/** What the page test loads and runs, in the page and in Node alike: models that write, see and hear. */
import { fromPretrained, Generator, pipeline, Tokenizer } from "../../browser.ts";

export interface ModelResults {
  /** Greedy ids of a model without a tokenizer, and a text. */
  ids: number[];
  text: string;
  tokens: number[];
  /** Scores of classes, by label. */
  classes: Record<string, number>;
  labels: Record<string, number>;
  heard: string;
}

const scoresOf = (ranked: readonly { label: string; score: number }[]) =>
  Object.fromEntries(ranked.map(({ label, score }) => [label, score]));

/** @param at the folder or address of what golden/ has */
export async function runModels(
  at: (name: string) => string,
  { cache }: { cache?: boolean } = {},
): Promise<ModelResults> {
  const model = await fromPretrained(at("decoders/qwen2"), { task: "causal-lm", cache });
  const generator = new Generator(model);
  const ids: number[] = [];
  for await (const id of generator.generate([5, 6, 7, 8], { temperature: 0, maxNewTokens: 10 })) ids.push(id);
  const writer = await pipeline("text-generation", at("pipelines/models/gpt2"), { cache });
  const [{ generated_text: text }] = (await writer.run("It was a dark", { maxNewTokens: 6 })) as {
    generated_text: string;
  }[];
  const tokenizer = await Tokenizer.open(at("pipelines/models/gpt2"), { cache });
  const viewer = await pipeline("image-classification", at("models/convnext-image-classification"), {
    processor: at("images/convnext"),
    cache,
  });
  const pairer = await pipeline("zero-shot-image-classification", at("pipelines/models/clip"), { cache });
  const hearer = await pipeline("automatic-speech-recognition", at("pipelines/models/whisper"), { cache });
  const results = {
    ids,
    text,
    tokens: await tokenizer.encode("It was a dark and stormy night."),
    classes: scoresOf(await viewer.run(at("images/wide.png"), { topK: 3 })),
    labels: scoresOf(await pairer.run(at("images/photo.jpg"), { candidateLabels: ["a cat", "a dark night"] })),
    heard: (await hearer.run(at("audio/mono-16.wav"), { maxNewTokens: 12 })).text,
  };
  for (const each of [generator, model, writer, viewer, pairer, hearer]) each.dispose();
  return results;
}
