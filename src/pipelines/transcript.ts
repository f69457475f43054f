/** Texts of a sound's pieces as one text, with times: the rules of transformers' pipeline for Whisper. */
import type { SpeechSegment } from "../generate/index.ts";

/** What was heard in a piece of a sound. */
export interface HeardPiece {
  segments: readonly SpeechSegment[];
  /**
   * Of pieces that overlap: how long this one is, and how much of it at each end belongs to its neighbours, in seconds.
   */
  stride?: { length: number; left: number; right: number };
}

/** A part of a text. */
export interface TranscriptChunk {
  text: string;
  /** Seconds from the beginning of the sound; null for an end that was not heard. */
  timestamp?: [number | null, number | null];
  /** Such as "french". */
  language?: string;
}

/** Tokens of one piece, and when each is spoken. */
export interface Run {
  tokens: number[];
  times: [number, number][];
}

/** A part whose text is still in tokens. */
export interface OpenChunk {
  /** Seconds; null where no time was heard. */
  start: number | null;
  end: number | null;
  /** Its code. */
  language?: string;
  run: Run;
}

const STEP_SECONDS = 0.02;
const rounded = (seconds: number) => Math.round(seconds * 100) / 100;

export interface JoinOptions {
  /** The token for 0 seconds. */
  zero: number;
  /** Whether a token is neither text nor a time. */
  isSpecial: (id: number) => boolean;
  /** Whether another language begins another part. */
  splitsLanguages: boolean;
}

/** A token, and the step at which its window begins. */
interface Entry {
  id: number;
  windowStep: number;
  times?: [number, number];
}

/**
 * Parts of the text, each with its tokens. Times that lie in what belongs to a neighbour end no part; texts that
 * overlap are joined where they agree.
 */
export function joinPieces(pieces: readonly HeardPiece[], options: JoinOptions): OpenChunk[] {
  const joiner = new Joiner(options);
  for (const piece of pieces) joiner.hear(piece);
  return joiner.end();
}

class Joiner {
  private readonly options: JoinOptions;
  private readonly chunks: OpenChunk[] = [];
  private chunk: OpenChunk;
  private language?: string;
  /** Texts of the open part, one a piece, that may overlap. */
  private pending: Run[] = [];
  private run: Run = { tokens: [], times: [] };
  /** Where the piece begins, in seconds. */
  private offset = 0;
  /** The time before was in what belongs to the next piece: the one after it is too. */
  private isSkipping = false;

  constructor(options: JoinOptions) {
    this.options = options;
    this.chunk = this.opened();
  }

  hear({ segments, stride }: HeardPiece): void {
    const { zero } = this.options;
    this.offset -= stride?.left ?? 0;
    const entries = segments.flatMap(({ tokens, windowStart, tokenTimes }) =>
      tokens.map(
        (id, i): Entry => ({
          id,
          windowStep: Math.round(windowStart / STEP_SECONDS),
          ...(tokenTimes && { times: tokenTimes[i] }),
        }),
      ),
    );
    const stepOf = ({ id, windowStep }: Entry) => id - zero + windowStep;
    const firstStep = (stride?.left ?? 0) / STEP_SECONDS;
    const steps = entries.filter(({ id }) => id >= zero).map(stepOf);
    const lastStep = (stride?.right && firstOfEnd(steps, stride.length - stride.right)) || Number.POSITIVE_INFINITY;
    this.speak(segments[0]?.language);
    for (const entry of entries) {
      if (entry.id < zero) this.add(entry);
      else this.mark(stepOf(entry), firstStep, lastStep);
    }
    if (stride) this.offset += stride.length - stride.right;
    this.flush();
  }

  end(): OpenChunk[] {
    if (this.pending.length > 0) this.close();
    return this.chunks;
  }

  private speak(language: string | undefined): void {
    if (language === undefined) return;
    const isOther = this.language !== undefined && language !== this.language;
    if (isOther && this.options.splitsLanguages && this.pending.length > 0) this.close();
    this.chunk.language = this.language = language;
  }

  private add({ id, times }: Entry): void {
    if (this.options.isSpecial(id)) return;
    this.run.tokens.push(id);
    if (times) this.run.times.push([rounded(times[0] + this.offset), rounded(times[1] + this.offset)]);
  }

  /** A time: begins a part or ends it, between what belongs to the piece before and to the next. */
  private mark(step: number, firstStep: number, lastStep: number): void {
    const time = rounded(step * STEP_SECONDS + this.offset);
    if (step >= lastStep) this.isSkipping = true;
    else if (this.isSkipping || (this.pending.length > 0 && step < firstStep)) this.isSkipping = false;
    else if (this.chunk.start === null) this.chunk.start = time;
    else if (time !== this.chunk.start) {
      this.chunk.end = time;
      this.pending.push(this.run);
      this.run = { tokens: [], times: [] };
      this.close();
    }
  }

  /** What is left at the end of a piece. */
  private flush(): void {
    if (this.run.tokens.length > 0) this.pending.push(this.run);
    else if (!this.pending.some(({ tokens }) => tokens.length > 0)) {
      this.chunk = this.opened();
      this.pending = [];
    }
    this.run = { tokens: [], times: [] };
  }

  private close(): void {
    this.chunks.push({ ...this.chunk, run: joinRuns(this.pending) });
    this.pending = [];
    this.chunk = this.opened();
  }

  private opened(): OpenChunk {
    return { start: null, end: null, language: this.language, run: { tokens: [], times: [] } };
  }
}

/** Of times in order, the first of those that lie in the last part of a piece; at least the last time. */
function firstOfEnd(steps: readonly number[], endStart: number): number | undefined {
  const last = steps.findLastIndex((step, i) => i < steps.length - 1 && step * STEP_SECONDS < endStart);
  return steps[last + 1];
}

/**
 * Texts that overlap as one: each next one is slid along the one before to where they agree most, and both are cut in
 * the middle of that.
 */
export function joinRuns([first, ...rest]: readonly Run[]): Run {
  const joined: Run = { tokens: [], times: [] };
  let left = first ?? joined;
  for (const right of rest) {
    const { leftCut, rightCut } = agreement(left, right);
    joined.tokens.push(...left.tokens.slice(0, leftCut));
    joined.times.push(...left.times.slice(0, leftCut));
    left = { tokens: right.tokens.slice(rightCut), times: right.times.slice(rightCut) };
  }
  return { tokens: [...joined.tokens, ...left.tokens], times: [...joined.times, ...left.times] };
}

/** How many tokens of the left text stand before the middle of what agrees, and how many of the right one. */
function agreement(left: Run, right: Run): { leftCut: number; rightCut: number } {
  const [n, m] = [left.tokens.length, right.tokens.length];
  let best = { score: 0, leftCut: n, rightCut: 0 };
  for (let i = 1; i < n + m; i++) {
    const [leftStart, leftStop] = [Math.max(0, n - i), Math.min(n, n + m - i)];
    const [rightStart, rightStop] = [Math.max(0, i - n), Math.min(m, i)];
    let matches = 0;
    for (let k = 0; k < leftStop - leftStart; k++) {
      const [a, b] = [leftStart + k, rightStart + k];
      if (left.tokens[a] === right.tokens[b] && isInOrder(left.times[a], right.times[b])) matches++;
    }
    const score = matches / i + i / 10000; // the longer of two that agree as well
    if (matches > 1 && score > best.score)
      best = { score, leftCut: (leftStart + leftStop) >> 1, rightCut: (rightStart + rightStop) >> 1 };
  }
  return best;
}

const isInOrder = (a: [number, number] | undefined, b: [number, number] | undefined) =>
  !a || !b || a[0] < b[0] || (a[0] === b[0] && a[1] <= b[1]);

/** Languages that are written without spaces. */
const spaceless = new Set(["zh", "ja", "th", "lo", "my", "yue"]);
const PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
const OPENING = "\"'“¡¿([{-";
const CLOSING = "\"'.。,，!！?？:：”)]}、";
const REPLACEMENT = "\ufffd";

interface Word {
  text: string;
  indices: number[];
}

/** The words of a part with their times. */
export async function wordsOf(
  { run, language }: OpenChunk,
  decode: (ids: readonly number[]) => Promise<string>,
): Promise<TranscriptChunk[]> {
  const characters = await wholeCharacters(run.tokens, decode);
  const words = spaceless.has(language ?? "") ? characters : joinUpToSpaces(characters);
  return withPunctuation(words).map(({ text, indices }) => ({
    text,
    timestamp: [run.times[indices[0]][0], run.times[indices[indices.length - 1]][1]],
  }));
}

/** The fewest tokens at a time that give whole characters. */
async function wholeCharacters(
  tokens: readonly number[],
  decode: (ids: readonly number[]) => Promise<string>,
): Promise<Word[]> {
  const whole = await decode(tokens);
  const words: Word[] = [];
  let indices: number[] = [];
  let offset = 0;
  for (const i of tokens.keys()) {
    indices.push(i);
    const text = await decode(indices.map((index) => tokens[index]));
    const broken = text.indexOf(REPLACEMENT);
    // a character that cannot be shown may also be in the text itself
    if (broken >= 0 && offset + broken < whole.length && whole[offset + broken] !== REPLACEMENT) continue;
    words.push({ text, indices });
    indices = [];
    offset += text.length;
  }
  return words;
}

function joinUpToSpaces(parts: readonly Word[]): Word[] {
  const words: Word[] = [];
  for (const part of parts) {
    const last = words.at(-1);
    if (!last || part.text.startsWith(" ") || PUNCTUATION.includes(part.text.trim()))
      words.push({ text: part.text, indices: [...part.indices] });
    else {
      last.text += part.text;
      last.indices.push(...part.indices);
    }
  }
  return words;
}

/** Punctuation goes with the word that it opens or closes. */
function withPunctuation(words: readonly Word[]): Word[] {
  const opened: Word[] = [];
  for (const word of words.toReversed()) {
    const next = opened[0];
    if (next && word.text.startsWith(" ") && OPENING.includes(word.text.trim())) opened[0] = joinWords(word, next);
    else opened.unshift(word);
  }
  const closed: Word[] = [];
  for (const word of opened) {
    const before = closed.at(-1);
    if (before && !before.text.endsWith(" ") && CLOSING.includes(word.text))
      closed[closed.length - 1] = joinWords(before, word);
    else closed.push(word);
  }
  return closed;
}

const joinWords = (a: Word, b: Word): Word => ({ text: a.text + b.text, indices: [...a.indices, ...b.indices] });
