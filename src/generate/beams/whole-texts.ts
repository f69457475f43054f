import type { BeamSettings, BeamText, Continuation, Running, SearchBounds } from "./hypotheses.ts";

type Weights = Required<Pick<BeamSettings, "lengthPenalty" | "earlyStopping">>;

/**
 * The best whole texts of a group of hypotheses, as transformers' scorers of diverse and of constrained beam search
 * keep them.
 */
export class WholeTexts {
  readonly texts: BeamText[] = [];
  private readonly count: number;
  private readonly weights: Weights;
  private readonly bounds: SearchBounds;

  /** @param count most texts that are kept */
  constructor(count: number, weights: Weights, bounds: SearchBounds) {
    this.count = count;
    this.weights = weights;
    this.bounds = bounds;
  }

  /** Adds a text that a token ends, which is no part of it. sum: of log probabilities, that token's too. */
  addWhole(ids: readonly number[], sum: number): void {
    this.add(ids, sum, ids.length + 1, "stop");
  }

  /** Adds a text that is as long as it may be. */
  addFull({ ids, score }: Running): void {
    this.add(ids, score, ids.length, "length");
  }

  private add(ids: readonly number[], sum: number, length: number, finishReason: BeamText["finishReason"]): void {
    const { start } = this.bounds;
    const score = sum / (length - start.length) ** this.weights.lengthPenalty;
    if (this.texts.length === this.count && !(score > this.worst)) return;
    this.texts.push({ ids: ids.slice(start.length), score, finishReason });
    if (this.texts.length <= this.count) return;
    const worst = this.worst;
    this.texts.splice(
      this.texts.findIndex((text) => text.score === worst),
      1,
    );
  }

  private get worst(): number {
    return Math.min(...this.texts.map(({ score }) => score));
  }

  /** Whether there are enough, and none can become better. best: the largest sum of the last continuations. */
  isDone(best: number, length: number): boolean {
    const { lengthPenalty, earlyStopping } = this.weights;
    const { start, maxLength } = this.bounds;
    if (this.texts.length < this.count) return false;
    if (earlyStopping === true) return true;
    const bestLength = (earlyStopping === "never" && lengthPenalty > 0 ? maxLength : length) - start.length;
    return this.worst >= best / bestLength ** lengthPenalty;
  }
}

/** The best first; of equals the one that was added last. */
export const bestOf = (texts: readonly BeamText[], count: number): BeamText[] =>
  texts
    .toReversed()
    .toSorted((a, b) => b.score - a.score)
    .slice(0, count);

/**
 * Of the likeliest continuations, those of the first places that end a text, and as many as there are hypotheses of
 * those that go on.
 */
export function endedAndGoing(
  best: readonly Continuation[],
  numBeams: number,
  ends: ReadonlySet<number>,
): { ended: Continuation[]; going: Continuation[] } {
  return {
    ended: best.slice(0, numBeams).filter(({ id }) => ends.has(id)),
    going: best.filter(({ id }) => !ends.has(id)).slice(0, numBeams),
  };
}
