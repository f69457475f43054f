/** How hypotheses are weighed; names and defaults are those of generation_config.json. */
export interface BeamSettings {
  /** Hypotheses that are followed at the same time. */
  numBeams: number;
  /** The score of a text is divided by its length to this power: above 0 favours long texts. @default 1 */
  lengthPenalty?: number;
  /**
   * true ends when numBeams texts are whole, false when no better one is likely, "never" when no better one is
   * possible. @default false
   */
  earlyStopping?: boolean | "never";
}

interface Hypothesis {
  ids: readonly number[];
  /** Sum of log probabilities; of a whole text divided by a power of its length. */
  score: number;
}

/** A hypothesis that goes on from that of number `parent`. */
interface Running extends Hypothesis {
  parent: number;
}

/** Below every score that a text can have. */
const LEAST = -1e9;

/**
 * Keeps the likeliest beginnings of a text and the likeliest whole texts, as transformers does. Graves 2012,
 * arXiv:1211.3711; the length penalty is that of Wu et al. 2016, arXiv:1609.08144, without its constant.
 */
export class BeamSearch {
  /** Beginnings, the likeliest first; the next scores are asked for these. */
  running: readonly Running[];
  isDone = false;
  private whole: readonly Hypothesis[] = [];
  private readonly settings: Required<BeamSettings>;
  private readonly startLength: number;
  private readonly maxLength: number;
  private readonly ends: ReadonlySet<number>;

  constructor(
    start: readonly number[],
    maxLength: number,
    ends: ReadonlySet<number>,
    { numBeams, lengthPenalty = 1, earlyStopping = false }: BeamSettings,
  ) {
    this.settings = { numBeams, lengthPenalty, earlyStopping };
    this.startLength = start.length;
    this.maxLength = maxLength;
    this.ends = ends;
    // all begin alike: only the first may go on, or all would do the same
    this.running = Array.from({ length: numBeams }, (_, i) => ({ ids: start, score: i === 0 ? 0 : LEAST, parent: i }));
  }

  /** The best text, with its start, and with its end where it has one. */
  get best(): readonly number[] {
    return (this.whole[0] ?? this.running[0]).ids;
  }

  /** Goes on by one token. scores: log probabilities of the next token for each running hypothesis, f32 [V]. */
  advance(scores: readonly Float32Array[], isLate = false): void {
    const { numBeams, lengthPenalty, earlyStopping } = this.settings;
    const length = this.running[0].ids.length + 1;
    const next = this.likeliest(scores, Math.max(2, 1 + this.ends.size) * numBeams);
    const isWhole = ({ ids }: Hypothesis) => isLate || length >= this.maxLength || this.ends.has(ids[ids.length - 1]);
    const ended = next.slice(0, numBeams).filter(isWhole);
    const penalty = (length - this.startLength) ** lengthPenalty;
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
    const bestLength = (earlyStopping === "never" && lengthPenalty > 0 ? this.maxLength : length) - this.startLength;
    return this.running[0].score / bestLength ** lengthPenalty > this.whole[this.whole.length - 1].score;
  }

  /** The likeliest `count` continuations of all running hypotheses, the likeliest first. */
  private likeliest(scores: readonly Float32Array[], count: number): Running[] {
    const best: { parent: number; id: number; score: number }[] = [];
    scores.forEach((row, parent) => {
      const before = this.running[parent].score;
      for (let id = 0; id < row.length; id++) {
        const score = before + row[id];
        if (best.length === count && !(score > best[count - 1].score)) continue;
        let place = best.length;
        while (place > 0 && score > best[place - 1].score) place--;
        best.splice(place, 0, { parent, id, score });
        if (best.length > count) best.pop();
      }
    });
    return best.map(({ parent, id, score }) => ({ ids: [...this.running[parent].ids, id], score, parent }));
  }
}

/** The best first; the order of equals stays. */
const byScore = <H extends Hypothesis>(hypotheses: readonly H[]): H[] =>
  hypotheses.toSorted((a, b) => b.score - a.score);
