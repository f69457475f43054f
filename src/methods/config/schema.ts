/** What a training config may say: the sections that all methods share. docs/training.md describes each field. */
import { z } from "zod";
import { type ExampleFormat, exampleFormats } from "../../data/index.ts";

const count = z.int().min(1);
const share = z.number().min(0).max(1);
const positive = z.number().positive();
const text = z.string().min(1);

/** The model of a config, as most methods take it. */
export const model = z
  .union([
    text,
    z.strictObject({
      name: text.describe("A folder, a repository such as owner/name, a run's model or a .gguf file."),
      weights: z
        .enum(["f32", "stored", "blocks", "nf4"])
        .optional()
        .describe(
          "How weights that are not trained are kept: stored in 16 bits, in the blocks of a GGUF file, or in NF4.",
        ),
      strict: z.boolean().optional().describe("Refuse a checkpoint that lacks or has more weights than the model."),
    }),
    z.strictObject({
      new: z
        .looseObject({ model_type: text })
        .describe("A config.json: the model begins with random weights. vocab_size is the tokenizer's by default."),
    }),
  ])
  .describe("What is trained: the name of a model to go on from, or the config.json of a new one.");

const tokenizer = z
  .union([
    text,
    z.strictObject({
      train: z.enum(["bpe", "char"]),
      vocabSize: count.optional(),
    }),
  ])
  .describe("A tokenizer's folder or file, or one that is trained on the data. Default: the model's.");

const files = z.union([text, z.array(text).min(1)]);
const dataset = z.strictObject({
  path: files,
  split: text.optional().describe("Of a folder or repository with splits. Default: train."),
  weight: positive.optional().describe("How often its rows are taken, beside those of the others."),
  limit: count.optional().describe("The first rows alone."),
  format: z.enum(exampleFormats as [ExampleFormat, ...ExampleFormat[]]).optional(),
  columns: z.record(text, text).optional().describe("Which column has which part, as prompt: question."),
  pictures: text.optional().describe("Of a COCO file: the folder of its pictures. Default: one of the usual places."),
});
const datasets = z.union([files, dataset, z.array(z.union([text, dataset])).min(1)]);

const dataSection = z
  .strictObject({
    train: datasets.describe(
      "JSONL, JSON, CSV, Parquet, Arrow, text, folders of pictures or sounds; or a list of them.",
    ),
    validation: datasets.optional().describe("Rows that are measured on and not learned."),
    validationShare: z
      .number()
      .min(0)
      .max(0.9)
      .default(0.05)
      .describe(
        "Without validation: the share of the training rows that is kept for it, chosen by a sum of their content.",
      ),
    maxLength: count.default(1024).describe("Most tokens of an example, or of a window of a text."),
    onTooLong: z.enum(["cut", "skip"]).default("cut").describe("What becomes of longer examples."),
    packing: z.boolean().default(false).describe("Several examples share a row, unseen by one another."),
    groupByLength: z.boolean().default(true).describe("Batches of examples of like length: less padding."),
    onBadRow: z.enum(["fail", "skip"]).default("fail"),
    maxBadRows: z.int().min(0).optional().describe("With skip: more than these end the run."),
  })
  .describe("What is learned from.");

const adapter = z
  .looseObject({
    type: z.enum(["lora", "ia3", "bottleneck", "prompt", "p-tuning", "prefix"]).default("lora"),
    from: text.optional().describe("An adapter's folder to go on from. Default: a new one."),
    merge: z.boolean().default(false).describe("The result is the model with the adapter in its weights."),
  })
  .describe("Light fine-tuning: the model stays as it is, and an adapter beside it is trained. docs/adapters.md.");

const optimizer = z
  .looseObject({
    name: z
      .enum([
        "adamw",
        "adam",
        "sgd",
        "lion",
        "adafactor",
        "muon",
        "rmsprop",
        "adagrad",
        "adadelta",
        "nadam",
        "radam",
        "adamax",
      ])
      .default("adamw"),
    learningRate: positive.optional().describe("The highest rate. The default depends on the method."),
    layerDecay: z.number().gt(0).max(1).optional().describe("The rate of each layer is that of the next times this."),
    average: z
      .union([
        z.strictObject({ type: z.literal("ema"), decay: share.optional(), start: z.int().min(0).optional() }),
        z.strictObject({ type: z.literal("swa"), start: z.int().min(0).optional(), interval: count.optional() }),
      ])
      .optional()
      .describe("Averages of the weights, which are measured and saved."),
    lookahead: z.strictObject({ interval: count.optional(), alpha: share.optional() }).optional(),
    sharpness: positive.optional().describe("Sharpness-aware minimisation with this radius (SAM)."),
  })
  .describe("The optimizer; the other fields are its own, as weightDecay and betas of adamw.");

const schedule = z
  .looseObject({
    name: z
      .enum([
        ...([
          "constant",
          "linear",
          "cosine",
          "cosine-restarts",
          "polynomial",
          "exponential",
          "step",
          "multi-step",
        ] as const),
        ...(["one-cycle", "inverse-square-root", "warmup-stable-decay", "plateau"] as const),
      ])
      .default("cosine"),
    warmupSteps: z.int().min(0).optional(),
    warmupRatio: share.optional().describe("Share of all steps in which the rate rises. Default: 0.03."),
  })
  .describe("How the learning rate goes; the other fields are the schedule's own.");

const training = z
  .strictObject({
    epochs: positive.optional().describe("How often each example is seen. Default: 3, where there are no steps."),
    steps: count.optional(),
    batchSize: count.optional().describe("Examples of a batch. The default depends on the method."),
    accumulation: count.default(1).describe("Batches of a step."),
    precision: z.enum(["f32", "bf16", "f16"]).default("f32"),
    clipNorm: positive.default(1),
    clipValue: positive.optional(),
    seed: z.int().default(0),
    checkpointActivations: z
      .boolean()
      .optional()
      .describe(
        "About a third more time, much less memory. Default: with an adapter on a base in blocks (QLoRA), and not else.",
      ),
    maxSeconds: positive.optional(),
    prefetch: count.optional(),
    detectAnomaly: z.boolean().default(false).describe("Name the operation that makes a NaN. Slower."),
    overfitBatches: count.optional().describe("Learn these few batches by heart, to see whether a model can learn."),
    fastDevRun: z.boolean().default(false).describe("Three steps and one evaluation: does all of it run?"),
    spikes: z
      .strictObject({
        deviations: positive.optional(),
        window: count.optional(),
        mostRollbacks: z.int().min(0).optional(),
      })
      .optional()
      .describe("After a leap of the loss: back to the last checkpoint, and past the batches since."),
  })
  .describe("How long and in what form.");

const evaluation = z
  .strictObject({
    interval: count.optional().describe("Steps between evaluations. Default: an epoch, at most 500."),
    batches: count.optional().describe("Most batches of an evaluation."),
    monitor: text.default("validationLoss").describe("The number that tells which state is the best."),
    mode: z.enum(["min", "max"]).optional().describe("Default: min for losses and errors, max for other metrics."),
    patience: count.optional().describe("Evaluations without anything better after which training ends."),
    minDelta: z.number().min(0).optional(),
  })
  .describe("What is measured while training.");

const checkpoints = z
  .strictObject({
    interval: count.optional().describe("Steps between checkpoints. Default: that of evaluations."),
    keepBest: z.boolean().default(true).describe("The result is the best state, not the last."),
    keep: z.int().min(0).default(0).describe("How many more checkpoints stay."),
    maxBytes: positive.optional(),
  })
  .describe("What is kept on disk while training.");

const samples = z
  .strictObject({
    prompts: z.array(z.string()).min(1),
    interval: count.optional().describe("Steps between samples. Default: that of evaluations."),
    maxNewTokens: count.default(60),
    temperature: z.number().min(0).default(0.8),
  })
  .describe("Texts that the model writes while it is trained.");

const card = z
  .strictObject({
    name: text.optional(),
    description: text.optional(),
    license: text.optional(),
    languages: z.array(text).optional(),
    datasets: z.array(text).optional(),
    tags: z.array(text).optional(),
  })
  .describe("What the model card says besides what the run itself knows.");

/** The sections that every method has, besides `method` itself. */
export const sharedSections = {
  output: text.optional().describe("The run's folder. Default: runs/ and the name of the config file."),
  model,
  tokenizer: tokenizer.optional(),
  data: dataSection,
  adapter: adapter.optional(),
  freeze: z
    .array(text)
    .optional()
    .describe("Parameters that are not trained, by patterns for their names, as bert.embeddings.*"),
  unfreeze: z
    .array(z.strictObject({ step: z.int().min(0), parameters: z.array(text).min(1) }))
    .optional()
    .describe("Frozen parameters that are trained from a step on."),
  optimizer: optimizer.prefault({}),
  schedule: schedule.prefault({}),
  training: training.prefault({}),
  evaluation: evaluation.prefault({}),
  checkpoints: checkpoints.prefault({}),
  samples: samples.optional(),
  card: card.prefault({}),
  tracking: z
    .array(z.enum(["tensorboard", "csv", "jsonl", "wandb"]))
    .default([])
    .describe("Where else the numbers go."),
};

const shared = z.strictObject(sharedSections);
/** A config after defaults, without the method's own part. */
export type SharedConfig = z.output<typeof shared>;
/** What one writes. */
export type SharedInput = z.input<typeof shared>;
/** A data set as it is named. */
export type DatasetInput = z.output<typeof datasets>;

/** The ways to keep weights in blocks. */
const inBlocks = new Set<string | undefined>(["blocks", "nf4"]);

/**
 * Whether what layers compute is computed again for gradients: as a config says, and otherwise where an adapter is
 * trained on a base in blocks, whose states for the backward pass take more memory than all of the model.
 */
export const checkpointsActivations = ({ training, adapter, model }: SharedConfig): boolean =>
  training.checkpointActivations ??
  (adapter !== undefined && typeof model === "object" && "weights" in model && inBlocks.has(model.weights));
