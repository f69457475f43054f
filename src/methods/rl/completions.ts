/** What a model writes after prompts. */
import type { Generator } from "../../generate/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import type { Prompt } from "./prompts.ts";

/** A text that the model has written. */
export interface Completion {
  prompt: Prompt;
  /** With the token that ended it. */
  ids: readonly number[];
  /** Without special tokens. */
  text: string;
  /** Whether it has no end, for it reached the greatest length. */
  isTruncated: boolean;
}

/** How texts are written. */
export interface WriteOptions {
  generator: Generator;
  tokenizer: Tokenizer;
  maxNewTokens: number;
  /** 0: the likeliest token each time. */
  temperature: number;
  /** Texts of each prompt, which share what was read of it. */
  groupSize: number;
  seed: number;
  signal?: AbortSignal;
}

/** What generation_config.json may ask for, put aside: texts are drawn from the model's own distribution. */
const unlimited = {
  ...{ topK: 0, topP: 1, minP: 0, typicalP: 1, epsilonCutoff: 0, etaCutoff: 0 },
  ...{ repetitionPenalty: 1, noRepeatNgramSize: 0, minLength: 0, minNewTokens: 0 },
} as const;

/**
 * Completions of prompts by the model as it is now, those of a prompt one after another. The same for the same weights
 * and seed.
 * @throws as `Generator.generateBatch`; the signal's reason
 */
export async function writeCompletions(prompts: readonly Prompt[], options: WriteOptions): Promise<Completion[]> {
  const { generator, tokenizer, maxNewTokens, temperature, groupSize, seed, signal } = options;
  const rows = prompts.flatMap((prompt) => new Array<Prompt>(groupSize).fill(prompt));
  const written = rows.map(() => [] as number[]);
  const drawn = temperature > 0;
  const texts = rows.map(({ ids }, row) => ({
    ids,
    maxNewTokens,
    ...(drawn ? { ...unlimited, doSample: true, temperature, seed: mixed(seed, row) } : { doSample: false }),
    onLogits: (_: Float32Array, picked: number) => void written[row].push(picked), // the token that ends it too
  }));
  const running = generator.generateBatch(texts, { signal });
  let next = await running.next();
  while (!next.done) next = await running.next();
  const reasons = next.value;
  return Promise.all(
    rows.map(async (prompt, row) => ({
      prompt,
      ids: written[row],
      text: await tokenizer.decode(written[row], { skipSpecialTokens: true }),
      isTruncated: reasons[row] === "length",
    })),
  );
}

/** A seed of 32 bits of two numbers: other ones for numbers that are near (the finaliser of MurmurHash3). */
export function mixed(seed: number, index: number): number {
  let x = (Math.imul(seed | 0, 0x9e3779b1) + Math.imul(index + 1, 0x85ebca77)) | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}
