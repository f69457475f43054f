import {
  type BeamSettings,
  type BeamText,
  beginnings,
  Continuations,
  continuationCount,
  type HypothesisSearch,
  type Running,
  type ScoresOf,
  type SearchBounds,
} from "./hypotheses.ts";
import { bestOf, endedAndGoing, WholeTexts } from "./whole-texts.ts";

/** Hypotheses that are followed beside those of other groups. */
interface Group {
  running: readonly Running[];
  whole: WholeTexts;
  isDone: boolean;
}

/**
 * Diverse beam search: each group is a beam search of its own, whose tokens become less likely by the penalty for each
 * time that a group before it has picked them at the same place. Vijayakumar et al. 2016, arXiv:1610.02424; a group
 * that has ended picks no more.
 */
export class GroupBeamSearch implements HypothesisSearch {
  private readonly groups: readonly Group[];
  private readonly groupSize: number;
  private readonly numReturnSequences: number;
  private readonly bounds: SearchBounds;

  constructor(
    bounds: SearchBounds,
    { numBeams, numBeamGroups = 1, lengthPenalty = 1, earlyStopping = false, numReturnSequences = 1 }: BeamSettings,
  ) {
    this.groupSize = numBeams / numBeamGroups;
    this.numReturnSequences = numReturnSequences;
    this.bounds = bounds;
    this.groups = Array.from({ length: numBeamGroups }, (_, group) => ({
      running: beginnings(bounds.start, this.groupSize).map((one, i) => ({
        ...one,
        parent: group * this.groupSize + i,
      })),
      whole: new WholeTexts(this.groupSize, { lengthPenalty, earlyStopping }, bounds),
      isDone: false,
    }));
  }

  get running(): readonly Running[] {
    return this.groups.flatMap(({ running }) => running);
  }

  get isDone(): boolean {
    return this.groups.every(({ isDone }) => isDone);
  }

  results(): BeamText[] {
    return bestOf(
      this.groups.flatMap(({ whole }) => whole.texts),
      this.numReturnSequences,
    );
  }

  advance(scoresOf: ScoresOf, isLate = false): void {
    const picked: number[] = [];
    for (const [i, group] of this.groups.entries()) {
      if (group.isDone) {
        // its rows stay where they are, whatever is run for them
        group.running = group.running.map(({ ids, score }, row) => ({
          ids: [...ids, ids[ids.length - 1]],
          score,
          parent: i * this.groupSize + row,
        }));
        continue;
      }
      this.advanceGroup(group, i * this.groupSize, (row) => scoresOf(row, picked), isLate);
      picked.push(...group.running.map(({ ids }) => ids[ids.length - 1]));
    }
  }

  /** first: the row of the group's first hypothesis. */
  private advanceGroup(group: Group, first: number, scoresOf: (row: number) => Float32Array, isLate: boolean): void {
    const { groupSize } = this;
    const { ends, maxLength } = this.bounds;
    const { running, whole } = group;
    const continuations = new Continuations(continuationCount(groupSize, ends));
    for (const [i, { score }] of running.entries()) continuations.add(first + i, score, scoresOf(first + i));
    const idsOf = (parent: number) => running[parent - first].ids;
    const { ended, going } = endedAndGoing(continuations.best, groupSize, ends);
    for (const { parent, score } of ended) whole.addWhole(idsOf(parent), score);
    group.running = going.map(({ parent, id, score }) => ({ ids: [...idsOf(parent), id], score, parent }));
    const length = group.running[0].ids.length;
    group.isDone = whole.isDone(continuations.best[0].score, length);
    if (group.isDone || !(isLate || length >= maxLength)) return;
    for (const one of group.running) whole.addFull(one);
    group.isDone = true;
  }
}
