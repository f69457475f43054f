/** Objects in pictures: their classes and boxes. */
import { z } from "zod";
import { DataError, OptionError } from "../base/index.ts";
import type { ObjectDetector } from "../models/index.ts";
import type { SharedConfig } from "./config/schema.ts";
import { defineMethod, type MethodContext } from "./method.ts";
import { adapted } from "./parts/adapters.ts";
import { objectAugmentation, objectChanges } from "./parts/augmentation.ts";
import { withTrainedHead } from "./parts/class-choice.ts";
import { learnedBoxes, learnedDetections, measuredDetections } from "./parts/detection-batches.ts";
import { type DetectionForm, detectionForm, detectionImageSettings } from "./parts/detection-form.ts";
import { detector } from "./parts/detection-objective.ts";
import { openModel } from "./parts/models.ts";
import { boxSettings, type LabelledPicture, openDetection } from "./parts/object-rows.ts";
import type { ReadablePictures } from "./parts/pictures.ts";

const weight = (text: string) => z.number().min(0).optional().describe(text);

const settings = {
  head: z
    .enum(["new", "stored"])
    .default("new")
    .describe("A new classifier for the classes of the data, or the one that the model has, by its names of classes."),
  classes: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe("Names of the classes; numbers in rows count them from 0. Default: those that the data name."),
  boxes: boxSettings,
  image: detectionImageSettings,
  relativeTo: z
    .enum(["picture", "padded"])
    .default("picture")
    .describe("What boxes are learned as parts of: the picture, as the DETR paper; padded, as transformers' Trainer."),
  padMultiple: z.int().min(1).default(32).describe("Sides of padded batches are multiples of it: fewer shapes."),
  augment: objectChanges,
  loss: z
    .strictObject({
      classCost: weight("In matching queries to objects: of the class's probability. DETR: 1."),
      bboxCost: weight("In matching: of the distance of the boxes. DETR: 5."),
      giouCost: weight("In matching: of the boxes' generalized IoU. DETR: 2."),
      bboxLoss: weight("In the loss, where the classes count 1: of the distance of the boxes. DETR: 5."),
      giouLoss: weight("In the loss: of the boxes' generalized IoU. DETR: 2."),
      eosCoefficient: weight("Weight of the class of queries that find nothing. DETR: 0.1."),
      auxiliary: z.boolean().optional().describe("Each layer of DETR's decoder is to find the objects."),
    })
    .optional()
    .describe("What counts how much. Default: as the model's config.json says."),
  checkPictures: z
    .boolean()
    .default(true)
    .describe("Decode each picture once before training; otherwise one that cannot be read ends the run."),
};

/** The fields of config.json that the settings of the loss are. */
const lossFields = {
  classCost: "class_cost",
  bboxCost: "bbox_cost",
  giouCost: "giou_cost",
  bboxLoss: "bbox_loss_coefficient",
  giouLoss: "giou_loss_coefficient",
  eosCoefficient: "eos_coefficient",
  auxiliary: "auxiliary_loss",
} as const;

/**
 * Objects in pictures: DETR and YOLOS, with a new head or begun anew. Rows are COCO's files, YOLO's labels, or pictures
 * with `objects`. Carion et al. 2020, arXiv:2005.12872; Fang et al. 2021, arXiv:2106.00666.
 */
export const objectDetection = defineMethod({
  name: "object-detection",
  summary: "Objects in pictures, their classes and boxes: DETR and YOLOS, with a new head or from nothing.",
  settings,
  defaults: {
    optimizer: { learningRate: 1e-4, weightDecay: 1e-4 },
    training: { batchSize: 4, clipNorm: 0.1 },
    evaluation: { monitor: "map" },
  },
  template: `# Objects in pictures: their classes and boxes.
# kindling train this-file.yaml            trains; kindling train this-file.yaml --dry-run shows the plan
method:
  name: object-detection
  image: { size: 640 }        # fitted into a square and padded: one shape. Or { shortestEdge: 800, longestEdge: 1333 }
  augment:                    # random changes of each picture with its boxes; docs/augmentation.md has their options
    flip: {}
    color: { brightness: 0.2, contrast: 0.2 }
    sizeCrop: { shortestSizes: [400, 500, 600], minSize: 384, maxSize: 600, probability: 0.5 }
    # shortestSize: { minSize: [480, 512, 544, 576, 608, 640], maxSize: 640 }   # many sizes; each is compiled once
  # boxes: { format: xywh }   # of rows: xywh, xyxy or cxcywh, or normalized-...; COCO and YOLO files say it themselves
  # classes: [cat, dog]       # where rows have numbers
  # loss: { eosCoefficient: 0.1, auxiliary: true }
  # head: stored              # go on with the classifier that the model has
model: facebook/detr-resnet-50   # or hustvl/yolos-tiny, or from nothing: { new: { model_type: detr } }
data:
  train: instances_train.json # COCO beside its pictures; YOLO's data.yaml; a folder with metadata.jsonl: objects
  validation: instances_val.json
  # onBadRow: skip            # leave pictures with malformed boxes out, and count them
optimizer:
  learningRate: 1.0e-4
  groups:                     # the backbone learns more slowly
    - { name: backbone, matches: model.backbone.*, learningRateMultiplier: 0.1 }
training:
  epochs: 30
  batchSize: 4
  clipNorm: 0.1
`,
  async prepare(config, context) {
    const { head, classes: stated, boxes, image, relativeTo, padMultiple, augment, loss } = config.method;
    const { checkPictures: isChecked } = config.method;
    const isStored = head === "stored";
    const fields = fieldsOf(loss);
    const open = (labels?: readonly string[]) =>
      openModel(config, { task: "object-detection", fields, labels }, context);
    const stored = isStored ? await open() : undefined;
    const names = stored ? labelsOf(stored, stated) : stated;
    const { classes, opened, read } = await openDetection(config, { names, boxes, isChecked }, context);
    const model = stored ?? (await open(classes));
    const form = await detectionForm(model, image, { padMultiple });
    requireFit(augment?.shortestSize, form);
    const { train, validation } = await read(form);
    const counts = countsOf(train, validation);
    warnOfMany(counts.most, model, context.onWarning);
    const { batchSize = 4, seed } = config.training;
    const isResized = augment?.shortestSize !== undefined;
    const isGrouped = config.data.groupByLength && !(form.isFixed && !isResized);
    const batches = { form, batchSize, seed, relativeTo, mostObjects: counts.most, isGrouped };
    const measured = validation?.kept.map(({ label }) => label);
    return {
      model,
      objective: await adapted(
        withDefaultFreeze(withTrainedHead(config, model, !isStored), model),
        { model },
        (options) => detector(model, { ...options, form, classes, measured }),
      ),
      trainData: learnedDetections(train, { ...batches, augment: objectAugmentation(augment), isResized }),
      batchesPerEpoch: Math.ceil(train.kept.length / batchSize),
      validationData: validation && measuredDetections(validation, batches),
      facts: {
        pictures: train.kept.length,
        objects: counts.objects,
        "without objects": counts.empty,
        "most objects": counts.most,
        classes: classes.length,
        "rarest class": rarestClass(classes, train),
        ...(validation && { "validation pictures": validation.kept.length }),
      },
      fingerprint: { data: (await opened.train.fingerprint()) ?? "none" },
      preview: async (count) =>
        train.kept
          .slice(0, count)
          .map(({ index, label }) => `${opened.train.placeOf(index)}: ${described(label, classes)}`)
          .join("\n"),
      close: () => opened.close(),
    };
  },
});

type LossSettings = z.output<typeof settings.loss>;

function fieldsOf(loss: LossSettings): Record<string, unknown> | undefined {
  if (loss === undefined) return undefined;
  const names = Object.keys(lossFields) as (keyof typeof lossFields)[];
  return Object.fromEntries(
    names.flatMap((name) => (loss[name] === undefined ? [] : [[lossFields[name], loss[name]] as const])),
  );
}

/** @throws OptionError for a model whose classes have no names, or names beside its own */
function labelsOf({ config }: ObjectDetector, stated: readonly string[] | undefined): readonly string[] {
  const refuse = (expected: string, received: string, fix: string) =>
    new OptionError({ where: "config, method.head", expected, received, fix });
  if (stated !== undefined)
    throw refuse("the names of classes that the model has", "classes too", "leave one out: classes, or head: stored");
  if (config.labels.length > 0) return config.labels;
  throw refuse("a model with names of classes", "one without", "take a new head: head: new");
}

/** The stem and the first stage of DETR's backbone, which its authors do not train, nor timm's in transformers. */
const FIRST_LAYERS = ["embedder", "encoder.stages.0"].map((part) => `model.backbone.conv_encoder.model.${part}.*`);

/** A config that freezes the first layers of a pretrained DETR, unless it says what is frozen. */
function withDefaultFreeze<C extends SharedConfig>(config: C, { modelType }: ObjectDetector): C {
  const isNew = typeof config.model === "object" && "new" in config.model;
  if (modelType !== "detr" || isNew || config.freeze !== undefined || config.adapter) return config;
  return { ...config, freeze: FIRST_LAYERS };
}

/** @throws OptionError for sizes that do not fit into what batches are padded to */
function requireFit(sizes: Readonly<Record<string, unknown>> | undefined, { padSize }: DetectionForm): void {
  if (sizes === undefined || padSize === undefined) return;
  const most = Math.min(padSize.width, padSize.height);
  if (typeof sizes.maxSize === "number" && sizes.maxSize <= most) return;
  throw new OptionError({
    where: "config, method.augment.shortestSize",
    expected: `a maxSize of at most ${most}, to which pictures are padded`,
    received: sizes.maxSize === undefined ? "none" : String(sizes.maxSize),
    fix: "name one, or leave image.size out",
  });
}

interface Counts {
  objects: number;
  empty: number;
  /** Objects of the picture that has the most, to learn from or to measure on. */
  most: number;
}

/** @throws DataError where there is nothing to be found */
function countsOf(
  train: ReadablePictures<LabelledPicture>,
  validation: ReadablePictures<LabelledPicture> | undefined,
): Counts {
  const lengths = train.kept.map(({ label }) => learnedBoxes(label).length);
  const measured = validation?.kept.map(({ label }) => learnedBoxes(label).length) ?? [];
  const objects = lengths.reduce((a, b) => a + b, 0);
  const most = [...lengths, ...measured].reduce((a, b) => Math.max(a, b), 1);
  const refuse = (purpose: string, count: number, fix: string) =>
    new DataError({
      where: "data",
      expected: `at least one object in the pictures to ${purpose}`,
      received: `${count} pictures without any`,
      fix,
    });
  if (objects === 0) throw refuse("learn from", lengths.length, "name the files of the objects");
  if (validation && measured.every((length) => length === 0))
    throw refuse("measure on", measured.length, "name other files, or keep more or none: validationShare");
  return { objects, empty: lengths.filter((length) => length === 0).length, most };
}

function warnOfMany(most: number, { config }: ObjectDetector, onWarning: MethodContext["onWarning"]): void {
  const { numQueries, numDetectionTokens } = config as { numQueries?: number; numDetectionTokens?: number };
  const queries = numQueries ?? numDetectionTokens ?? most;
  if (most <= queries) return;
  const note = `a picture has ${most} objects, of which the ${queries} queries of the model can find no more than these`;
  onWarning({ where: "data", notes: [note] });
}

function rarestClass(classes: readonly string[], { kept }: ReadablePictures<LabelledPicture>): string {
  const counts = classes.map(() => 0);
  for (const { label } of kept) for (const { label: id = -1 } of learnedBoxes(label)) counts[id]++;
  const least = counts.indexOf(counts.reduce((a, b) => Math.min(a, b)));
  return `${classes[least]} (${counts[least]})`;
}

/** "640 x 480, 3 objects: 2 cat, 1 dog" */
function described({ width, height, objects }: LabelledPicture, classes: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const { label, isCrowd } of objects) {
    const name = `${classes[label]}${isCrowd ? " (crowd)" : ""}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const named = [...counts].map(([name, count]) => `${count} ${name}`).join(", ");
  const size = `${width} x ${height}, ${objects.length} ${objects.length === 1 ? "object" : "objects"}`;
  return named === "" ? size : `${size}: ${named}`;
}
