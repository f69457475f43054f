/** Supervised fine-tuning on conversations. */
import { z } from "zod";
import { DataError } from "../base/index.ts";
import { type BadRows, type Conversation, type Rows, readConversations } from "../data/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import { languageModel } from "../train/index.ts";
import type { SharedConfig } from "./config/schema.ts";
import { defineMethod, type MethodContext } from "./method.ts";
import { adapted } from "./parts/adapters.ts";
import { padIdOf, sampler } from "./parts/causal.ts";
import {
  conversationTokens,
  conversationWriter,
  type LearnedPart,
  type LearnedTokens,
} from "./parts/conversation-tokens.ts";
import { datasetsOf, openData } from "./parts/datasets.ts";
import { openModel, openTokenizer, requireVocabulary } from "./parts/models.ts";
import { previewTokens } from "./parts/preview.ts";
import { fitTokens, tokenBatches } from "./parts/token-batches.ts";

const settings = {
  learned: z
    .enum(["assistant", "last", "all"])
    .default("assistant")
    .describe("What the loss counts on: all answers, the last one of each conversation, or every token."),
};

/**
 * Supervised fine-tuning: a language model learns to write the answers of conversations. Rows are conversations
 * (OpenAI's messages, ShareGPT), instructions (Alpaca) or prompts with completions; they are written by the tokenizer's
 * chat template. Ouyang et al. 2022, arXiv:2203.02155, section 3.5.
 */
export const sft = defineMethod({
  name: "sft",
  summary: "Supervised fine-tuning: a language model learns the answers of conversations.",
  settings,
  defaults: { optimizer: { learningRate: 2e-5 }, training: { batchSize: 8 } },
  template: `# Supervised fine-tuning: a language model learns the answers of conversations.
# kindling train this-file.yaml            trains; kindling train this-file.yaml --dry-run shows the plan
method:
  name: sft
  learned: assistant          # all answers; last: of each conversation the last one; all: every token
model: HuggingFaceTB/SmolLM2-135M-Instruct   # a folder, a repository, a run's model or a .gguf file
data:
  train: chat.jsonl           # rows with messages, conversations, instruction/output or prompt/completion
  validationShare: 0.05       # or validation: other.jsonl
  maxLength: 1024             # tokens; longer conversations are cut
  packing: false              # true: several conversations share a row, unseen by one another
optimizer:
  learningRate: 2.0e-5
training:
  epochs: 3
  batchSize: 8
  # accumulation: 4           # batches of a step
  # checkpointActivations: true   # less memory, a third more time
# samples:                    # texts that the model writes while it learns
#   prompts: ["What is a whale?"]
`,
  async prepare(config, context) {
    const model = await openModel(config, { task: "causal-lm" }, context);
    const tokenizer = await openTokenizer(config);
    requireVocabulary(tokenizer, model);
    const opened = await openData(config.data, context);
    const { learned } = config.method;
    const read = (rows: Rows | undefined) =>
      rows && learnedRows(rows, { config, tokenizer, learned, context, badRows: opened.badRows });
    const train = (await read(opened.train)) as Learned;
    const validation = await read(opened.validation);
    const { batchSize = 8 } = config.training;
    const { maxLength, packing, groupByLength } = config.data;
    const batches = { maxLength, packing, groupByLength, padId: padIdOf(tokenizer), seed: config.training.seed };
    const trained = tokenBatches(train.kept, { ...batches, batchSize, isShuffled: true });
    const measured = validation && tokenBatches(validation.kept, { ...batches, batchSize, isShuffled: false });
    return {
      model,
      tokenizer,
      objective: await adapted(config, { model, tokenizer }, (options) => languageModel(model, options)),
      trainData: trained.source,
      batchesPerEpoch: trained.batchesPerEpoch,
      validationData: measured?.source,
      facts: { ...train.facts, ...(validation && { "validation examples": validation.kept.length }) },
      fingerprint: { data: (await opened.train.fingerprint()) ?? "none" },
      preview: (count) => previewTokens(train.kept.slice(0, count), tokenizer),
      sample: sampler(model, tokenizer, { isChat: true }),
      close: () => opened.close(),
    };
  },
});

interface Learned {
  kept: LearnedTokens[];
  facts: Record<string, number>;
}

/** The conversations of rows as tokens. */
async function learnedRows(
  rows: Rows,
  parts: { config: SharedConfig; tokenizer: Tokenizer; learned: LearnedPart; context: MethodContext; badRows: BadRows },
): Promise<Learned> {
  const { config, tokenizer, learned, context, badRows } = parts;
  const [{ format, columns }] = datasetsOf(config.data.train) as { format?: never; columns?: Record<string, string> }[];
  const { examples } = await readConversations(rows, { format, columns, badRows });
  const writer = conversationWriter(tokenizer);
  const tokens: LearnedTokens[] = [];
  for await (const conversation of examples as AsyncIterable<Conversation>) {
    context.signal?.throwIfAborted();
    tokens.push(await conversationTokens(conversation, writer, learned));
    context.onProgress?.("encoding conversations", tokens.length / examples.count);
  }
  const { kept, cut, skipped, unlearned } = fitTokens(tokens, config.data);
  warnOfLosses({ cut, skipped, unlearned, all: tokens.length }, config.data.maxLength, context);
  if (kept.length === 0)
    throw new DataError({
      where: rows.placeOf(0),
      expected: "conversations with something to learn",
      received: `${tokens.length} of which none has any within ${config.data.maxLength} tokens`,
      fix: "raise data.maxLength, or look at the rows with --preview",
    });
  const total = (of: (example: LearnedTokens) => number) => kept.reduce((sum, example) => sum + of(example), 0);
  return {
    kept,
    facts: {
      examples: kept.length,
      tokens: total(({ ids }) => ids.length),
      "learned tokens": total(({ weights }) => weights.reduce((a, b) => a + b, 0)),
      "longest example": Math.max(...kept.map(({ ids }) => ids.length)),
    },
  };
}

function warnOfLosses(
  { cut, skipped, unlearned, all }: Record<"cut" | "skipped" | "unlearned" | "all", number>,
  maxLength: number,
  { onWarning }: MethodContext,
): void {
  const notes = [
    cut > 0 && `${cut} of ${all} examples are longer than maxLength ${maxLength} and cut`,
    skipped > 0 && `${skipped} of ${all} examples are longer than maxLength ${maxLength} and left out`,
    unlearned > 0 && `${unlearned} of ${all} examples have nothing to learn within maxLength, and are left out`,
  ].filter((note) => note !== false);
  if (notes.length > 0) onWarning({ where: "data", notes });
}
