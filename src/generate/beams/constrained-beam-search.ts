import { type Constraint, ConstraintProgress, constraintOf } from "./constraints.ts";
import {
  type BeamSettings,
  type BeamText,
  beginnings,
  type Continuation,
  Continuations,
  continuationCount,
  type HypothesisSearch,
  type Running,
  type ScoresOf,
  type SearchBounds,
} from "./hypotheses.ts";
import { bestOf, endedAndGoing, WholeTexts } from "./whole-texts.ts";

/** A continuation, and how far it is with its constraints. */
interface Candidate extends Continuation {
  bank: number;
}

/** A bank weighs more than any difference of scores. */
const BANK_WEIGHT = 100;

/**
 * Constrained beam search: beside the likeliest tokens those are followed that bring a text further with what it has to
 * have, and places go in turn to texts that are equally far. Post and Vilar 2018, arXiv:1804.06609, in the form that
 * transformers had.
 */
export class ConstrainedBeamSearch implements HypothesisSearch {
  running: readonly Running[];
  isDone = false;
  private readonly whole: WholeTexts;
  private readonly constraints: readonly Constraint[];
  private readonly numBeams: number;
  private readonly numReturnSequences: number;
  private readonly bounds: SearchBounds;

  constructor(
    bounds: SearchBounds,
    { numBeams, forceWordsIds = [], lengthPenalty = 1, earlyStopping = false, numReturnSequences = 1 }: BeamSettings,
  ) {
    this.numBeams = numBeams;
    this.numReturnSequences = numReturnSequences;
    this.bounds = bounds;
    this.constraints = forceWordsIds.map(constraintOf);
    this.whole = new WholeTexts(numBeams, { lengthPenalty, earlyStopping }, bounds);
    this.running = beginnings(bounds.start, numBeams);
  }

  results(): BeamText[] {
    return bestOf(this.whole.texts, this.numReturnSequences);
  }

  advance(scoresOf: ScoresOf, isLate = false): void {
    const { numBeams, running, whole } = this;
    const { ends, maxLength } = this.bounds;
    const continuations = new Continuations(continuationCount(numBeams, ends));
    const advancing: Candidate[] = [];
    for (const [row, { ids, score: before }] of running.entries()) {
      const scores = scoresOf(row);
      continuations.add(row, before, scores);
      const progress = this.progressOf(ids);
      if (progress.isComplete) continue;
      for (const id of progress.nextTokens()) {
        const { bank } = this.progressOf([...ids, id]);
        advancing.push({ parent: row, id, score: before + scores[id], bank });
      }
    }
    const { ended, going } = endedAndGoing(continuations.best, numBeams, ends);
    for (const { parent, score } of ended)
      if (this.progressOf(running[parent].ids).isComplete) whole.addWhole(running[parent].ids, score);
    this.running = this.inTurn(going, advancing).map(({ parent, id, score }) => ({
      ids: [...running[parent].ids, id],
      score,
      parent,
    }));
    const length = this.running[0].ids.length;
    this.isDone = whole.isDone(continuations.best[0].score, length);
    if (this.isDone || !(isLate || length >= maxLength)) return;
    this.addFull();
    this.isDone = true;
  }

  /** Whole texts are those that have what they have to; the others too where there are not enough. */
  private addFull(): void {
    const complete = this.running.filter(({ ids }) => this.progressOf(ids).isComplete);
    for (const one of complete) this.whole.addFull(one);
    if (complete.length >= this.numReturnSequences) return;
    for (const one of this.running) if (!complete.includes(one)) this.whole.addFull(one);
  }

  private progressOf(ids: readonly number[]): ConstraintProgress {
    return new ConstraintProgress(this.constraints, ids);
  }

  /** The best of each bank, then the second of each, from the bank that is farthest on. */
  private inTurn(going: readonly Continuation[], advancing: readonly Candidate[]): Continuation[] {
    const keyOf = ({ parent, id }: Continuation) => [...this.running[parent].ids, id].join();
    const known = new Set(going.map(keyOf));
    const others = advancing.filter((one) => {
      const key = keyOf(one);
      return known.has(key) ? false : known.add(key);
    });
    if (others.length === 0) return [...going];
    const banked = going.map((one) => ({
      ...one,
      bank: this.progressOf([...this.running[one.parent].ids, one.id]).bank,
    }));
    const weightOf = ({ bank, score }: Candidate) => bank * BANK_WEIGHT + score;
    const ordered = [...banked, ...others].sort((a, b) => weightOf(b) - weightOf(a));
    let place = -1;
    const placed = ordered.map((candidate, i) => {
      place = i > 0 && candidate.bank === ordered[i - 1].bank ? place + 1 : 0;
      return { candidate, place };
    });
    return placed
      .sort((a, b) => a.place - b.place)
      .slice(0, this.numBeams)
      .map(({ candidate }) => candidate);
  }
}
