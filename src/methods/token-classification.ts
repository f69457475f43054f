/** Classification of words: named entities, parts of speech. */
import { z } from "zod";
import type { Rows, TaggedTokens } from "../data/index.ts";
import { defineMethod } from "./method.ts";
import { adapted } from "./parts/adapters.ts";
import type { AskedClassifier } from "./parts/class-answers.ts";
import { chooseClasses, withTrainedHead } from "./parts/class-choice.ts";
import { refusePacking, textForm } from "./parts/encoded-texts.ts";
import { withExamples } from "./parts/examples.ts";
import { newModelDefaults, openModel, openTokenizer, requireVocabulary } from "./parts/models.ts";
import { previewTagged, requireLabelled, type Tagged, taggedBatch, taggedEncoder } from "./parts/tagged-words.ts";
import { scoredTokens, type TaggedBatch, taggingObjective } from "./parts/tagging-objective.ts";
import { encodeExamples, lengthFacts, measuredBatches, trainingBatches } from "./parts/text-batches.ts";

const settings = {
  labels: z
    .array(z.string().min(1))
    .min(2)
    .optional()
    .describe("The tags in the order of their numbers. Default: those of the checkpoint's head, or of the data."),
  labelled: z
    .enum(["first", "all"])
    .default("first")
    .describe("Which tokens of a word have its tag: the first, or all of them, with I- behind B-."),
  labelSmoothing: z.number().min(0).lt(1).default(0).describe("Share of the target that is spread over all tags."),
};

/**
 * Token classification: a model tells the tag of each word. Rows are words, or characters of writings without spaces,
 * with tags in IOB2, IOBES or BILOU, or any others such as parts of speech. Devlin et al. 2018, arXiv:1810.04805,
 * section 5.3.
 */
export const tokenClassification = defineMethod({
  name: "token-classification",
  summary: "Token classification: a model tells the tag of each word, as in the recognition of named entities.",
  settings,
  defaults: {
    optimizer: { learningRate: 3e-5 },
    training: { batchSize: 16 },
    data: { maxLength: 256 },
  },
  template: `# Token classification: a model tells the tag of each word, as in the recognition of named entities.
# kindling train this-file.yaml            trains; kindling train this-file.yaml --dry-run shows the plan
method:
  name: token-classification
  labelled: first             # the first token of each word has its tag; all: all tokens
  # labels: [O, B-PER, I-PER] # the order of the tags; default: of the checkpoint's head, or of the data
model: google-bert/bert-base-cased     # a folder or a repository; or new: { model_type: bert, ... } with a tokenizer
data:
  train: sentences.jsonl      # rows with tokens and ner_tags or tags, names or numbers; Chinese: a token a character
  validationShare: 0.05       # or validation: other.jsonl
  maxLength: 256              # tokens; longer sentences are cut
optimizer:
  learningRate: 3.0e-5
training:
  epochs: 3
  batchSize: 16
evaluation:
  monitor: f1                 # of entities; or accuracy, validationLoss
`,
  prepare: (config, context) =>
    withExamples(config, "token-classification", context, async ({ train: rows, ...opened }) => {
      const { labels, labelled, labelSmoothing } = config.method;
      refusePacking(config, "token-classification");
      const tokenizer = await openTokenizer(config);
      const values: (string | number)[] = [];
      for await (const { tags } of rows) for (const tag of tags) values.push(tag);
      const choice = await chooseClasses(config, { values, labels, architecture: "ForTokenClassification" });
      const { names, isStored } = choice;
      const model = await openModel(
        config,
        { task: "token-classification", ...(!isStored && { labels: names }), defaults: newModelDefaults(tokenizer) },
        context,
      );
      requireVocabulary(tokenizer, model);

      const form = textForm(config, { tokenizer, model });
      const encoder = await taggedEncoder({ tokenizer, form, choice, isEach: labelled === "all" });
      const encode = (sentences: Rows<TaggedTokens>) =>
        encodeExamples<TaggedTokens, Tagged>(
          sentences,
          (sentence, index) => encoder.encode(sentence, index, sentences.placeOf(index)),
          { data: config.data, context, limit: `${form.maxLength} tokens` },
        );
      const [train, validation] = [await encode(rows), opened.validation && (await encode(opened.validation))];
      requireLabelled(train);
      encoder.warn(context.onWarning);
      const classifier: AskedClassifier<TaggedBatch> | undefined = opened.validation &&
        validation && {
          names,
          outputs: (batch) => scoredTokens(model, batch),
          exampleAt: sentenceAt(opened.validation, validation, encoder.marked),
        };
      const batches = {
        config,
        lengthOf: ({ ids }: Tagged) => ids.length,
        collate: (examples: readonly Tagged[]) => taggedBatch(examples, form),
      };
      return {
        model,
        tokenizer,
        objective: await adapted(withTrainedHead(config, model, !isStored), { model, tokenizer }, (trained) =>
          taggingObjective(model, { ...trained, names, labelSmoothing }),
        ),
        ...trainingBatches(train, batches),
        validationData: validation && measuredBatches(validation, batches),
        facts: {
          ...lengthFacts(train.map(({ ids }) => ids.length)),
          head: isStored ? "the checkpoint's" : "new",
          ...Object.fromEntries(names.map((name, i) => [`tag ${name}`, choice.counts[i]])),
          ...(validation && { "validation examples": validation.length }),
        },
        ...(classifier && { classifier }),
        fingerprint: opened.fingerprint,
        preview: async (count) => previewTagged(train.slice(0, count), tokenizer, names),
        close: opened.close,
      };
    }),
});

/** What tells a sentence that is measured on, with the word that a token is of. */
const sentenceAt =
  (
    rows: Rows<TaggedTokens>,
    kept: readonly Tagged[],
    marked: (sentence: TaggedTokens, token: number) => Promise<string>,
  ): AskedClassifier<never>["exampleAt"] =>
  async (index, token) => {
    const { row } = kept[index];
    return { place: rows.placeOf(row), text: await marked(await rows.row(row), token) };
  };
