/** Classification of texts, and of pairs of texts. */
import { z } from "zod";
import type { ClassifiedText, Rows } from "../data/index.ts";
import { defineMethod } from "./method.ts";
import { adapted } from "./parts/adapters.ts";
import { warnOfImbalance, withTrainedHead } from "./parts/class-choice.ts";
import { classificationObjective } from "./parts/classification-objective.ts";
import {
  askedTexts,
  type Classified,
  choiceOf,
  classifiedBatch,
  headOf,
  previewClassified,
  problemOf,
  requireClasses,
  targetOf,
  weightsOf,
} from "./parts/classified-texts.ts";
import { refusePacking, textForm } from "./parts/encoded-texts.ts";
import { withExamples } from "./parts/examples.ts";
import { openModel, openTokenizer, requireVocabulary } from "./parts/models.ts";
import { encodeExamples, lengthFacts, measuredBatches, tokensOf, trainingBatches } from "./parts/text-batches.ts";

const settings = {
  problem: z
    .enum(["auto", "single", "multiple", "regression"])
    .default("auto")
    .describe(
      "One class of several, any number of classes, or a number. Default: several where labels are lists, a number " +
        "where one has a fraction, otherwise one class.",
    ),
  labels: z
    .array(z.string().min(1))
    .min(2)
    .optional()
    .describe("The classes in the order of their numbers. Default: those of the checkpoint's head, or of the data."),
  classWeights: z
    .enum(["none", "balanced"])
    .default("none")
    .describe("balanced: rare classes count more, so that each counts the same in all."),
  labelSmoothing: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe("Share of the target that is spread over all classes; for one class of several."),
};

/**
 * Classification: a model tells the class of a text or a pair of texts, its classes, or a number. The head is the
 * checkpoint's where that is for the same classes, and otherwise begins anew. Devlin et al. 2018, arXiv:1810.04805,
 * section 4.1.
 */
export const classification = defineMethod({
  name: "classification",
  summary: "Classification: a model tells the class, the classes or the number of a text or a pair of texts.",
  settings,
  defaults: {
    optimizer: { learningRate: 3e-5 },
    training: { batchSize: 16 },
    data: { maxLength: 256 },
  },
  template: `# Classification: a model tells the class of a text or of a pair of texts.
# kindling train this-file.yaml            trains; kindling train this-file.yaml --dry-run shows the plan
method:
  name: classification
  # problem: multiple         # labels are lists; regression: they are numbers
  # labels: [ham, spam]       # the order of the classes; default: of the checkpoint's head, or of the data
  # classWeights: balanced    # rare classes count more
  # labelSmoothing: 0.1
model: google-bert/bert-base-uncased   # a folder or a repository; or new: { model_type: bert, ... } with a tokenizer
data:
  train: reviews.jsonl        # rows with text and label; text_pair or hypothesis: a second text
  validationShare: 0.05       # or validation: other.jsonl
  maxLength: 256              # tokens; longer texts are cut
optimizer:
  learningRate: 3.0e-5
training:
  epochs: 3
  batchSize: 16
evaluation:
  monitor: f1Macro            # or accuracy, f1Weighted, rocAuc, validationLoss
`,
  prepare: (config, context) =>
    withExamples(config, "classification", context, async ({ train: rows, ...opened }) => {
      const { classWeights, labelSmoothing } = config.method;
      refusePacking(config, "classification");
      const tokenizer = await openTokenizer(config);
      const problem = config.method.problem === "auto" ? await problemOf(rows) : config.method.problem;
      if (problem !== "single") requireClasses(problem, config.method);
      const choice = problem === "regression" ? undefined : await choiceOf(config, rows, problem);
      const isStored = choice?.isStored ?? false;
      const model = await openModel(config, headOf(problem, choice, tokenizer), context);
      requireVocabulary(tokenizer, model);
      if (choice && classWeights === "none") warnOfImbalance(choice, context);

      const form = textForm(config, { tokenizer, model });
      const encode = (texts: Rows<ClassifiedText>) =>
        encodeExamples<ClassifiedText, Classified>(
          texts,
          async ({ text, textPair: pair, label }, index) => {
            const encoding = await tokenizer.encodeText(text, { pair, maxLength: form.maxLength });
            const target = targetOf(label, problem, choice, texts.placeOf(index));
            return {
              example: { ...tokensOf(encoding), target, row: index },
              isTooLong: encoding.overflowing.length > 0,
            };
          },
          { data: config.data, context, limit: `${form.maxLength} tokens` },
        );
      const [train, validation] = [await encode(rows), opened.validation && (await encode(opened.validation))];
      const classCount = choice?.names.length ?? 1;
      const batches = {
        config,
        lengthOf: ({ ids }: Classified) => ids.length,
        collate: (examples: readonly Classified[]) => classifiedBatch(examples, { problem, classCount, form }),
      };
      const weights = choice && classWeights === "balanced" ? weightsOf(problem, choice, rows.count) : undefined;
      return {
        model,
        tokenizer,
        objective: await adapted(withTrainedHead(config, model, !isStored), { model, tokenizer }, (options) =>
          classificationObjective(model, { ...options, problem, labelSmoothing, weights }),
        ),
        ...trainingBatches(train, batches),
        validationData: validation && measuredBatches(validation, batches),
        facts: {
          ...lengthFacts(train.map(({ ids }) => ids.length)),
          head: isStored ? "the checkpoint's" : "new",
          ...(choice && Object.fromEntries(choice.names.map((name, i) => [`class ${name}`, choice.counts[i]]))),
          ...(validation && { "validation examples": validation.length }),
        },
        ...(problem === "single" &&
          choice &&
          validation &&
          opened.validation && {
            classifier: askedTexts(model, choice, { rows: opened.validation, kept: validation }),
          }),
        fingerprint: opened.fingerprint,
        preview: (count) => previewClassified(train.slice(0, count), { tokenizer, names: choice?.names }),
        close: opened.close,
      };
    }),
});
