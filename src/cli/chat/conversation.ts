import { OptionError } from "../../base/index.ts";
import { generateText, settingsOf, type TextOptions } from "../../generate/index.ts";
import type { ServedModel } from "../../serve/index.ts";
import { type ChatFormat, type ChatMessage, chatFormat, encodePrompt } from "../../tokenizers/index.ts";

/** Part of the context that is kept free for an answer. */
const ANSWER_SHARE = 1 / 4;

/** What is said of an answer besides its text. */
export type ChatEvent = { type: "text"; text: string } | { type: "note"; isBefore?: boolean; text: string };

/**
 * A talk with a model by its chat template; a base model continues a transcript. What no longer fits the context is
 * left out of the prompt, and told.
 */
export class Conversation {
  /** What was said so far, the system prompt excluded. */
  messages: ChatMessage[] = [];
  system: string | undefined;
  private readonly model: ServedModel;
  private readonly options: TextOptions;
  private readonly format: ChatFormat;

  constructor(model: ServedModel, options: TextOptions, system?: string) {
    this.model = model;
    this.options = options;
    this.system = system;
    this.format = chatFormat(model.chatTemplate, model.tokenizer);
  }

  /** All messages, with the system prompt first. */
  get transcript(): ChatMessage[] {
    return this.system === undefined ? this.messages : [{ role: "system", content: this.system }, ...this.messages];
  }

  /**
   * Gives the pieces of the answer to a message. What was written stays in the talk, also after an abort; a message
   * that is not answered at all does not.
   * @throws the signal's reason, OptionError for a message longer than the context, and what the template and the model
   *   throw
   */
  async *answer(message: string, signal: AbortSignal): AsyncGenerator<ChatEvent, void, void> {
    const { generator, tokenizer } = this.model;
    const earlier = this.messages;
    this.messages = [...earlier, { role: "user", content: message }];
    let answer = "";
    try {
      const prompt = await this.fitting();
      const left = earlier.length + 1 - this.messages.length;
      const full = `the context of ${generator.contextLength} tokens is full`;
      if (left > 0)
        yield {
          type: "note",
          isBefore: true,
          text: `${full}: the oldest ${left === 1 ? "message is" : `${left} messages are`} forgotten`,
        };
      const maxNewTokens = this.options.maxNewTokens ?? this.defaultTokens(prompt.length);
      const options = { contextShift: true, ...this.options, ...(maxNewTokens !== undefined && { maxNewTokens }) };
      const stop = [...this.format.stop, ...(this.options.stop ?? [])];
      for await (const { text, tokens, finishReason } of generateText(generator, tokenizer, prompt, {
        ...options,
        stop,
        signal,
      })) {
        answer += text;
        yield { type: "text", text };
        const isFull = finishReason === "length" && prompt.length + tokens === generator.contextLength;
        if (finishReason === "length")
          yield { type: "note", text: `cut off after ${tokens} tokens; ${isFull ? full : "--tokens <n> allows more"}` };
        if (finishReason && prompt.length + tokens > generator.contextLength) {
          yield { type: "note", text: `${full}: the answer went on without the beginning of the talk` };
        }
      }
    } finally {
      if (answer.trim() === "" && signal.aborted) this.messages = earlier;
      else if (answer !== "") this.messages = [...this.messages, { role: "assistant", content: answer.trim() }];
      else if (this.messages.at(-1)?.role === "user") this.messages = earlier; // it failed, or nothing was said
    }
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

  /**
   * Token ids of the prompt, after the oldest messages that leave no room for an answer are dropped. @throws
   * OptionError when the last is too long
   */
  private async fitting(): Promise<number[]> {
    const { contextLength } = this.model.generator;
    const room = Math.floor(contextLength * (1 - ANSWER_SHARE));
    for (;;) {
      const text = this.format.render(this.transcript);
      const ids = [
        ...(await encodePrompt(this.model.tokenizer, text, { addSpecialTokens: this.format.addSpecialTokens })),
      ];
      if (ids.length <= room) return ids;
      if (this.messages.length === 1) {
        if (ids.length < contextLength) return ids;
        throw new OptionError({
          where: "chat",
          expected: `a message that fits the context of ${contextLength} tokens`,
          received: `one of ${ids.length}, with what the template adds`,
          fix: "shorten it, or use a longer --context if the model has one",
        });
      }
      // a question goes with its answer
      this.messages = this.messages.slice(this.messages[1].role === "assistant" ? 2 : 1);
    }
  }
}
