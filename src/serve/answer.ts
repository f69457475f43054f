import { merged } from "../base/index.ts";
import {
  addEvent,
  ChatAnswer,
  type ChatEvent,
  type ChatParser,
  generateText,
  type HeldPrompt,
  type ScoredToken,
  type TextOptions,
  type TextPiece,
  type TokenLogprobs,
} from "../generate/index.ts";
import { asRequestError, type RequestError } from "./errors.ts";
import { type AnswerPart, EventStream, type StreamEncoding } from "./event-stream.ts";
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
  /** How probable the tokens of that text are. @default nobody asks */
  echoLogprobs?: () => Promise<readonly TokenLogprobs[]>;
  /** How probable the tokens of the prompt are. @default nobody asks */
  promptLogprobs?: () => Promise<readonly ScoredToken[]>;
  /** How probable the token was that has ended the text stands behind those of the text. @default false */
  tellsEnd?: boolean;
  options: TextOptions;
  /** Takes thoughts and calls of tools out of it. @default all is content */
  parser?: ChatParser;
}

export interface FinishedChoice {
  index: number;
  answer: ChatAnswer;
  /** What the answer is made of, in its order. */
  events: readonly ChatEvent[];
  logprobs: readonly TokenLogprobs[] | undefined;
  promptLogprobs: readonly ScoredToken[] | undefined;
  finishReason: string;
  /** The stop text that has ended it. @default it ended otherwise */
  stopText?: string;
}

/** The objects of an endpoint. */
export interface Shapes {
  whole: (choices: readonly FinishedChoice[], usage: Usage, reasoningTokens: number) => object;
  /** What begins a choice in a stream. @default nothing */
  first?: (choice: number) => object;
  piece: (choice: number, part: AnswerPart) => object | undefined;
  last: (choice: number, finishReason: string, stopText?: string) => object;
  usage: (usage: Usage, reasoningTokens: number) => object;
  /** What ends a stream that fails. @default OpenAI's form */
  error?: (error: RequestError) => object;
  /** How a stream is written. @default server-sent events without names */
  encoding?: StreamEncoding;
  /** Called when there are further tokens. */
  onTokens?: () => void;
  /** Called with each part of an answer that is not streamed. */
  onPart?: (part: AnswerPart) => void;
}

export interface Job {
  choices: readonly Choice[];
  /** Most choices that are given: the likeliest. @default all */
  best?: number;
  /** Tokens of all prompts, each counted once. */
  promptTokens: number;
  /** What stands in the places of images in the prompt of all choices. @default there are none */
  embed?: (signal: AbortSignal) => Promise<HeldPrompt | undefined>;
  /** What a stream says of it. */
  usage: UsageOptions;
  /** Asked when the turn has come: the time of the answer is in it. */
  shapes: () => Shapes;
  /** Of a stream. @default text/event-stream */
  contentType?: string;
}

/** What has come of a choice. */
interface ChoicePiece {
  choice: Choice;
  parts: readonly AnswerPart[];
  /** Tokens made so far. */
  tokens: number;
  /** Set on the last piece. */
  finishReason?: string;
  stopText?: string;
}

/** The pieces of all choices, which are written together. */
async function* piecesOf(
  model: ServedModel,
  { choices, embed }: Job,
  { signal }: RequestLife,
): AsyncGenerator<ChoicePiece, void, void> {
  const embedded = await embed?.(signal);
  try {
    const texts = choices.map(({ options, ...choice }) =>
      textOf(model, { ...choice, options: { ...options, embedded } }, signal),
    );
    for await (const { index, value } of merged(texts)) yield pieceOf(choices[index], value);
  } finally {
    embedded?.dispose();
  }
}

async function* textOf(
  { generator, tokenizer, speculation }: ServedModel,
  { echo, echoLogprobs, prompt, options }: Choice,
  signal: AbortSignal,
): AsyncGenerator<TextPiece, void, void> {
  if (echo || echoLogprobs) yield { text: echo, tokens: 0, logprobs: await echoLogprobs?.() };
  const isPlain = options.topLogprobs === undefined && options.adapter === undefined;
  yield* generateText(generator, tokenizer, prompt, { ...(isPlain && speculation), ...options, signal });
}

/** How probable tokens were goes with the first part: which of them made which is not known. */
function pieceOf(choice: Choice, piece: TextPiece): ChoicePiece {
  const { parser, tellsEnd } = choice;
  const { text, tokens, endLogprobs, finishReason, stopText } = piece;
  const logprobs = tellsEnd && endLogprobs ? [...(piece.logprobs ?? []), endLogprobs] : piece.logprobs;
  const events: ChatEvent[] = parser ? parser.push(text) : [{ type: "content", text }];
  if (parser && finishReason) events.push(...parser.finish());
  if (logprobs?.length && events.length === 0) events.push({ type: "content", text: "" });
  const parts = events.map((event, i) => ({ event, ...(logprobs && i === 0 && { logprobs }) }));
  return { choice, parts, tokens, finishReason, stopText };
}

/** Counts the tokens of choices. */
class TokenCount {
  /** Of thoughts, with the mark that ends them. */
  reasoningTokens = 0;
  private readonly tokens = new Map<number, number>();
  private readonly thinking = new Set<number>();
  private readonly promptTokens: number;

  constructor(promptTokens: number) {
    this.promptTokens = promptTokens;
  }

  add({ choice: { index }, tokens, parts }: ChoicePiece): void {
    const last = parts.findLast(({ event }) => !("text" in event) || event.text !== "")?.event.type;
    if (last === "reasoning") this.thinking.add(index);
    if (this.thinking.has(index)) this.reasoningTokens += tokens - (this.tokens.get(index) ?? 0);
    if (last !== undefined && last !== "reasoning") this.thinking.delete(index);
    this.tokens.set(index, tokens);
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

/** A model that has called tools waits for their answers. */
const reasonOf = (reason: string, hasCalls: boolean): string => (hasCalls && reason === "stop" ? "tool_calls" : reason);

/** The whole answer, when the request's turn comes. @throws RequestError, or the signal's reason */
export async function wholeAnswer(model: ServedModel, job: Job, life: RequestLife): Promise<object> {
  await life.turn();
  const shapes = job.shapes();
  const finished = job.choices.map(({ index, options }) => ({
    index,
    answer: new ChatAnswer(),
    events: [] as ChatEvent[],
    logprobs: options.topLogprobs === undefined ? undefined : ([] as TokenLogprobs[]),
    promptLogprobs: undefined as readonly ScoredToken[] | undefined,
    finishReason: "length",
    stopText: undefined as string | undefined,
  }));
  const count = new TokenCount(job.promptTokens);
  life.record.countUsage(() => count.usage);
  for await (const next of piecesOf(model, job, life)) {
    life.piece(next.choice.index, next);
    shapes.onTokens?.();
    const choice = finished[next.choice.index];
    for (const part of next.parts) {
      shapes.onPart?.(part);
      choice.answer.add(part.event);
      addEvent(choice.events, part.event);
      choice.logprobs?.push(...(part.logprobs ?? []));
    }
    if (next.finishReason) choice.finishReason = reasonOf(next.finishReason, choice.answer.calls.length > 0);
    choice.stopText = next.stopText;
    count.add(next);
  }
  for (const { index, promptLogprobs } of job.choices) finished[index].promptLogprobs = await promptLogprobs?.();
  const { usage } = count;
  const choices = job.best === undefined ? finished : likeliest(finished, job.best, job.promptTokens);
  const reasons = choices.map(({ finishReason }) => finishReason);
  life.meter.end(usage, reasons);
  life.record.finishReasons = reasons;
  return shapes.whole(choices, usage, count.reasoningTokens);
}

/** The choices whose tokens were the most probable on average, numbered anew. All have one prompt. */
function likeliest<C extends FinishedChoice>(choices: readonly C[], count: number, promptTokens: number): C[] {
  const mean = ({ logprobs = [] }: C) => {
    const written = Number.isNaN(logprobs[0]?.logprob) ? logprobs.slice(promptTokens) : logprobs;
    return written.reduce((sum, { logprob }) => sum + logprob, 0) / Math.max(1, written.length);
  };
  return choices
    .toSorted((a, b) => mean(b) - mean(a))
    .slice(0, count)
    .map((choice, index) => ({ ...choice, index }));
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
  const count = new TokenCount(job.promptTokens);
  life.record.countUsage(() => count.usage);
  const pieces = piecesOf(model, job, life);
  const first = await pieces.next();
  shapes.onTokens?.();
  const wrap: Shapes["piece"] = (choice, part) => {
    const piece = shapes.piece(choice, part);
    return piece && job.usage.continuousUsage ? { ...piece, usage: count.usage } : piece;
  };
  const { encoding } = shapes;
  const events = new EventStream({ wrap, encoding, stalledTimeoutMs, onLost: (reason) => life.lose(reason) });
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
  const callers = new Set<number>();
  try {
    for (let next = first; !next.done; next = await pieces.next()) {
      const { choice, parts, finishReason, stopText } = next.value;
      const { index } = choice;
      if (shapes.first && !begun.has(index)) events.pushObject(shapes.first(index));
      begun.add(index);
      life.piece(index, next.value);
      count.add(next.value);
      for (const part of parts) {
        if (part.event.type === "call-begin") callers.add(index);
        events.pushPart(index, part);
      }
      if (!finishReason) continue;
      const reason = reasonOf(finishReason, callers.has(index));
      events.pushObject(shapes.last(index, reason, stopText));
      reasons.push(reason);
    }
    if (includeUsage) events.pushObject(shapes.usage(count.usage, count.reasoningTokens));
    life.meter.end(count.usage, reasons);
  } catch (error) {
    const refusal = asRequestError(error);
    const { body } = refusal;
    life.meter.end(count.usage, []);
    events.pushObject(shapes.error?.(refusal) ?? body);
    life.record.failed(error, refusal);
  } finally {
    life.end();
    events.end();
    life.record.finishReasons = reasons;
    life.record.end(200);
  }
}
