import {
  type BeamSettings,
  type BeamText,
  beginnings,
  Continuations,
  continuationCount,
  type Hypothesis,
  type HypothesisSearch,
  LEAST,
  type Running,
  type ScoresOf,
  type SearchBounds,
} from "./hypotheses.ts";

/**
 * Keeps the likeliest beginnings of a text and the likeliest whole texts, as transformers does. Graves 2012,
 * arXiv:1211.3711; the length penalty is that of Wu et al. 2016, arXiv:1609.08144, without its constant.
 */
export class BeamSearch implements HypothesisSearch {
  /** Beginnings, the likeliest first; the next scores are asked for these. */
  running: readonly Running[];
  isDone = false;
  private whole: readonly Hypothesis[] = [];
  private readonly settings: Required<Pick<BeamSettings, "numBeams" | "lengthPenalty" | "earlyStopping">>;
  private readonly numReturnSequences: number;
  private readonly bounds: SearchBounds;

  constructor(
    bounds: SearchBounds,
    { numBeams, lengthPenalty = 1, earlyStopping = false, numReturnSequences = 1 }: BeamSettings,
  ) {
    this.settings = { numBeams, lengthPenalty, earlyStopping };
    this.numReturnSequences = numReturnSequences;
    this.bounds = bounds;
    this.running = beginnings(bounds.start, numBeams);
  }

  results(): BeamText[] {
    const { start, ends } = this.bounds;
    return this.whole.slice(0, this.numReturnSequences).map(({ ids, score }) => {
      const isWhole = ends.has(ids[ids.length - 1]) && ids.length > start.length;
      return {
        ids: ids.slice(start.length, isWhole ? -1 : undefined),
        score,
        finishReason: isWhole ? "stop" : "length",
      };
    });
  }

  advance(scoresOf: ScoresOf, isLate = false): void {
    const { numBeams, lengthPenalty, earlyStopping } = this.settings;
    const { start, maxLength, ends } = this.bounds;
    const length = this.running[0].ids.length + 1;
    const next = this.likeliest(scoresOf);
    const isWhole = ({ ids }: Hypothesis) => isLate || length >= maxLength || ends.has(ids[ids.length - 1]);
    const ended = next.slice(0, numBeams).filter(isWhole);
    const penalty = (length - start.length) ** lengthPenalty;
    this.whole = byScore([...this.whole, ...ended.map(({ ids, score }) => ({ ids, score: score / penalty }))]).slice(
      0,
      numBeams,
    );
    this.running = byScore(next.map((beam) => (isWhole(beam) ? { ...beam, score: beam.score + LEAST } : beam))).slice(
      0,
      numBeams,
    );
    const isFull = this.whole.length === numBeams;
    this.isDone = next.every(isWhole) || (isFull && (earlyStopping === true || !this.mayImprove(length)));
  }

  /** Whether a running hypothesis may yet be better than the worst whole text. */
  private mayImprove(length: number): boolean {
    const { lengthPenalty, earlyStopping } = this.settings;
    const { start, maxLength } = this.bounds;
    const bestLength = (earlyStopping === "never" && lengthPenalty > 0 ? maxLength : length) - start.length;
    return this.running[0].score / bestLength ** lengthPenalty > this.whole[this.whole.length - 1].score;
  }

  /** The likeliest continuations of all running hypotheses, the likeliest first. */
  private likeliest(scoresOf: ScoresOf): Running[] {
    const continuations = new Continuations(continuationCount(this.settings.numBeams, this.bounds.ends));
    for (const [row, { score }] of this.running.entries()) continuations.add(row, score, scoresOf(row));
    return continuations.best.map(({ parent, id, score }) => ({
      ids: [...this.running[parent].ids, id],
      score,
      parent,
    }));
  }
}

/** The best first; the order of equals stays. */
const byScore = <H extends Hypothesis>(hypotheses: readonly H[]): H[] =>
  hypotheses.toSorted((a, b) => b.score - a.score);
