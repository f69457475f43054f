import { largestAt } from "../largest.ts";
import type { TokenPicker } from "../token-picker.ts";
import { Candidates } from "../warpers/index.ts";
import type { BeamText, ContrastiveSettings } from "./hypotheses.ts";

/** A token that was run. */
export interface RunToken {
  /** f32 [V], of the token after it. */
  logits: Float32Array;
  /** What the output layer sees of it, f32 [D]. */
  hidden: Float32Array;
}

/** What runs the candidates of one text: a row for each. */
export interface ContrastiveRunner {
  /** Runs what the text begins with, and gives the logits after it and the states of all its tokens. */
  begin(signal?: AbortSignal): Promise<{ logits: Float32Array; hidden: readonly Float32Array[] }>;
  /**
   * Runs candidates, at most `topK`, each in a row of its own: all go on from what row `parent` was before, its
   * candidate included. After `begin` all rows are the same.
   */
  advance(candidates: readonly number[], parent: number, signal?: AbortSignal): Promise<readonly RunToken[]>;
}

/**
 * Contrastive search: of the likeliest tokens the one whose probability, less the likeness of its state to the states
 * before it, is largest. Su et al. 2022, arXiv:2202.06417. Gives tokens as they are picked, and why the text ended.
 */
export async function* searchContrastive(
  runner: ContrastiveRunner,
  picker: TokenPicker,
  signal?: AbortSignal,
): AsyncGenerator<number, BeamText["finishReason"], void> {
  const { penaltyAlpha, topK } = picker.contrastive as ContrastiveSettings;
  const begun = await runner.begin(signal);
  const context = begun.hidden.map(unit);
  const candidates = new Candidates();
  let { logits } = begun;
  for (let parent = 0; !picker.isFull; ) {
    signal?.throwIfAborted();
    candidates.take(picker.ruled(logits.slice(), picker.ids));
    const probabilities = candidates.probabilities();
    const likely = likeliest(probabilities, topK);
    const ids = likely.map((i) => candidates.ids[i]);
    const rows = await runner.advance(ids, parent, signal);
    const states = rows.map(({ hidden }) => unit(hidden));
    const scores = states.map((state, row) => {
      const likeness = context.reduce((most, before) => Math.max(most, dot(before, state)), Number.NEGATIVE_INFINITY);
      return (1 - penaltyAlpha) * probabilities[likely[row]] - penaltyAlpha * likeness;
    });
    parent = scores.indexOf(Math.max(...scores));
    if (!picker.take(ids[parent])) return "stop";
    yield ids[parent];
    context.push(states[parent]);
    ({ logits } = rows[parent]);
  }
  return "length";
}

/** Indices of the largest values, the largest first; of equals the one before. */
function likeliest(values: Float64Array, count: number): number[] {
  const least = largestAt(values, Math.min(count, values.length));
  const indices: number[] = [];
  for (let i = 0; i < values.length; i++) if (values[i] >= least) indices.push(i);
  return indices.sort((a, b) => values[b] - values[a] || a - b).slice(0, count);
}

/** A vector of length 1 in the same direction. */
function unit(vector: Float32Array): Float64Array {
  const out = Float64Array.from(vector);
  const norm = Math.sqrt(dot(out, out));
  return out.map((value) => value / norm);
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
