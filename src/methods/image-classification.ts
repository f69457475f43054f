/** Classes of pictures. */
import { z } from "zod";
import { IGNORED_LABEL, OptionError } from "../base/index.ts";
import { metricsOf } from "../metrics/index.ts";
import type { TaskModels } from "../models/index.ts";
import { add, crossEntropy, logSoftmax, mean, mul, neg, sum, type Tensor } from "../tensor/index.ts";
import { type Objective, type Scorer, type SupervisedOptions, supervised } from "../train/index.ts";
import { defineMethod } from "./method.ts";
import { adapted } from "./parts/adapters.ts";
import { batchMixture, classChanges, pictureAugmentation } from "./parts/augmentation.ts";
import { type AskedClassifier, smallPicture } from "./parts/class-answers.ts";
import { type ClassBatch, learnedBatches, measuredBatches } from "./parts/class-batches.ts";
import { warnOfImbalance, withTrainedHead } from "./parts/class-choice.ts";
import { openClassPictures } from "./parts/class-rows.ts";
import { openModel } from "./parts/models.ts";
import { imageSettings, type PictureForm, pictureForm, withForm } from "./parts/picture-form.ts";
import { placeOfPicture, type ReadablePictures } from "./parts/pictures.ts";

type Model = TaskModels["image-classification"];

const settings = {
  head: z
    .enum(["new", "stored"])
    .default("new")
    .describe("A new classifier for the classes of the data, or the one that the model has, by its names of classes."),
  labelSmoothing: z.number().min(0).lt(1).default(0).describe("Share of each label that goes to all classes alike."),
  image: imageSettings,
  augment: classChanges,
  checkPictures: z
    .boolean()
    .default(true)
    .describe("Decode each picture once before training; otherwise one that cannot be read ends the run."),
};

/**
 * Classes of pictures: any model of docs/models.md for image-classification, with a new head or begun anew. Rows have a
 * picture and a class: folders by class, files with paths or bytes, or MNIST's IDX files.
 */
export const imageClassification = defineMethod({
  name: "image-classification",
  summary: "Classes of pictures, by a pretrained model with a new head, or a network from nothing.",
  settings,
  defaults: { optimizer: { learningRate: 1e-4 }, training: { batchSize: 32 }, evaluation: { monitor: "accuracy" } },
  template: `# Classes of pictures.
# kindling train this-file.yaml            trains; kindling train this-file.yaml --dry-run shows the plan
method:
  name: image-classification
  labelSmoothing: 0.1
  augment:                    # random changes of each picture; docs/augmentation.md has their options
    resizedCrop: { scale: [0.5, 1] }   # or crop: { padding: 4 }
    flip: {}
    randAugment: { magnitude: 9 }      # or trivialAugment: {}
    # rotation: { degrees: 10 }
    # color: { brightness: 0.2, contrast: 0.2 }
    # erase: { probability: 0.25 }
    # mixup: { alpha: 0.2 }            # mixed batches: mixup, cutmix or both
  # image: { size: 28, mean: 0.5, std: 0.5 }   # of a new model; others have a preprocessor_config.json
  # head: stored              # go on with the classifier that the model has
model: google/vit-base-patch16-224   # or from nothing: { new: { model_type: convnet, hidden_sizes: [16, 32, 64] } }
data:
  train: pictures             # a folder with a folder of pictures for each class; JSONL, Parquet: image, label; IDX
  validationShare: 0.1        # or validation: other-pictures
optimizer:
  learningRate: 1.0e-4
training:
  epochs: 5
  batchSize: 32
`,
  async prepare(config, context) {
    const { head, image, augment, checkPictures: isChecked, labelSmoothing } = config.method;
    const isStored = head === "stored";
    const stored = isStored ? await openModel(config, { task: "image-classification" }, context) : undefined;
    const names = stored && labelsOf(stored);
    const { classes, opened, read } = await openClassPictures(config, { names, isChecked }, context);
    const { names: labels } = classes;
    const model = stored ?? (await openModel(config, { task: "image-classification", labels }, context));
    const form = await pictureForm(model, image);
    const { train, validation } = await read(form);
    const counts = classCounts(labels, train.kept);
    warnOfImbalance({ names: labels, counts }, context, "the small ones may be hardly learned");
    const { batchSize = 32, seed } = config.training;
    const batches = { form, batchSize, seed, numClasses: labels.length };
    const changes = { augment: pictureAugmentation(augment, form.size), mix: batchMixture(augment) };
    return {
      model,
      objective: await adapted(withTrainedHead(config, model, !isStored), { model }, (options) =>
        pictureClassifier(model, { ...options, form, labelSmoothing }),
      ),
      trainData: learnedBatches(train, { ...batches, ...changes }),
      batchesPerEpoch: Math.ceil(train.kept.length / batchSize),
      validationData: validation && measuredBatches(validation, batches),
      facts: {
        pictures: train.kept.length,
        classes: labels.length,
        "smallest class": smallestClass(labels, counts),
        ...(validation && { "validation pictures": validation.kept.length }),
      },
      ...(validation && { classifier: askedPictures(model, labels, validation) }),
      fingerprint: { data: (await opened.train.fingerprint()) ?? "none" },
      preview: async (count) =>
        train.kept
          .slice(0, count)
          .map(({ index, label }) => `${opened.train.placeOf(index)}: ${labels[label]}`)
          .join("\n"),
      close: () => opened.close(),
    };
  },
});

/** A classifier, and the pictures that it is measured on. */
const askedPictures = (
  model: Model,
  names: readonly string[],
  pictures: ReadablePictures<number>,
): AskedClassifier<ClassBatch> => ({
  names,
  outputs: (batch) => scoredBatch(model, batch),
  async exampleAt(index) {
    const { index: row } = pictures.kept[index];
    return { place: await placeOfPicture(pictures, row), picture: smallPicture(await pictures.decode(row)) };
  },
});

/** @throws OptionError for a model whose classes have no names */
function labelsOf(model: Model): readonly string[] {
  const { labels } = model.config as { labels?: readonly string[] };
  if (labels) return labels;
  throw new OptionError({
    where: "config, method.head",
    expected: "a model with a classifier",
    received: "one without names of classes",
    fix: "take a new one: head: new",
  });
}

function classCounts(labels: readonly string[], kept: readonly { label: number }[]): number[] {
  const counts = labels.map(() => 0);
  for (const { label } of kept) counts[label]++;
  return counts;
}

function smallestClass(labels: readonly string[], counts: readonly number[]): string {
  const least = counts.indexOf(Math.min(...counts));
  return `${labels[least]} (${counts[least]})`;
}

/** What of a model is trained, and how its loss counts. */
export interface PictureClassifierOptions extends SupervisedOptions {
  /** How pictures are prepared, which is saved beside the model. */
  form: Pick<PictureForm, "save">;
  /** @default 0 */
  labelSmoothing?: number;
}

/**
 * The objective of batches of pictures and classes: the model's loss, with label smoothing as PyTorch's cross-entropy
 * has it, or the cross-entropy of mixed classes. Measures accuracy, precision, recall and F1 over the validation data.
 */
export function pictureClassifier(
  model: Model,
  { form, labelSmoothing = 0, ...options }: PictureClassifierOptions,
): Objective<ClassBatch> {
  const objective = withForm(supervised<ClassBatch>(model as never, options), form);
  return {
    ...objective,
    loss(batch, run) {
      const { labels, targets, ...pictures } = batch;
      if (labels && (labelSmoothing === 0 || !run.isTraining)) return objective.loss(batch, run);
      const { logits } = model.forward({ ...pictures, ...run });
      if (!targets) {
        const { weight } = objective.loss(batch, run);
        return {
          loss: crossEntropy(logits, labels as Tensor<"i32">, { ignoreIndex: IGNORED_LABEL, labelSmoothing }),
          weight,
        };
      }
      return { loss: softCrossEntropy(logits, smoothed(targets, labelSmoothing)) };
    },
    scorer: () => classScorer(model),
  };
}

const smoothed = (targets: Tensor<"f32">, share: number): Tensor<"f32"> =>
  share === 0 ? targets : add(mul(targets, 1 - share), share / targets.size(-1));

/** Mean over rows of -sum p log q. logits, targets: [B, N] -> [] */
const softCrossEntropy = (logits: Tensor<"f32">, targets: Tensor<"f32">): Tensor<"f32"> =>
  neg(mean(sum(mul(targets, logSoftmax(logits, -1)), { axes: -1 })));

const scoredBatch = (model: Model, { labels, pixelValues, pixelMask }: ClassBatch) => ({
  logits: model.forward({ pixelValues, pixelMask }).logits,
  labels: labels as Tensor<"i32">,
});

function classScorer(model: Model): Scorer<ClassBatch> {
  const metric = metricsOf("classification");
  return {
    outputs: (batch) => scoredBatch(model, batch),
    add({ logits, labels }) {
      const width = logits.shape[1];
      const rows = Array.from(labels.data as Int32Array, (label, i) => ({
        label,
        scores: Array.from((logits.data as Float32Array).subarray(i * width, (i + 1) * width)),
      })).filter(({ label }) => label >= 0);
      metric.add(
        rows.map(({ scores }) => scores),
        rows.map(({ label }) => label),
      );
    },
    result() {
      const numbers = metric.result();
      metric.reset();
      return numbers;
    },
  };
}
