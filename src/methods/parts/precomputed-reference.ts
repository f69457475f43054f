/** Log probabilities of a reference, computed once before training. */
import { createHash } from "node:crypto";
import { batchesOf } from "../../data/index.ts";
import { exists, readJson, writeJson } from "../../files/index.ts";
import type { CausalLM } from "../../models/index.ts";
import { compile, type Tensor } from "../../tensor/index.ts";
import { type BatchArgument, type CompletionTexts, sequenceLogProbabilities } from "../../train/index.ts";
import type { MethodContext } from "../method.ts";
import type { PreferenceExample } from "./preference-examples.ts";
import { paddedBatch, type TokenBatchOptions } from "./token-batches.ts";

/** How log probabilities are computed before training. */
export interface PrecomputeOptions extends Pick<TokenBatchOptions, "batchSize" | "maxLength" | "padId"> {
  /** The file that keeps them. */
  path: string;
  lossChunk?: number;
  context: MethodContext;
}

interface Stored {
  /** sha256 of the texts. */
  texts: string;
  values: number[];
}

/** Numbers of the first batch agree with those kept to this, relative to max(1, |x|), where the model is the same. */
const SAME = 1e-4;

/**
 * Examples with what a model as it is now says of their texts. Kept in a file, which is read the next time if its texts
 * are the same and the first batch has the same numbers.
 * @throws the signal's reason
 */
export async function withReference(
  model: CausalLM,
  examples: readonly PreferenceExample[],
  options: PrecomputeOptions,
): Promise<PreferenceExample[]> {
  const { path, context } = options;
  const texts = examples.flatMap((example) => example.texts);
  const sum = sumOf(texts);
  const stored = (await exists(path)) ? ((await readJson(path)) as unknown as Stored) : undefined;
  const known = stored?.texts === sum && stored.values.length === texts.length ? stored.values : undefined;
  const order = [...texts.keys()].sort((a, b) => texts[b].ids.length - texts[a].ids.length); // the longest first
  const batchSize = 2 * options.batchSize;
  const source = batchesOf(order, {
    batchSize,
    isShuffled: false,
    collate: (rows) =>
      paddedBatch(
        rows.map((row) => texts[row]),
        options,
      ),
  });
  const compute = compile(
    (batch: CompletionTexts) => sequenceLogProbabilities(model, batch, { lossChunk: options.lossChunk }).sum,
  ) as unknown as (batch: BatchArgument<CompletionTexts>) => Promise<Tensor<"f32">>;
  const values: number[] = new Array(texts.length);
  for (let i = 0; i * batchSize < texts.length; i++) {
    context.signal?.throwIfAborted();
    const result = await (await compute((await source.batch(i)) as BatchArgument<CompletionTexts>)).read();
    const rows = order.slice(i * batchSize, (i + 1) * batchSize);
    for (const [j, row] of rows.entries()) values[row] = result[j];
    if (i === 0 && known && rows.every((row) => isClose(known[row], values[row]))) return paired(examples, known);
    context.onProgress?.("asking the reference", Math.min(1, ((i + 1) * batchSize) / texts.length));
  }
  await writeJson(path, { texts: sum, values });
  return paired(examples, values);
}

const isClose = (a: number, b: number): boolean => Math.abs(a - b) <= SAME * Math.max(1, Math.abs(b));

const paired = (examples: readonly PreferenceExample[], values: readonly number[]): PreferenceExample[] =>
  examples.map((example, i) => ({ ...example, reference: [values[2 * i], values[2 * i + 1]] }));

function sumOf(texts: readonly PreferenceExample["texts"][number][]): string {
  const hash = createHash("sha256");
  for (const { ids, weights } of texts) hash.update(String(ids.length)).update(ids).update(weights);
  return hash.digest("hex");
}
