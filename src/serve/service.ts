import { limits } from "../base/index.ts";
import {
  ContextLengthError,
  type Generator,
  type SpeculationOptions,
  type TemplateTraits,
  TokenPicker,
  templateTraits,
} from "../generate/index.ts";
import type { ChatFormat, Tokenizer } from "../tokenizers/index.ts";
import type { ChatPrompt } from "./encode-worker.ts";
import { PromptEncoder } from "./encoder.ts";
import { contextLengthExceeded, RequestError } from "./errors.ts";
import { GrammarCompiler } from "./grammars/index.ts";
import { ImageFetcher, type ImagePrompt, ImageReader, type ImageReference, type ImageSide } from "./images/index.ts";
import { LogprobShapes } from "./logprobs.ts";
import type { ModelMetrics } from "./metrics.ts";
import { type QueueOptions, RequestQueue } from "./queue.ts";
import type { Prompts } from "./requests.ts";

/** How a model's tokens are proposed; the assistant is disposed of with the model. */
export interface ServedSpeculation extends Omit<SpeculationOptions, "assistant"> {
  assistant?: Generator;
}

/** A model with what is needed to answer requests with it. */
export interface ServedModel {
  /** Name that clients ask for. */
  id: string;
  generator: Generator;
  tokenizer: Tokenizer;
  /** Jinja template of chat messages. @default the tokenizer's; without one a line per message: "role: content" */
  chatTemplate?: string;
  /** Of a model that reads images in its messages. @default it reads texts alone */
  images?: ImageSide;
  /** How tokens are proposed, to texts without log probabilities and adapters. @default not at all */
  speculation?: ServedSpeculation;
}

/** What the services of a server's models share. */
export interface ServiceOptions extends QueueOptions {
  metrics: ModelMetrics;
  /** Fetches images that requests name by an address. @default none is fetched */
  imageFetcher?: ImageFetcher;
  /** Most images of a request. @default 32 */
  maxImages?: number;
}

/** Some turns of a talk about pictures; OpenAI and Anthropic take hundreds, of which each costs its tokens. */
const MAX_IMAGES = 32;

/** Messages for the template, and the images that they have places for. */
export interface SeenChat {
  chat: ChatPrompt;
  images: readonly ImageReference[];
}

/** A model that writes, and all that its requests share. */
export class Service {
  readonly model: ServedModel;
  readonly queue: RequestQueue;
  readonly encoder: PromptEncoder;
  readonly grammars: GrammarCompiler;
  readonly logprobShapes: LogprobShapes;
  readonly metrics: ModelMetrics;
  /** The template that requests with tools and without are rendered by. */
  readonly chatTemplate: string | undefined;
  /** What it asks of messages with calls. */
  readonly traits: TemplateTraits;
  /** Reads the images of messages; undefined where the model reads texts alone. */
  readonly images: ImageReader | undefined;
  /** Most of them in a request. */
  readonly maxImages: number;
  /** Tokens that end the model's texts. */
  readonly endTokens: readonly number[];

  constructor(model: ServedModel, options: ServiceOptions) {
    const { metrics, imageFetcher = new ImageFetcher(), maxImages = MAX_IMAGES, ...queue } = options;
    this.model = model;
    this.queue = new RequestQueue(model.generator.maxSequences, queue);
    this.chatTemplate = model.chatTemplate ?? model.tokenizer.chatTemplate;
    this.encoder = new PromptEncoder(model.tokenizer, this.chatTemplate);
    this.grammars = new GrammarCompiler(model.tokenizer);
    this.logprobShapes = new LogprobShapes(model.tokenizer);
    this.metrics = metrics;
    this.images = model.images && new ImageReader(model.images, imageFetcher);
    this.maxImages = maxImages;
    this.traits = templateTraits(this.chatTemplate, this.encoder.format);
    this.endTokens = [...new TokenPicker(model.generator.model, [], [], {}).stops];
  }

  get format(): ChatFormat {
    return this.encoder.format;
  }

  /** The adapter that a request's `model` names. @default none: it names the model */
  adapterOf(asked: string | undefined): string | undefined {
    const { id, generator } = this.model;
    return asked !== undefined && asked !== id && generator.adapters.has(asked) ? asked : undefined;
  }

  /** The name that a request's answer has: its adapter's, or the model's. */
  nameOf(asked: string | undefined): string {
    return this.adapterOf(asked) ?? this.model.id;
  }

  get contextLength(): number {
    return this.model.generator.contextLength;
  }

  /**
   * Ids of prompts, as many as the context has room for. Ids stay as they are.
   * @throws RequestError 400 for no prompt, one without tokens, ids outside the vocabulary, and what the context has no
   *   room for
   */
  async promptIds(prompts: Prompts, room: Room, signal: AbortSignal): Promise<number[][]> {
    const list = isList(prompts) ? prompts : [prompts];
    if (list.length === 0) throw emptyPrompt(room.param);
    if (list.length > MAX_PROMPTS) {
      const message = `${room.param}: expected at most ${MAX_PROMPTS} prompts; received ${list.length}`;
      throw new RequestError({ status: 400, message, param: room.param, code: "invalid_value" });
    }
    checkAnswers(list.length, room.answers);
    const all: number[][] = [];
    for (const prompt of list) {
      if (Array.isArray(prompt)) {
        this.checkRoom(prompt.length, room);
        all.push(this.checkedIds(prompt, room.param));
      } else all.push((await this.encoded(prompt, room, signal)).ids);
    }
    const { before, after } = room.around ?? nothingAround;
    return all.map((ids) => [...before, ...ids, ...after]);
  }

  /**
   * Ids of a text, or of messages by the template, and how the text ends.
   * @throws as `promptIds`, and RequestError 400 where the template refuses the messages
   */
  async encoded(prompt: string | ChatPrompt, room: Room, signal: AbortSignal): Promise<{ ids: number[]; end: string }> {
    const { contextLength, encoder } = this;
    const encoded = await encoder.encode(prompt, {
      addSpecialTokens: room.addSpecialTokens,
      maxTokens: contextLength,
      signal,
    });
    if ("atLeast" in encoded) {
      throw contextLengthExceeded(
        new ContextLengthError({ promptTokens: encoded.atLeast, contextLength }),
        room.param,
        { isLeast: true },
      );
    }
    this.checkRoom(encoded.ids.length, room);
    return { ids: Array.from(encoded.ids), end: encoded.end };
  }

  /**
   * As `encoded`, of messages with their images: the ids have as many places for each image as the model makes of it.
   * @throws as `encoded`, and RequestError 400 for what is no image or may not be fetched
   */
  async encodedChat(
    { chat, images }: SeenChat,
    room: Room,
    signal: AbortSignal,
  ): Promise<{ ids: number[]; end: string } & Partial<Pick<ImagePrompt, "embed">>> {
    const { ids, end } = await this.encoded(chat, room, signal);
    if (!this.images || images.length === 0) return { ids, end };
    const { tokenizer } = this.model;
    const maxTokens = this.contextLength;
    const prompt = await this.images.prompt(ids, images, { tokenizer, maxTokens, signal });
    this.checkRoom(prompt.ids.length, room);
    return { ...prompt, end };
  }

  /** How many tokens messages have with their images; of a text that is sure to be too long at least so many. */
  async countTokens({ chat, images }: SeenChat, signal: AbortSignal): Promise<number> {
    const { addSpecialTokens } = this.format;
    const maxTokens = Number.POSITIVE_INFINITY;
    const encoded = await this.encoder.encode(chat, { addSpecialTokens, maxTokens, signal });
    if ("atLeast" in encoded) return encoded.atLeast;
    if (!this.images || images.length === 0) return encoded.ids.length;
    const { tokenizer } = this.model;
    return (await this.images.prompt(Array.from(encoded.ids), images, { tokenizer, maxTokens, signal })).ids.length;
  }

  private checkRoom(tokens: number, { maxTokens, param, around = nothingAround }: Room): void {
    const promptTokens = tokens + around.before.length + around.after.length;
    if (promptTokens === 0) throw emptyPrompt(param);
    const { contextLength } = this;
    const isFine = maxTokens === undefined ? promptTokens < contextLength : promptTokens + maxTokens <= contextLength;
    if (!isFine)
      throw contextLengthExceeded(
        new ContextLengthError({ promptTokens, maxNewTokens: maxTokens, contextLength }),
        param,
      );
  }

  /** @throws RequestError 400 for ids outside the vocabulary */
  checkedIds(ids: readonly number[], param: string): number[] {
    const { generator, tokenizer } = this.model;
    const size = Math.min(tokenizer.vocabSize, generator.model.config.vocabSize);
    const wrong = ids.find((id) => id < 0 || id >= size);
    if (wrong === undefined) return [...ids];
    throw new RequestError({
      status: 400,
      message: `${param}: expected token ids from 0 to ${size - 1}; received ${wrong}`,
      param,
      code: "invalid_value",
    });
  }

  /** Compiles what answers need; what only further tokens need is ready a little later. */
  async warmUp(): Promise<void> {
    const { generator } = this.model;
    if (this.contextLength < 3) return;
    generator.prepare(generator.maxSequences).catch(() => {}); // what fails does so again when it is needed
    const tokens = generator.generate([0, 0], { maxNewTokens: 1, temperature: 0, stopTokens: [] });
    while (!(await tokens.next()).done);
  }

  /**
   * Resolves when nothing uses the model any more. Requests under way end by themselves when their connections are
   * closed.
   */
  async dispose(): Promise<void> {
    await this.queue.idle();
    await this.encoder.dispose();
    await this.images?.dispose();
    await this.grammars.dispose();
  }
}

/** Tokens in front of a prompt and behind it. */
export interface Around {
  before: readonly number[];
  after: readonly number[];
}

const nothingAround: Around = { before: [], after: [] };

/** What a request asks the context to hold. */
export interface Room {
  /** Most tokens of the answer; undefined for as many as there is room for. */
  maxTokens: number | undefined;
  addSpecialTokens: boolean;
  /** To each prompt. */
  answers: number;
  /** The field that the prompt is from. */
  param: "prompt" | "messages";
  /** What `promptIds` puts around each prompt. @default nothing */
  around?: Around;
}

/** Prompts of one request, as for OpenAI. */
const MAX_PROMPTS = 2048;

/** @throws RequestError 400 for more answers than one request may hold the others up with */
function checkAnswers(prompts: number, answers: number): void {
  if (prompts * answers <= limits.requestAnswers) return;
  const message = `n: expected at most ${limits.requestAnswers} answers, the prompts times n (limit requestAnswers); received ${prompts} times ${answers}`;
  throw new RequestError({ status: 400, message, param: "n", code: "invalid_value" });
}

const isList = (prompts: Prompts): prompts is string[] | number[][] =>
  Array.isArray(prompts) && typeof prompts[0] !== "number";

function emptyPrompt(param: string): RequestError {
  return new RequestError({
    status: 400,
    message: `${param}: expected at least one token; received none`,
    param,
    code: "invalid_value",
  });
}
