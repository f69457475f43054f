/** Texts that are written of others: translations, summaries. */
import { z } from "zod";
import { DataError, OptionError } from "../base/index.ts";
import type { Rows, TranslationPair } from "../data/index.ts";
import type { Seq2SeqLM } from "../models/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import { defineMethod, type MethodConfig } from "./method.ts";
import { adapted } from "./parts/adapters.ts";
import { refusePacking, textForm } from "./parts/encoded-texts.ts";
import { withExamples } from "./parts/examples.ts";
import { newModelDefaults, openModel, openTokenizer, requireVocabulary } from "./parts/models.ts";
import {
  type Seq2SeqExample,
  type Seq2SeqForm,
  Seq2SeqWriter,
  seq2seqBatch,
  seq2seqObjective,
} from "./parts/seq2seq-objective.ts";
import { encodeExamples, lengthFacts, measuredBatches, trainingBatches } from "./parts/text-batches.ts";

const count = z.int().min(1);
const settings = {
  prefix: z.string().default("").describe("Stands in front of each source, as in T5: summarize: and a space."),
  maxTargetLength: count.default(128).describe("Most tokens of a target; longer ones are cut."),
  sourceLanguage: z
    .string()
    .min(1)
    .optional()
    .describe("Of rows with texts by language: the one that is read. Default: the first."),
  labelSmoothing: z.number().min(0).lt(1).default(0).describe("Share of the target that is spread over all tokens."),
  generated: z
    .int()
    .min(0)
    .default(50)
    .describe("For how many validation rows the model writes a text in each evaluation, for BLEU, chrF and ROUGE."),
  language: z.enum(["en", "zh"]).default("en").describe("Of targets: how these metrics cut them into words."),
};

/**
 * Sequence to sequence: a model with an encoder and a decoder writes a text of another: a translation, a summary. T5,
 * BART, Marian, or a new one of these: marian is the Transformer of 2017. Vaswani et al. 2017, arXiv:1706.03762.
 */
export const seq2seq = defineMethod({
  name: "seq2seq",
  summary: "Sequence to sequence: an encoder-decoder writes a text of another, as a translation or a summary.",
  settings,
  defaults: {
    optimizer: { learningRate: 5e-5 },
    training: { batchSize: 16 },
    data: { maxLength: 128 },
  },
  template: `# Sequence to sequence: an encoder-decoder writes a text of another, as a translation or a summary.
# kindling train this-file.yaml            trains; kindling train this-file.yaml --dry-run shows the plan
method:
  name: seq2seq
  prefix: ""                  # of T5: "translate English to German: "
  maxTargetLength: 128        # tokens; longer targets are cut
  # labelSmoothing: 0.1
  generated: 50               # validation rows that the model writes a text for, for BLEU, chrF and ROUGE; 0: none
  # language: zh              # of targets: these metrics cut them into characters
model: google-t5/t5-small     # or new: { model_type: marian, d_model: 256, ... } with a tokenizer
data:
  train: pairs.jsonl          # rows with source and target, or translation: { en: ..., zh: ... }
  # train: { path: news.jsonl, columns: { source: article, target: highlights } }
  validationShare: 0.05       # or validation: other.jsonl
  maxLength: 128              # tokens of a source; longer ones are cut
optimizer:
  learningRate: 5.0e-5
training:
  epochs: 3
  batchSize: 16
evaluation:
  monitor: validationLoss     # or bleu, chrf, rouge1, rouge2, rougeL
`,
  prepare: (config, context) =>
    withExamples(config, "translation", context, async (opened) => {
      const { prefix, labelSmoothing, generated, language } = config.method;
      refusePacking(config, "seq2seq");
      const tokenizer = await openTokenizer(config);
      const model = await openModel(config, { task: "seq2seq-lm", defaults: defaultsOf(tokenizer) }, context);
      requireVocabulary(tokenizer, model);
      const form = formOf(config, model, tokenizer);
      const encode = async (rows: Rows<TranslationPair>) => {
        const encoder = new PairEncoder(config, { model, tokenizer, form });
        const limit = `${form.maxLength} tokens, or ${form.maxTargetLength} of a target,`;
        return encodeExamples(rows, (pair) => encoder.encode(pair), { data: config.data, context, limit });
      };
      const train = await encode(opened.train);
      const validation = opened.validation && (await encode(opened.validation));
      const batches = {
        config,
        lengthOf: ({ source, target }: Seq2SeqExample) => source.length + target.length,
        collate: (examples: readonly Seq2SeqExample[]) => seq2seqBatch(examples, form),
      };
      const writer = new Seq2SeqWriter({ model, tokenizer, maxNewTokens: form.maxTargetLength });
      const measured = validation?.slice(0, generated) ?? [];
      return {
        model,
        tokenizer,
        objective: await adapted(config, { model, tokenizer }, (options) =>
          seq2seqObjective(model, { ...options, labelSmoothing, measured, writer, language }),
        ),
        ...trainingBatches(train, batches),
        validationData: validation && measuredBatches(validation, batches),
        facts: {
          ...lengthFacts(train.map(({ source }) => source.length)),
          "target tokens": train.reduce((sum, { target }) => sum + target.length, 0),
          "longest target": train.reduce((most, { target }) => Math.max(most, target.length), 0),
          ...(validation && { "validation examples": validation.length }),
        },
        fingerprint: opened.fingerprint,
        preview: (wanted) => previewPairs(train.slice(0, wanted), tokenizer),
        sample: async (prompt, options) => {
          const { ids } = await tokenizer.encodeText(prefix + prompt, { maxLength: form.maxLength });
          const [text] = await writer.write([Int32Array.from(ids)], context.signal, options);
          return text;
        },
        close: async () => {
          writer.dispose();
          await opened.close();
        },
      };
    }),
});

type Seq2SeqMethod = MethodConfig<typeof settings>;

/** Of a new model: a text is begun by the token of padding, as T5 and Marian do, where there is one. */
function defaultsOf(tokenizer: Tokenizer): Record<string, number> {
  const ids = newModelDefaults(tokenizer);
  const start = ids.pad_token_id ?? ids.bos_token_id ?? ids.eos_token_id;
  return { ...ids, ...(start !== undefined && { decoder_start_token_id: start }) };
}

/** @throws OptionError for a model without tokens that begin and end a text, and for separate vocabularies */
function formOf(config: Seq2SeqMethod, model: Seq2SeqLM, tokenizer: Tokenizer): Seq2SeqForm {
  const { maxLength, padId } = textForm(config, { tokenizer, model });
  const {
    decoderStartTokenId,
    eosTokenId,
    sharesEmbeddings = true,
  } = model.config as Seq2SeqLM["config"] & {
    sharesEmbeddings?: boolean;
  };
  const lacking = [
    decoderStartTokenId === null && "decoder_start_token_id",
    eosTokenId === null && "eos_token_id",
    !sharesEmbeddings && "a vocabulary that sources and targets share",
  ].filter((name) => typeof name === "string");
  if (lacking.length > 0)
    throw new OptionError({
      where: "config, model",
      expected: `a model with ${lacking.join(" and ")}`,
      received: `a ${model.modelType} without`,
      fix: "set it in model.new, or choose another model",
    });
  const { maxLength: places = Number.POSITIVE_INFINITY } = model.cacheShape;
  const maxTargetLength = Math.min(config.method.maxTargetLength, places);
  return { maxLength, maxTargetLength, padId, startId: decoderStartTokenId as number };
}

/** Encodes pairs: a target ends with the token by which the model ends texts. */
class PairEncoder {
  private readonly parts: { model: Seq2SeqLM; tokenizer: Tokenizer; form: Seq2SeqForm };
  private readonly method: Seq2SeqMethod["method"];
  private readonly endId: number;

  constructor({ method }: Seq2SeqMethod, parts: PairEncoder["parts"]) {
    this.method = method;
    this.parts = parts;
    this.endId = [parts.model.config.eosTokenId].flat()[0] as number;
  }

  async encode(pair: TranslationPair): Promise<{ example: Seq2SeqExample; isTooLong: boolean }> {
    const { tokenizer, form } = this.parts;
    const [from, to] = this.directed(pair);
    const source = await tokenizer.encodeText(this.method.prefix + from, { maxLength: form.maxLength });
    const { ids } = await tokenizer.encodeText(to);
    const whole = ids.at(-1) === this.endId ? ids.slice(0, -1) : ids;
    const target = Int32Array.from([...whole.slice(0, form.maxTargetLength - 1), this.endId]);
    const isTooLong = source.overflowing.length > 0 || whole.length >= form.maxTargetLength;
    return { example: { source: Int32Array.from(source.ids), target, text: to }, isTooLong };
  }

  private directed({ source, target, languages }: TranslationPair): readonly [string, string] {
    const { sourceLanguage } = this.method;
    if (sourceLanguage === undefined || sourceLanguage === languages?.[0]) return [source, target];
    if (sourceLanguage === languages?.[1]) return [target, source];
    throw new DataError({
      where: "data, method.sourceLanguage",
      expected: `rows with texts by language, one of them ${sourceLanguage}`,
      received: languages ? languages.join(" and ") : "rows that name no languages",
      fix: "leave sourceLanguage out, or correct it",
    });
  }
}

async function previewPairs(examples: readonly Seq2SeqExample[], tokenizer: Tokenizer): Promise<string> {
  const shown = (ids: Int32Array) => tokenizer.decode([...ids], { skipSpecialTokens: false });
  const lines = examples.map(async ({ source, target }) => `${await shown(source)}\n  -> ${await shown(target)}`);
  return (await Promise.all(lines)).join("\n");
}
