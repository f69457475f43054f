/** Attention of a student's layers, matched with that of its teacher's. */
import { OptionError } from "../../base/index.ts";
import { attentionLoss, distillationLoss } from "../../losses/index.ts";
import type { SeesAttentionScores } from "../../models/index.ts";
import type { Module } from "../../nn/index.ts";
import {
  add,
  broadcastTo,
  greater,
  HIDDEN_SCORE,
  lessEqual,
  logicalAnd,
  mul,
  reshape,
  type Tensor,
  where,
} from "../../tensor/index.ts";
import type { SharedConfig } from "../config/schema.ts";

/** Scores at or below it compare as 0, as in TinyBERT's code, where those of padding are. */
const LEAST_SCORE = -100;

/** Scores of the layers of a model: [B, H, T, S] each. */
type Scores = readonly Tensor<"f32">[];

/** Runs a model, and gives the scores of its layers too; they are computed only where they are `wanted`. */
export function withScores<O>(
  isWanted: boolean,
  run: (inputs: { onAttentionScores?: SeesAttentionScores }) => O,
): { output: O; scores: Scores } {
  const scores: Tensor<"f32">[] = [];
  const onAttentionScores: SeesAttentionScores = (seen, layer) => {
    scores[layer] = seen;
  };
  return { output: run(isWanted ? { onAttentionScores } : {}), scores };
}

/** How attention is compared. */
export interface AttentionMatching {
  /** bool [B, T], false for padding, whose queries do not count. @default all true */
  mask: Tensor<"bool"> | undefined;
  /**
   * "squaredError" of scores before the softmax: Jiao et al. 2019, arXiv:1909.10351, equation 7. "divergence" of the
   * student's distribution from the teacher's, in nats: Sun et al. 2020, arXiv:2004.02984, equation 2. @default
   * "squaredError"
   */
  kind?: "squaredError" | "divergence";
}

/**
 * How far the attention of each layer of the student is from that of the teacher's layer at the same share of its
 * depth, as a mean over layers, heads, and pairs of a query and a key that it sees; of divergences over queries. So it
 * does not depend on the width that a batch is padded to. [B, H, T, S] each -> []
 * @throws OptionError for models that give no scores
 */
export function attentionMatchingLoss(
  student: Scores,
  teacher: Scores,
  { mask, kind = "squaredError" }: AttentionMatching,
) {
  if (student.length === 0 || teacher.length === 0) throw noScores(student.length === 0 ? "student" : "teacher");
  const share = teacher.length / student.length;
  const losses = student.map((ours, i) => {
    const theirs = teacher[Math.max(1, Math.round((i + 1) * share)) - 1];
    const [batch, , length] = ours.shape;
    const queries = mask && broadcastTo(reshape(mask, [batch, 1, length]), ours.shape.slice(0, 3));
    // windows may hide keys of one of both: compared are those that both see
    const pairs = logicalAnd(greater(ours, HIDDEN_SCORE), greater(theirs, HIDDEN_SCORE)); // [B, H, T, S]
    if (kind === "divergence") {
      const [from, to] = [ours, theirs].map((scores) => where(pairs, scores, HIDDEN_SCORE));
      return distillationLoss(from, to, { temperature: 1, mask: queries });
    }
    const counted = queries ? logicalAnd(pairs, reshape(queries, [...queries.shape, 1])) : pairs;
    return attentionLoss(bounded(ours), bounded(theirs), { kind, mask: counted });
  });
  return mul(
    losses.reduce((a, b) => add(a, b)),
    1 / losses.length,
  );
}

const bounded = (scores: Tensor<"f32">): Tensor<"f32"> => where(lessEqual(scores, LEAST_SCORE), 0, scores);

const noScores = (who: string): OptionError =>
  new OptionError({
    where: "config, method.weights.attention",
    expected: `a ${who} whose layers give the scores of their attention`,
    received: "one of a family that gives none",
    fix: "leave it at 0, or have the family call onAttentionScores",
  });

/** Adapters of states that stand before the texts of a language model. */
const PREFIXES: readonly string[] = ["prompt", "p-tuning", "prefix"];

type Headed = Module & { config: object };

/**
 * @throws OptionError for a student with another number of heads, and for one with states before its texts, where
 *   attention is matched
 */
export function requireMatchingHeads(
  { adapter }: SharedConfig,
  { student, teacher, options }: { student: Headed; teacher: Headed; options: { weights: { attention: number } } },
): void {
  if (options.weights.attention === 0) return;
  const where = "config, method.weights.attention";
  const headsOf = ({ config }: Headed) => (config as { numHeads: number }).numHeads;
  const [ours, theirs] = [headsOf(student), headsOf(teacher)];
  if (ours !== theirs)
    throw new OptionError({
      where,
      expected: `a student with the teacher's ${theirs} heads of attention, which are matched one by one`,
      received: `one with ${ours}`,
      fix: "give the new student as many, take layers of the teacher (student: { layers: [0, 5] }), or leave it at 0",
    });
  if (adapter && PREFIXES.includes(adapter.type))
    throw new OptionError({
      where,
      expected: "a student whose tokens see the texts alone",
      received: `the adapter ${adapter.type}, whose states they see too`,
      fix: "choose another adapter, or leave it at 0",
    });
}
