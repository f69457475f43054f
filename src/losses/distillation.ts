/** Losses by which a student learns from a teacher. The teacher gets no gradient. */
import { type FloatDType, known, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import { exp, log, logSoftmax, maximum, mul, square, stopGradient, sub, sum, type Tensor } from "../tensor/index.ts";
import { type ReductionOptions, reduceMasked, requireSame } from "./reduction.ts";

/** Which rows count. */
export interface MaskedOptions extends ReductionOptions {
  /** Of the leading axes, such as bool [B, T]: false for padding, which does not count. @default all true */
  mask?: Tensor<"bool">;
}

/** How soft the labels are, and which rows count. */
export interface DistillationOptions extends MaskedOptions {
  /** Both logits are divided by it, above 0. @default 2 */
  temperature?: number;
}

/**
 * Soft labels: the Kullback-Leibler divergence of the student's distribution from the teacher's at a temperature T, in
 * nats, times T^2, so that gradients keep their size. logits: [..., V] both -> [], or [...] without a reduction. Hinton
 * et al. 2015, arXiv:1503.02531, section 2.
 * @throws OptionError for temperature not above 0
 */
export function distillationLoss<D extends FloatDType>(
  studentLogits: Tensor<D>,
  teacherLogits: Tensor<NoInfer<D>>,
  options: DistillationOptions = {},
): Tensor<D> {
  const name = "distillationLoss";
  const { temperature = 2, ...rest } = known(name, options, { temperature: true, mask: true, reduction: true });
  requireNumbers(name, { temperature }, { temperature: numberRules.positive });
  requireSame(name, { studentLogits, teacherLogits });
  const student = logSoftmax(mul(studentLogits, 1 / temperature));
  const teacher = stopGradient(logSoftmax(mul(teacherLogits, 1 / temperature)));
  const losses = sum(mul(exp(teacher), sub(teacher, student)), { axes: -1 }); // [...]
  return reduceMasked(name, mul(losses, temperature ** 2), rest);
}

/** What brings states to the teacher's width, and which rows count. */
export interface HiddenStateOptions<D extends FloatDType> extends MaskedOptions {
  /** Of the student's states, such as a Linear that is trained too: [..., Ds] -> [..., Dt]. @default none */
  project?: (student: Tensor<D>) => Tensor<D>;
}

/**
 * Squared error of hidden states. student: [..., Ds], teacher: [..., Dt] -> [], or [..., Dt] without a reduction. The
 * projection is that of Romero et al. 2014, arXiv:1412.6550, and of Jiao et al. 2019, arXiv:1909.10351, equation 8.
 * @throws ShapeError for states of two widths
 */
export function hiddenStateLoss<D extends FloatDType>(
  student: Tensor<D>,
  teacher: Tensor<NoInfer<D>>,
  options: HiddenStateOptions<NoInfer<D>> = {},
): Tensor<D> {
  const { project, ...rest } = known("hiddenStateLoss", options, { project: true, mask: true, reduction: true });
  const states = project ? project(student) : student;
  requireSame("hiddenStateLoss", { "states of the student": states, "states of the teacher": teacher });
  return reduceMasked("hiddenStateLoss", square(sub(states, stopGradient(teacher))), rest);
}

/** Least probability whose logarithm is taken: hidden keys have none. */
const LEAST_PROBABILITY = 1e-12;

/** How attention is compared, and which rows count. */
export interface AttentionLossOptions extends ReductionOptions {
  /**
   * "squaredError" of scores or probabilities, as TinyBERT: Jiao et al. 2019, arXiv:1909.10351, equation 7.
   * "divergence" from the teacher's probabilities, in nats, as MiniLM: Wang et al. 2020, arXiv:2002.10957, equation 3.
   * @default "squaredError"
   */
  kind?: "squaredError" | "divergence";
  /**
   * Queries that count: bool, the leading axes of both, such as [B, H, T]; of "squaredError" also pairs of query and
   * key, [B, H, T, S]. @default all
   */
  mask?: Tensor<"bool">;
}

/**
 * Matches attention. student and teacher: [..., T, S] of equal heads -> []; without a reduction [..., T, S], of a
 * divergence [..., T].
 */
export function attentionLoss<D extends FloatDType>(
  student: Tensor<D>,
  teacher: Tensor<NoInfer<D>>,
  options: AttentionLossOptions = {},
): Tensor<D> {
  const name = "attentionLoss";
  const { kind = "squaredError", ...rest } = known(name, options, { kind: true, mask: true, reduction: true });
  if (kind !== "squaredError" && kind !== "divergence") {
    const fix = "choose one of them";
    throw new OptionError({
      where: name,
      expected: 'kind "squaredError" or "divergence"',
      received: String(kind),
      fix,
    });
  }
  requireSame(name, { "attention of the student": student, "attention of the teacher": teacher });
  const target = stopGradient(teacher);
  if (kind === "squaredError") return reduceMasked(name, square(sub(student, target)), rest);
  const [from, to] = [student, target].map((x) => log(maximum(x, LEAST_PROBABILITY)));
  return reduceMasked(name, sum(mul(target, sub(to, from)), { axes: -1 }), rest);
}
