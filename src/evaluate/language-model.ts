import { checkOptions, DataError, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import type { Generator } from "../generate/index.ts";
import { stripEndSpace } from "../metrics/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import type { TaskGeneration } from "./task.ts";

/** How probable a text is. */
export interface Likelihood {
  /** In nats. */
  logprob: number;
  /** Whether each of its tokens is the likeliest. */
  isGreedy: boolean;
}

/** A model that tasks are put to. */
export interface EvalModelOptions {
  /** Most tokens that it looks at together. @default the generator's context */
  maxLength?: number;
}

const DEFAULT_NEW_TOKENS = 256;

/**
 * Answers requests as the "hf" model of lm-evaluation-harness does: what is too long is cut at its beginning, a text
 * without a context stands behind the tokenizer's first token, or the last.
 */
export class EvalModel {
  readonly maxLength: number;
  readonly generator: Generator;
  readonly tokenizer: Tokenizer;
  private prefix: Promise<{ id: number; text: string }> | undefined;

  /** @throws OptionError for a length beyond the context */
  constructor(generator: Generator, tokenizer: Tokenizer, options: EvalModelOptions = {}) {
    checkOptions("EvalModel", options, ["maxLength"]);
    const { maxLength = generator.contextLength } = options;
    requireNumbers("EvalModel", { maxLength }, { maxLength: numberRules.positiveInteger });
    if (maxLength > generator.contextLength)
      throw new OptionError({
        where: "EvalModel",
        expected: `a maxLength of at most the context of ${generator.contextLength}`,
        received: String(maxLength),
        fix: "leave it out, or open the model with a longer context",
      });
    this.generator = generator;
    this.tokenizer = tokenizer;
    this.maxLength = maxLength;
  }

  /** How probable a text is behind another. @throws DataError for a continuation longer than the model looks at */
  async loglikelihood(context: string, continuation: string, signal?: AbortSignal): Promise<Likelihood> {
    const [before, after] =
      context === "" ? await this.alonePair(continuation) : await this.encodePair(context, continuation);
    if (after.length === 0 || after.length > this.maxLength)
      throw new DataError({
        where: "loglikelihood",
        expected: `a continuation of 1 to ${this.maxLength} tokens`,
        received: `${after.length}: ${JSON.stringify(continuation.slice(0, 60))}`,
        fix: "leave the row out",
      });
    if (before.length === 0)
      throw new DataError({
        where: "loglikelihood",
        expected: "a context that the tokenizer has tokens for",
        received: JSON.stringify(context.slice(0, 60)),
        fix: "leave the row out, or give no context",
      });
    return this.scoreEnd([...before, ...after], after.length, signal);
  }

  /** How probable a text of any length is, in windows that each have one token of context at least. */
  async rollingLikelihood(text: string, signal?: AbortSignal): Promise<Likelihood> {
    const ids = await this.encode(text);
    const { maxLength } = this;
    const { id } = await this.prefixToken();
    let [logprob, isGreedy] = [0, true];
    for (let from = 0; from < ids.length; from += maxLength) {
      const to = Math.min(from + maxLength, ids.length);
      // a last window that is short looks back as far as it may
      const start = from === 0 ? 0 : to - maxLength - 1;
      const window = from === 0 ? [id, ...ids.slice(0, to)] : ids.slice(start, to);
      const part = await this.scoreEnd(window, to - from, signal);
      logprob += part.logprob;
      isGreedy &&= part.isGreedy;
    }
    return { logprob, isGreedy };
  }

  /** Continues a text until one of some texts, or the end. */
  async generate(
    context: string,
    { until = [], maxGenToks = DEFAULT_NEW_TOKENS, doSample, temperature = 1, ...limits }: TaskGeneration,
    { seed, signal }: { seed?: number; signal?: AbortSignal } = {},
  ): Promise<string> {
    const room = this.maxLength - maxGenToks;
    if (room <= 0)
      throw new OptionError({
        where: "generate_until",
        expected: `maxGenToks below the model's ${this.maxLength} tokens`,
        received: String(maxGenToks),
        fix: "ask for fewer in generation (max_gen_toks)",
      });
    const { endOfTextId } = this.tokenizer;
    const end = endOfTextId === null ? [] : [await this.tokenizer.decode([endOfTextId], { skipSpecialTokens: false })];
    const stops = [...until, ...end].filter((stop) => stop !== "");
    const encoded = await this.encode(context);
    const prompt = encoded.length > 0 ? encoded : [(await this.prefixToken()).id];
    const drawing = doSample ? { temperature, seed, ...limits } : { temperature: 0 };
    const tokens = this.generator.generate(prompt.slice(-room), { maxNewTokens: maxGenToks, ...drawing, signal });
    const stream = this.tokenizer.stream();
    const ids: number[] = [];
    let text = "";
    for await (const id of tokens) {
      if (id === endOfTextId) break;
      ids.push(id);
      text += await stream.push(id);
      if (stops.some((stop) => text.includes(stop))) break;
    }
    const written = await this.tokenizer.decode(ids);
    return stops.reduce((rest, stop) => rest.split(stop)[0], written);
  }

  /** Ids of a text with what the model expects around it, unless the text has it. */
  private async encode(text: string, addSpecialTokens = true): Promise<number[]> {
    const { text: first } = await this.prefixToken();
    return this.tokenizer.encode(text, { addSpecialTokens: addSpecialTokens && !text.startsWith(first) });
  }

  /** White space at the end of a context belongs to the continuation, as tokenizers have it in front of words. */
  private async encodePair(context: string, continuation: string): Promise<[number[], number[]]> {
    const before = stripEndSpace(context);
    const whole = await this.encode(context + continuation);
    const head = await this.encode(before);
    return [whole.slice(0, head.length), whole.slice(head.length)];
  }

  private async alonePair(continuation: string): Promise<[number[], number[]]> {
    const { id } = await this.prefixToken();
    const ids = await this.tokenizer.encode(continuation, { addSpecialTokens: false });
    return ids[0] === id ? [ids.slice(0, 1), ids.slice(1)] : [[id], ids];
  }

  private async scoreEnd(ids: readonly number[], count: number, signal?: AbortSignal): Promise<Likelihood> {
    const scored = await this.generator.score(ids.slice(-(this.maxLength + 1)), { signal });
    const end = scored.slice(-count);
    return {
      logprob: end.reduce((sum, { logprob }) => sum + logprob, 0),
      isGreedy: end.every(({ rank }) => rank === 1),
    };
  }

  /** What stands in front of a text that has nothing before it. */
  private prefixToken(): Promise<{ id: number; text: string }> {
    this.prefix ??= (async () => {
      const { special, endOfTextId } = this.tokenizer;
      const id = (special.bos === undefined ? null : this.tokenizer.tokenToId(special.bos)) ?? endOfTextId;
      if (id === null)
        throw new DataError({
          where: "tokenizer",
          expected: "a token for the beginning or the end of a text",
          received: "neither",
          fix: "name one in tokenizer_config.json: a text without a context has nothing to stand behind",
        });
      return { id, text: await this.tokenizer.decode([id], { skipSpecialTokens: false }) };
    })();
    return this.prefix;
  }
}
