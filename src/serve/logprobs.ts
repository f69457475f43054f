import type { ScoredToken, TokenLogprob, TokenLogprobs } from "../generate/index.ts";
import { type TokenBytes, type Tokenizer, tokenBytesReader } from "../tokenizers/index.ts";

const utf8 = new TextEncoder();
const text = new TextDecoder();

/** How probable tokens were, as OpenAI's endpoints show it. */
export class LogprobShapes {
  private readonly tokenizer: Tokenizer;
  private reader: TokenBytes | undefined;
  /** Tokens that were shown, by their ids: some ask for all of them at each place of a prompt. */
  private readonly texts = new Map<number, string>();
  private readonly specials: ReadonlyMap<number, string>;

  constructor(tokenizer: Tokenizer) {
    this.tokenizer = tokenizer;
    const ids = tokenizer.specialTexts.map((special) => [tokenizer.tokenToId(special), special] as const);
    this.specials = new Map(ids.filter((entry): entry is [number, string] => entry[0] !== null));
  }

  /** The bytes of a token, those of a special one as its name; several tokens may make one character together. */
  private bytesOf(id: number): Uint8Array {
    this.reader ??= this.newReader();
    return this.reader(id) ?? utf8.encode(this.specials.get(id) ?? "");
  }

  private newReader(): TokenBytes {
    try {
      return tokenBytesReader(this.tokenizer);
    } catch {
      return () => undefined; // tokens of some models, such as BERT's, are no bytes of a text
    }
  }

  private textOf(id: number): string {
    const known = this.texts.get(id) ?? text.decode(this.bytesOf(id));
    this.texts.set(id, known);
    return known;
  }

  private shown({ id, logprob }: TokenLogprob) {
    const bytes = this.bytesOf(id);
    return { token: text.decode(bytes), logprob: finite(logprob), bytes: [...bytes] };
  }

  /** The field `logprobs` of a chat's choice. */
  chat(tokens: readonly TokenLogprobs[]): object {
    return { content: this.list(tokens), refusal: null };
  }

  /** A list of tokens, as chats and responses have it. */
  list(tokens: readonly TokenLogprobs[]): object[] {
    return tokens.map(({ top, ...token }) => ({
      ...this.shown(token),
      top_logprobs: top.map((other) => this.shown(other)),
    }));
  }

  /** The likeliest tokens by their texts, and the one that was picked; of several with one text the likeliest. */
  private likeliest({ top, ...token }: TokenLogprobs): Record<string, number | null> {
    const shown = [token, ...top.toReversed()].map((one) => this.shown(one));
    return Object.fromEntries(shown.map(({ token: text, logprob }) => [text, logprob]));
  }

  /**
   * vLLM's field `prompt_logprobs`: of each token of a prompt its own and the likeliest in its place, by their ids;
   * null for the first, which nothing is before.
   */
  prompt(tokens: readonly ScoredToken[]): (object | null)[] {
    return tokens.map(({ top, ...token }) => {
      if (Number.isNaN(token.rank)) return null;
      const ranked = [token, ...top.map((other, i) => ({ ...other, rank: i + 1 }))];
      return Object.fromEntries(
        ranked.map(({ id, logprob, rank }) => [id, { logprob: finite(logprob), rank, decoded_token: this.textOf(id) }]),
      );
    });
  }

  /**
   * The field `logprobs` of a completion's choice. As in vLLM a token that has ended the text is the last.
   * @param text with the prompt in front of it, where it is repeated
   * @param offset of the text in all that is sent
   */
  completion(tokens: readonly TokenLogprobs[], text: string, offset: number): object {
    const shown = tokens.map((token) => this.shown(token));
    const length = shown.reduce((sum, { token }) => sum + token.length, 0);
    let at = offset + Math.max(0, text.length - length);
    return {
      tokens: shown.map(({ token }) => token),
      token_logprobs: shown.map(({ logprob }) => logprob),
      top_logprobs: tokens.map((token) => (Number.isNaN(token.logprob) ? null : this.likeliest(token))),
      text_offset: shown.map(({ token }) => {
        const start = at;
        at += token.length;
        return start;
      }),
    };
  }
}

/** JSON has no infinity; OpenAI's least is this. The first token of a prompt has none: NaN is null there. */
const finite = (logprob: number): number | null => (Number.isNaN(logprob) ? null : Math.max(logprob, -9999));
