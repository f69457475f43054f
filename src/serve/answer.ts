import { merged } from "../base/index.ts";
import { generateText, type TextOptions, type TextPiece } from "../generate/index.ts";
import { asRequestError } from "./errors.ts";
import { EventStream } from "./event-stream.ts";
import type { RequestLife } from "./request-life.ts";
import type { UsageOptions } from "./requests.ts";
import type { ServedModel } from "./service.ts";
import type { Usage } from "./usage.ts";

/** One text to be made. */
export interface Choice {
  /** Its place in the answer. */
  index: number;
  prompt: readonly number[];
  /** Text in front of it. */
  echo: string;
  options: TextOptions;
}

export interface FinishedChoice {
  index: number;
  text: string;
  finishReason: string;
}

/** The objects of an endpoint. */
export interface Shapes {
  whole: (choices: readonly FinishedChoice[], usage: Usage) => object;
  /** What begins a choice in a stream. @default nothing */
  first?: (choice: number) => object;
  piece: (choice: number, text: string) => object;
  last: (choice: number, finishReason: string) => object;
  usage: (usage: Usage) => object;
}

export interface Job {
  choices: readonly Choice[];
  /** Tokens of all prompts, each counted once. */
  promptTokens: number;
  /** What a stream says of it. */
  usage: UsageOptions;
  /** Asked when the turn has come: the time of the answer is in it. */
  shapes: () => Shapes;
}

interface ChoicePiece {
  choice: Choice;
  piece: TextPiece;
}

/** The pieces of all choices, which are written together. */
async function* piecesOf(
  model: ServedModel,
  choices: readonly Choice[],
  { signal }: RequestLife,
): AsyncGenerator<ChoicePiece, void, void> {
  for await (const { index, value } of merged(choices.map((choice) => textOf(model, choice, signal))))
    yield { choice: choices[index], piece: value };
}

async function* textOf(
  { generator, tokenizer }: ServedModel,
  { echo, prompt, options }: Choice,
  signal: AbortSignal,
): AsyncGenerator<TextPiece, void, void> {
  if (echo) yield { text: echo, tokens: 0 };
  yield* generateText(generator, tokenizer, prompt, { ...options, signal });
}

/** Counts the tokens of choices. */
class TokenCount {
  private readonly tokens = new Map<number, number>();
  private readonly promptTokens: number;

  constructor(promptTokens: number) {
    this.promptTokens = promptTokens;
  }

  add({ choice, piece }: ChoicePiece): void {
    this.tokens.set(choice.index, piece.tokens);
  }

  get usage(): Usage {
    const completionTokens = [...this.tokens.values()].reduce((sum, tokens) => sum + tokens, 0);
    return {
      prompt_tokens: this.promptTokens,
      completion_tokens: completionTokens,
      total_tokens: this.promptTokens + completionTokens,
    };
  }
}

/** The whole answer, when the request's turn comes. @throws RequestError, or the signal's reason */
export async function wholeAnswer(model: ServedModel, job: Job, life: RequestLife): Promise<object> {
  await life.turn();
  const shapes = job.shapes();
  const texts = job.choices.map(({ index }): FinishedChoice => ({ index, text: "", finishReason: "length" }));
  const count = new TokenCount(job.promptTokens);
  for await (const next of piecesOf(model, job.choices, life)) {
    const finished = texts[next.choice.index];
    finished.text += next.piece.text;
    finished.finishReason = next.piece.finishReason ?? finished.finishReason;
    count.add(next);
  }
  const { usage } = count;
  Object.assign(life.record, { usage, outcome: texts.map(({ finishReason }) => finishReason).join(" ") });
  return shapes.whole(texts, usage);
}

/**
 * The answer as server-sent events. It comes when the first piece is there, so that errors before that have their own
 * status. From then on the model works at its own pace, whatever the client does.
 * @throws RequestError, or the signal's reason
 */
export async function streamedAnswer(
  model: ServedModel,
  job: Job,
  life: RequestLife,
  stalledTimeoutMs: number,
): Promise<ReadableStream<Uint8Array>> {
  await life.turn();
  const shapes = job.shapes();
  const pieces = piecesOf(model, job.choices, life);
  const first = await pieces.next();
  const count = new TokenCount(job.promptTokens);
  const wrap = job.usage.continuousUsage
    ? (choice: number, text: string) => ({ ...shapes.piece(choice, text), usage: count.usage })
    : shapes.piece;
  const events = new EventStream({ wrap, stalledTimeoutMs, onLost: (reason) => life.lose(reason) });
  life.record.isStreamed = true;
  void sendPieces({ first, pieces, events, shapes, count, includeUsage: job.usage.includeUsage }, life);
  return events.body;
}

interface Sending {
  first: IteratorResult<ChoicePiece, void>;
  /** Those after the first. */
  pieces: AsyncGenerator<ChoicePiece, void, void>;
  events: EventStream;
  shapes: Shapes;
  count: TokenCount;
  includeUsage: boolean;
}

/** Never throws: an error becomes an event, since the status is sent already. */
async function sendPieces(
  { first, pieces, events, shapes, count, includeUsage }: Sending,
  life: RequestLife,
): Promise<void> {
  const reasons: string[] = [];
  const begun = new Set<number>();
  try {
    for (let next = first; !next.done; next = await pieces.next()) {
      const { choice, piece } = next.value;
      if (shapes.first && !begun.has(choice.index)) events.pushObject(shapes.first(choice.index));
      begun.add(choice.index);
      count.add(next.value);
      if (piece.text) events.pushText(choice.index, piece.text);
      if (!piece.finishReason) continue;
      events.pushObject(shapes.last(choice.index, piece.finishReason));
      reasons.push(piece.finishReason);
    }
    if (includeUsage) events.pushObject(shapes.usage(count.usage));
  } catch (error) {
    const { body } = asRequestError(error);
    events.pushObject(body);
    reasons.push(body.error.code ?? body.error.message);
  } finally {
    life.end();
    events.end();
    Object.assign(life.record, { usage: count.usage, outcome: reasons.join(" ") });
    life.record.end(200);
  }
}
