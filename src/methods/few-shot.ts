/** Learning to tell new classes apart from a few pictures of each. */
import { z } from "zod";
import { DataError } from "../base/index.ts";
import { type EpisodeBatch, episodesOf, splitClasses } from "../data/index.ts";
import type { TaskModels } from "../models/index.ts";
import { tensor } from "../tensor/index.ts";
import { classifierLoss, type LabelledInputs, maml, type Objective, prototypical, reptile } from "../train/index.ts";
import type { MethodConfig } from "./method.ts";
import { defineMethod } from "./method.ts";
import { openClassPictures } from "./parts/class-rows.ts";
import { openModel, trainedParameters } from "./parts/models.ts";
import { imageSettings, type PictureForm, pictureForm, withForm } from "./parts/picture-form.ts";
import type { ReadablePictures } from "./parts/pictures.ts";

const count = z.int().min(1);
const settings = {
  algorithm: z
    .enum(["prototypical", "maml", "fomaml", "reptile"])
    .default("prototypical")
    .describe("prototypical: nearest mean vector; maml, fomaml, reptile: weights from which a few steps suffice."),
  ways: count.default(5).describe("Classes of a task."),
  shots: count.default(1).describe("Pictures of each class to learn from."),
  queries: count.default(5).describe("Other pictures of each class that are to be told apart."),
  vectorSize: count.default(64).describe("Of prototypical networks: numbers of a vector."),
  innerRate: z.number().positive().default(0.1).describe("Of the others: size of a step inside of a task."),
  innerSteps: count.default(3).describe("Of the others: steps inside of a task."),
  heldOut: count.optional().describe("Classes that are kept for the measurement. Default: a fifth, at least ways."),
  measuredTasks: count.default(50).describe("Batches of tasks of an evaluation."),
  image: imageSettings,
  checkPictures: z.boolean().default(true).describe("Decode each picture once before training."),
};
type Model = TaskModels["image-classification"];
type Config = MethodConfig<typeof settings>;
/** The tasks of evaluation are drawn from another seed than those of training. */
const MEASURED = 1;

/**
 * Meta-learning on pictures: tasks of a few classes each, drawn anew for each step, and measured on classes that are
 * never trained on. Snell et al. 2017, arXiv:1703.05175; Finn et al. 2017, arXiv:1703.03400; Nichol et al. 2018,
 * arXiv:1803.02999. training.batchSize counts the tasks of a step.
 */
export const fewShot = defineMethod({
  name: "few-shot",
  summary: "New classes from a few pictures of each: prototypical networks, MAML and Reptile.",
  settings,
  defaults: {
    optimizer: { learningRate: 1e-3 },
    training: { batchSize: 4, steps: 1000 },
    evaluation: { monitor: "accuracy" },
  },
  template: `# Learning to tell new classes apart from a few pictures of each.
# kindling train this-file.yaml            trains; kindling train this-file.yaml --dry-run shows the plan
method:
  name: few-shot
  algorithm: prototypical     # or maml, fomaml, reptile
  ways: 5                     # classes of a task
  shots: 1                    # pictures of each to learn from
  queries: 5                  # others of each to tell apart
  image: { size: 28 }
  # heldOut: 10               # classes that are measured and never trained on
  # innerRate: 0.1            # of maml, fomaml and reptile
  # innerSteps: 3
model: { new: { model_type: convnet, hidden_sizes: [32, 32, 32], depths: [1, 1, 1], norm_type: layer } }
data:
  train: pictures             # a folder with a folder of pictures for each class; or rows with image and label
optimizer:
  learningRate: 1.0e-3
training:
  steps: 1000
  batchSize: 4                # tasks of a step
`,
  async prepare(config, context) {
    const { method, training } = config;
    const { ways, shots, queries, algorithm, vectorSize, checkPictures: isChecked } = method;
    // all classes are split here, not the rows
    const whole = { ...config, data: { ...config.data, validationShare: 0 } };
    const { classes, opened, read } = await openClassPictures(whole, { isChecked }, context);
    const outputs = algorithm === "prototypical" ? vectorSize : ways;
    const labels = Array.from({ length: outputs }, (_, i) => `OUTPUT_${i}`);
    const model = await openModel(config, { task: "image-classification", labels }, context);
    const form = await pictureForm(model, method.image);
    const { train: pictures } = await read(form);
    const all = classesOf(pictures, classes.names, shots + queries);
    const heldOut = method.heldOut ?? Math.max(ways, Math.round(all.length / 5));
    const { train, test } = splitClasses(all, { heldOut, seed: training.seed });
    const { batchSize: episodesPerBatch = 4, seed } = training;
    const collate = (indices: readonly number[], numbers: readonly number[]) =>
      episodePart(pictures, form, indices, numbers);
    const tasks = { ways, shots, queries, episodesPerBatch, collate };
    return {
      model,
      objective: withForm(objectiveOf(model, config), form),
      trainData: episodesOf(train, { ...tasks, seed }),
      batchesPerEpoch: Math.max(1, Math.floor(train.flat().length / (ways * (shots + queries) * episodesPerBatch))),
      validationData: episodesOf(test, { ...tasks, seed: seed + MEASURED, count: method.measuredTasks }),
      facts: { pictures: pictures.kept.length, classes: train.length, "held-out classes": test.length },
      fingerprint: { data: (await opened.train.fingerprint()) ?? "none" },
      close: () => opened.close(),
    };
  },
});

/** The rows of each class. @throws DataError for a class of too few pictures */
function classesOf({ kept }: ReadablePictures<number>, names: readonly string[], least: number): number[][] {
  const rows = names.map((): number[] => []);
  for (const { index, label } of kept) rows[label].push(index);
  const small = rows.findIndex(({ length }) => length < least);
  if (small < 0) return rows;
  throw new DataError({
    where: `data, class ${names[small]}`,
    expected: `${least} pictures or more, for shots and queries together`,
    received: String(rows[small].length),
    fix: "leave the class out, or ask for fewer shots or queries",
  });
}

async function episodePart(
  pictures: ReadablePictures<number>,
  form: PictureForm,
  indices: readonly number[],
  labels: readonly number[],
): Promise<LabelledInputs> {
  const images = await Promise.all(indices.map((index) => pictures.decode(index)));
  return { inputs: form.process(images).pixelValues, labels: tensor(Int32Array.from(labels)) };
}

function objectiveOf(model: Model, config: Config): Objective<EpisodeBatch<LabelledInputs>> {
  const { algorithm, shots, innerRate, innerSteps } = config.method;
  const trained = trainedParameters(model, config);
  const logits: Parameters<typeof classifierLoss>[0] = (pixelValues, run) =>
    model.forward({ pixelValues, ...run }).logits;
  if (algorithm === "prototypical") return prototypical(model, logits, { shots, trained });
  const inner = { innerRate, innerSteps, trained };
  if (algorithm === "reptile") return reptile(model, classifierLoss(logits), inner);
  return maml(model, classifierLoss(logits), { ...inner, isFirstOrder: algorithm === "fomaml" });
}
