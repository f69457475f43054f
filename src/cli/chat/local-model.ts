import { OptionError } from "../../base/index.ts";
import {
  type ChatPlan,
  generateText,
  normalizeMessages,
  type ChatEvent as ParsedEvent,
  planChat,
  settingsOf,
  type TemplateTraits,
  type TextOptions,
  TokenPicker,
  templateTraits,
} from "../../generate/index.ts";
import type { ServedModel } from "../../serve/index.ts";
import { type ChatFormat, chatFormat, encodePrompt } from "../../tokenizers/index.ts";
import type { AnswerRequest, ChatEvent, ChatModel, TalkMessage } from "./conversation.ts";
import { LocalImages, mixedContent } from "./local-images.ts";
import { type ChatSettings, textOptions } from "./settings.ts";

/** Part of the context that is kept free for an answer. */
const ANSWER_SHARE = 1 / 4;

interface Prompt {
  ids: readonly number[];
  text: string;
  /** That it has places for, as data: URLs. */
  images: readonly string[];
  /** Oldest messages that it leaves out. */
  forgotten: number;
}

/**
 * A model that is loaded here answers, by its chat template; a base model continues a transcript. What no longer fits
 * the context is left out of the prompt, and told.
 */
export class LocalModel implements ChatModel {
  private model: ServedModel;
  private readonly options: TextOptions;
  private readonly open: (name: string) => Promise<ServedModel>;
  private format: ChatFormat;
  private traits: TemplateTraits;
  private images: LocalImages | undefined;

  /**
   * @param options what `/set` does not change
   * @param open loads another model
   */
  constructor(model: ServedModel, options: TextOptions, open: (name: string) => Promise<ServedModel>) {
    this.model = model;
    this.options = options;
    this.open = open;
    this.format = chatFormat(model.chatTemplate, model.tokenizer);
    this.traits = templateTraits(model.chatTemplate, this.format);
    this.images = model.images && new LocalImages(model.images);
  }

  get takesImages(): boolean {
    return this.images !== undefined;
  }

  get name(): string {
    return this.model.id;
  }

  get contextLength(): number {
    return this.model.generator.contextLength;
  }

  async list(): Promise<undefined> {
    return undefined;
  }

  /** Loads another model, and then lets the memory of the one before go. */
  async use(name: string): Promise<void> {
    const next = await this.open(name);
    this.dispose();
    this.model = next;
    this.format = chatFormat(next.chatTemplate, next.tokenizer);
    this.traits = templateTraits(next.chatTemplate, this.format);
    this.images = next.images && new LocalImages(next.images);
  }

  dispose(): void {
    this.images?.dispose();
    this.model.generator.dispose();
  }

  async countTokens({ system, messages }: Omit<AnswerRequest, "signal">): Promise<number> {
    return (await this.encoded(this.rendered(system, messages), messages.flatMap(imagesOf))).length;
  }

  async *answer({ system, messages, settings, signal }: AnswerRequest): AsyncGenerator<ChatEvent, void, void> {
    const { generator, tokenizer } = this.model;
    const started = performance.now();
    const prompt = await this.fitting(system, messages);
    yield* this.forgetting(prompt.forgotten);
    const plan = this.plan(prompt.text);
    const parser = plan?.parser();
    const embedded = await this.images?.embed(prompt.ids, prompt.images, signal);
    const options = { ...this.textOptions(settings, prompt, plan), embedded, signal };
    let firstMs = 0;
    try {
      for await (const { text, tokens, finishReason } of generateText(generator, tokenizer, prompt.ids, options)) {
        if (tokens > 0) firstMs ||= performance.now() - started;
        if (!parser) yield { type: "text", text };
        else yield* eventsOf(finishReason ? [...parser.push(text), ...parser.finish()] : parser.push(text));
        if (!finishReason) continue;
        yield* this.ending(finishReason, prompt.ids.length, tokens);
        const totalMs = performance.now() - started;
        yield { type: "stats", stats: { promptTokens: prompt.ids.length, tokens, firstMs, totalMs } };
      }
    } finally {
      embedded?.dispose();
    }
  }

  private get full(): string {
    return `the context of ${this.contextLength} tokens is full`;
  }

  /** What is told of messages that the prompt leaves out. */
  private *forgetting(count: number): Generator<ChatEvent> {
    if (count === 0) return;
    yield { type: "forgotten", count };
    const subject = count === 1 ? "message is" : `${count} messages are`;
    yield { type: "note", isBefore: true, text: `${this.full}: the oldest ${subject} forgotten` };
  }

  /** What is told of the end of an answer. */
  private *ending(reason: string, promptTokens: number, tokens: number): Generator<ChatEvent> {
    const isFull = promptTokens + tokens === this.contextLength;
    if (reason === "length")
      yield {
        type: "note",
        text: `cut off after ${tokens} tokens; ${isFull ? this.full : "--tokens <n> allows more"}`,
      };
    if (promptTokens + tokens > this.contextLength)
      yield { type: "note", text: `${this.full}: the answer went on without the beginning of the talk` };
  }

  /** How an answer is taken apart; undefined for a base model, which has no thoughts. */
  private plan(prompt: string): ChatPlan | undefined {
    const { chatTemplate: template, tokenizer } = this.model;
    if (template === undefined) return undefined;
    return planChat({ template, specialTexts: tokenizer.specialTexts, prompt, request: undefined });
  }

  private textOptions(settings: ChatSettings, { ids }: Prompt, plan: ChatPlan | undefined): TextOptions {
    const asked = { ...this.options, ...textOptions(settings) };
    const maxNewTokens = asked.maxNewTokens ?? this.defaultTokens(ids.length);
    return {
      contextShift: true,
      ...asked,
      ...(maxNewTokens !== undefined && { maxNewTokens }),
      ...this.ends(plan),
      stop: [...this.format.stop, ...(asked.stop ?? [])],
    };
  }

  /** What ends an answer besides the model's usual tokens, and the special tokens that its parser looks for. */
  private ends(plan: ChatPlan | undefined): TextOptions {
    const { generator, tokenizer } = this.model;
    const ends = (plan?.endTokens ?? []).map((end) => tokenizer.tokenToId(end)).filter((id) => id !== null);
    const usual = new TokenPicker(generator.model, [], [], {}).stops;
    return { keptTokens: plan?.keptTokens, ...(ends.length > 0 && { stopTokens: [...usual, ...ends] }) };
  }

  /**
   * Most tokens of an answer where nothing was said: with a chat template, which ends its answers, all there is room
   * for, as for the server.
   */
  private defaultTokens(promptTokens: number): number | undefined {
    const { chatTemplate, generator } = this.model;
    const isLimited = settingsOf(generator.model.generationConfig, {}).maxNewTokens !== undefined;
    return chatTemplate === undefined || isLimited ? undefined : generator.contextLength - promptTokens;
  }

  private rendered(system: string | undefined, messages: readonly TalkMessage[]): string {
    const contents = messages.map((message) => ({
      role: message.role,
      content: this.images ? mixedContent(message) : message.content,
    }));
    const all = system === undefined ? contents : [{ role: "system", content: system }, ...contents];
    return this.format.render(normalizeMessages(all, this.traits));
  }

  private async encoded(text: string, images: readonly string[]): Promise<number[]> {
    const { tokenizer } = this.model;
    const ids = [...(await encodePrompt(tokenizer, text, { addSpecialTokens: this.format.addSpecialTokens }))];
    return images.length > 0 && this.images ? this.images.placed(ids, images, tokenizer) : ids;
  }

  /**
   * The prompt, after the oldest messages that leave no room for an answer are dropped. @throws OptionError when the
   * last is too long
   */
  private async fitting(system: string | undefined, messages: readonly TalkMessage[]): Promise<Prompt> {
    const { contextLength } = this;
    const room = Math.floor(contextLength * (1 - ANSWER_SHARE));
    for (let forgotten = 0; ; ) {
      const left = messages.slice(forgotten);
      const text = this.rendered(system, left);
      const images = left.flatMap(imagesOf);
      const ids = await this.encoded(text, images);
      if (ids.length <= room || (left.length === 1 && ids.length < contextLength))
        return { ids, text, images, forgotten };
      if (left.length === 1) {
        throw new OptionError({
          where: "chat",
          expected: `a message that fits the context of ${contextLength} tokens`,
          received: `one of ${ids.length}, with what the template adds`,
          fix: "shorten it, or use a longer --context if the model has one",
        });
      }
      forgotten += left[1].role === "assistant" ? 2 : 1; // a question goes with its answer
    }
  }
}

const imagesOf = ({ images = [] }: TalkMessage): readonly string[] => images;

/** Calls of tools are not looked for: there are none here. */
function* eventsOf(events: readonly ParsedEvent[]): Generator<ChatEvent> {
  for (const event of events) {
    if (event.type === "content") yield { type: "text", text: event.text };
    else if (event.type === "reasoning") yield { type: "thought", text: event.text };
  }
}
