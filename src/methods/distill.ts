/** Distillation. */
import { z } from "zod";
import { OptionError } from "../base/index.ts";
import { defineMethod } from "./method.ts";
import { openData } from "./parts/datasets.ts";
import { prepareClasses } from "./parts/distill-classes.ts";
import { prepareEmbeddings } from "./parts/distill-embeddings.ts";
import { prepareLanguage } from "./parts/distill-language.ts";
import { refusePacking } from "./parts/encoded-texts.ts";
import { teacherName } from "./parts/student.ts";

const weight = z.number().min(0);
const settings = {
  teacher: z
    .string()
    .min(1)
    .optional()
    .describe("The model that is learned from. Default: the config's model, where the student has layers of it."),
  student: z
    .strictObject({
      layers: z.array(z.int().min(0)).min(1).optional().describe("Layers of the config's model that are kept."),
    })
    .prefault({})
    .describe("What the student is made of. Default: the config's model as it is."),
  task: z
    .enum(["sequence-classification", "causal-lm", "feature-extraction"])
    .default("sequence-classification")
    .describe("What teacher and student do: classes, texts, or vectors of texts."),
  temperature: z.number().positive().default(2).describe("Both logits are divided by it."),
  weights: z
    .strictObject({
      soft: weight.default(1).describe("Of the teacher's answers."),
      hard: weight.default(0).describe("Of the labels, or the tokens themselves."),
      hidden: weight.default(0).describe("Of the states: each layer's, or of language models those after the last."),
      attention: weight.default(0).describe("Of the attention of each layer, head by head."),
    })
    .prefault({})
    .describe("How much each loss counts."),
  attention: z
    .enum(["squaredError", "divergence"])
    .optional()
    .describe("How attention is compared: scores before the softmax, or distributions. Default: squaredError."),
};

const preparations = {
  "sequence-classification": prepareClasses,
  "causal-lm": prepareLanguage,
  "feature-extraction": prepareEmbeddings,
};

/**
 * Distillation: a student learns to answer as a teacher does. Classifiers and language models by the divergence of soft
 * labels, with states and attention matched beside it; sentence embeddings by the teacher's vectors. Hinton et al.
 * 2015, arXiv:1503.02531. The teacher runs in the graph of the step: what it computes is freed at once, and no logits
 * go to the host and back.
 */
export const distill = defineMethod({
  name: "distill",
  summary: "Distillation: a student learns to answer as a teacher does.",
  settings,
  defaults: { optimizer: { learningRate: 5e-5 }, training: { batchSize: 32 }, data: { maxLength: 256 } },
  template: `# Distillation: a student learns to answer as a teacher does.
# kindling train this-file.yaml            trains; kindling train this-file.yaml --dry-run shows the plan
method:
  name: distill
  task: sequence-classification   # causal-lm: texts; feature-extraction: vectors of texts
  teacher: my-classifier      # a folder, a repository or a run's model
  student:
    layers: [0, 5]            # of the model below; leave out to train it as it is, or as a new one
  temperature: 2
  weights:
    soft: 1                   # the teacher's answers
    hard: 0                   # labels of the rows
    hidden: 0                 # states, by a learned matrix where widths differ
    attention: 0              # scores before the softmax, of as many heads
model: my-classifier          # what the student is begun from
data:
  train: texts.jsonl          # texts, with labels if there are; for causal-lm texts or conversations; pairs for vectors
  validationShare: 0.05
  maxLength: 256
optimizer:
  learningRate: 5.0e-5
training:
  epochs: 3
  batchSize: 32
`,
  async prepare(config, context) {
    const { task, student, temperature, weights, attention } = config.method;
    if (task !== "causal-lm") refusePacking(config, "distill");
    if (Object.values(weights).every((each) => each === 0))
      throw new OptionError({
        where: "config, method.weights",
        expected: "one above 0",
        received: "none",
        fix: "leave them out: soft counts 1 then",
      });
    if (attention && weights.attention === 0)
      throw new OptionError({
        where: "config, method.attention",
        expected: "weights.attention above 0, where it is said how attention is compared",
        received: "0",
        fix: "give weights.attention, such as 1, or leave method.attention out",
      });
    const teacher = teacherName(config, config.method.teacher, student);
    const parts = { teacher, student, options: { temperature, weights, attention } };
    return preparations[task](config, parts, await openData(config.data, context), context);
  },
});
