/** What all kinds of distillation have in common: the losses, and what is trained, kept and measured. */
import { join } from "node:path";
import { OptionError } from "../../base/index.ts";
import { readSafetensors, type StoredTensor, writeSafetensors } from "../../files/index.ts";
import { distillationLoss, hiddenStateLoss } from "../../losses/index.ts";
import { CausalLM } from "../../models/index.ts";
import { Linear, loadStateDict, Module, type StateDict } from "../../nn/index.ts";
import { add, mul, type RandomKey, randomKey, type Tensor, type Variable } from "../../tensor/index.ts";
import type { Objective, Scorer } from "../../train/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import type { AttentionMatching } from "./attention-matching.ts";
import type { StudentChoice } from "./student.ts";

/** What a config says of distillation. */
export interface DistillationParts {
  /** The teacher's name. */
  teacher: string;
  student: StudentChoice;
  options: DistillationOptions;
}

/** How much each loss counts, and how soft labels are. */
export interface DistillationOptions {
  temperature: number;
  weights: { soft: number; hard: number; hidden: number; attention: number };
  /** How attention is compared. @default "squaredError" */
  attention?: AttentionMatching["kind"];
}

type States = readonly Tensor<"f32">[];

/** Brings the student's states to the teacher's width, where they differ: one matrix for each state. */
export class Projections extends Module {
  readonly layers: readonly Linear[]; // [Dt, Ds] each

  /** @param states how many; 0 for none */
  constructor({ student, teacher, states }: { student: number; teacher: number; states: number }, key: RandomKey) {
    super();
    this.layers =
      student === teacher
        ? []
        : key.split(states).map((part) => new Linear({ inFeatures: student, outFeatures: teacher }, part));
  }
}

/**
 * The mean squared error of states: of the student's embeddings and each of its layers, and of the teacher's at the
 * same share of its depth. [B, T, D] each. Jiao et al. 2019, arXiv:1909.10351, section 3.1, uniform.
 */
export function statesLoss(
  student: States,
  teacher: States,
  { mask, projections }: { mask: Tensor<"bool"> | undefined; projections: Projections },
): Tensor<"f32"> {
  const share = student.length > 1 ? (teacher.length - 1) / (student.length - 1) : 1;
  const losses = student.map((states, i) => {
    const layer = projections.layers.at(i);
    const project = layer && ((x: Tensor<"f32">) => layer.forward(x));
    return hiddenStateLoss(states, teacher[Math.round(i * share)], { mask, project });
  });
  return mul(
    losses.reduce((a, b) => add(a, b)),
    1 / losses.length,
  );
}

/** What a batch gives to the loss. */
export interface Taught {
  logits: { student: Tensor<"f32">; teacher: Tensor<"f32"> };
  /** Rows of the logits that count. @default all */
  mask?: Tensor<"bool">;
  /** The loss with the labels, where there are. */
  hard?: () => Tensor<"f32">;
  hidden?: () => Tensor<"f32">;
  attention?: () => Tensor<"f32">;
}

/** The weighted sum of the losses: what has no weight is not computed. Hinton et al. 2015, arXiv:1503.02531. */
export function taughtLoss(
  { logits, mask, hard, hidden, attention }: Taught,
  { temperature, weights }: DistillationOptions,
): Tensor<"f32"> {
  const parts: [number, (() => Tensor<"f32">) | undefined][] = [
    [weights.soft, () => distillationLoss(logits.student, logits.teacher, { temperature, ...(mask && { mask }) })],
    [weights.hard, hard],
    [weights.hidden, hidden],
    [weights.attention, attention],
  ];
  return parts
    .flatMap(([weight, loss]) => (weight > 0 && loss ? [mul(loss(), weight)] : []))
    .reduce((a, b) => add(a, b));
}

/** Student, teacher and projections as an objective has them: the teacher is state, and is never trained. */
export function stateOf(student: Module, teacher: Module, projections: Projections): Map<string, Variable> {
  return new Map<string, Variable>([
    ...student.namedState(),
    ...teacher.namedState("teacher."),
    ...projections.namedState("projections."),
  ]);
}

const PROJECTIONS = "projections.safetensors";

/** How a student is kept: checkpoints have the projections too, the result has not. */
export function savingWith(
  projections: Projections,
  { save, load, saveResult = save }: Pick<Objective<never>, "save" | "load" | "saveResult">,
): Pick<Objective<never>, "save" | "load" | "saveResult"> {
  if (projections.layers.length === 0) return { save, load, saveResult };
  return {
    saveResult,
    async save(folder) {
      await save(folder);
      const tensors = new Map<string, StoredTensor>();
      for (const [name, variable] of projections.namedState())
        tensors.set(name, { dtype: "f32", shape: variable.shape, data: (await variable.read()) as Float32Array });
      await writeSafetensors(join(folder, PROJECTIONS), tensors);
    },
    async load(folder) {
      await load(folder);
      const path = join(folder, PROJECTIONS);
      loadStateDict(path, projections.namedState(), (await readSafetensors(path)).tensors as StateDict);
    },
  };
}

/**
 * The metrics of the student as they are, those of the teacher as `teacherAccuracy` and so on, and the teacher's first
 * minus the student's as `gap`.
 */
function withGap(student: Record<string, number>, teacher: Record<string, number>): Record<string, number> {
  const entries = Object.entries(teacher);
  const theirs = entries.map(([name, value]) => [`teacher${name[0].toUpperCase()}${name.slice(1)}`, value]);
  const gap = entries.length > 0 ? { gap: entries[0][1] - student[entries[0][0]] } : {};
  return { ...student, ...Object.fromEntries(theirs), ...gap };
}

/** Two scorers of one batch: the outputs of the second have "teacher." before their names. */
export function gapScorer<B>(student: Scorer<B>, teacher: Scorer<B>, main: string): Scorer<B> {
  const first = (metrics: Readonly<Record<string, number>>) =>
    main in metrics ? { [main]: metrics[main], ...metrics } : metrics;
  return {
    outputs: (batch) => ({
      ...student.outputs(batch),
      ...Object.fromEntries(Object.entries(teacher.outputs(batch)).map(([name, x]) => [`teacher.${name}`, x])),
    }),
    add(outputs) {
      const isTeachers = (name: string) => name.startsWith("teacher.");
      const entries = Object.entries(outputs);
      student.add(Object.fromEntries(entries.filter(([name]) => !isTeachers(name))));
      teacher.add(
        Object.fromEntries(
          entries.filter(([name]) => isTeachers(name)).map(([name, x]) => [name.slice("teacher.".length), x]),
        ),
      );
    },
    result: async () => withGap(first(await student.result()), first(await teacher.result())),
  };
}

type Sized = Module & { config: object };

/**
 * The projections that hidden states need: none where they do not count, or are of one width.
 * @throws OptionError for an adapter, beside which they would not be trained
 */
export function projectionsOf(
  { adapter, training }: SharedConfig,
  { student, teacher, options }: { student: Sized; teacher: Sized; options: DistillationOptions },
): Projections {
  const sizesOf = ({ config }: Sized) => config as { hiddenSize: number; numLayers: number };
  const [ours, theirs] = [sizesOf(student), sizesOf(teacher)];
  const width = options.weights.hidden > 0 ? ours.hiddenSize : theirs.hiddenSize;
  const states = student instanceof CausalLM ? 1 : 1 + ours.numLayers;
  const key = randomKey(training.seed).fold(PROJECTION_KEY);
  const projections = new Projections({ student: width, teacher: theirs.hiddenSize, states }, key);
  if (!adapter || projections.layers.length === 0) return projections;
  throw new OptionError({
    where: "config, adapter",
    expected: "a student that is trained as a whole: its states need a projection to the teacher's width",
    received: `an adapter, and states of ${ours.hiddenSize} and ${theirs.hiddenSize}`,
    fix: "leave the adapter out, or weights.hidden",
  });
}

/** Another stream of random numbers than that of the model's own weights. */
const PROJECTION_KEY = 0x70726f6a; // "proj"
