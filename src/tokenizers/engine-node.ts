import { DataError, RuntimeError } from "../base/index.ts";
import type { Cut, Flat, TokenizerEngine } from "./engine.ts";
import type { Json } from "./json-parts.ts";
import { type PackedJson, printJson } from "./packed-json.ts";
import { checkStride, combined, keptLengths } from "./truncation.ts";

export type NativeTokenizers = typeof import("tokenizers");
type NativeTokenizer = InstanceType<NativeTokenizers["Tokenizer"]>;
type NativeEncoding = Awaited<ReturnType<NativeTokenizer["encode"]>>;

let loading: Promise<NativeTokenizers | undefined> | undefined;
/** The native library, or undefined where it is not installed or has no build for this machine. */
export function nativeTokenizers(): Promise<NativeTokenizers | undefined> {
  loading ??= import("tokenizers").then(
    (module) => (module as unknown as { default: NativeTokenizers }).default,
    () => undefined,
  );
  return loading;
}

/**
 * The native engine; the JavaScript one where there is none.
 * @param json `packed` as objects, where there are some: saves reading it
 * @throws RuntimeError when the file is not understood
 */
export async function openEngine(path: string, packed: PackedJson, json?: Json): Promise<TokenizerEngine> {
  const library = await nativeTokenizers();
  if (!library) return (await import("./engine-javascript.ts")).openEngine(path, packed, json);
  try {
    const { parts } = packed;
    const open = (of: PackedJson) => library.Tokenizer.fromString(printJson(of));
    const openPlain = () => open({ ...packed, parts: { ...parts, post_processor: null } });
    const trims = JSON.stringify(parts.post_processor ?? null).includes('"trim_offsets":true');
    return new NativeEngine(path, open(packed), trims ? openPlain : undefined);
  } catch (cause) {
    throw new RuntimeError({
      where: path,
      expected: "a tokenizer.json",
      received: (cause as Error).message,
      fix: "fetch the file again",
      cause,
    });
  }
}

class NativeEngine implements TokenizerEngine {
  private readonly path: string;
  private readonly tokenizer: NativeTokenizer;
  private readonly openPlain: (() => NativeTokenizer) | undefined;
  private plain: NativeTokenizer | undefined;

  /** @param openPlain opens the same without its post-processor, where applying that twice would trim offsets twice */
  constructor(path: string, tokenizer: NativeTokenizer, openPlain?: () => NativeTokenizer) {
    this.path = path;
    this.tokenizer = tokenizer;
    this.openPlain = openPlain;
  }

  get vocabSize() {
    return this.tokenizer.getVocabSize(true);
  }

  tokenToId(token: string): number | null {
    return this.tokenizer.tokenToId(token);
  }

  idToToken(id: number): string | null {
    return this.tokenizer.idToToken(id);
  }

  async encode(
    text: string,
    pair: string | undefined,
    addSpecialTokens: boolean,
    cut: Cut | undefined,
  ): Promise<Flat[]> {
    const whole = await this.run(() => this.tokenizer.encode(text, pair ?? null, { addSpecialTokens }));
    if (!cut || whole.getLength() <= cut.maxLength) return [flat(whole)];
    // the library's own truncation loses parts of what does not fit: each text is cut here, and the special tokens come
    // after
    this.plain ??= this.openPlain?.() ?? this.tokenizer;
    const bare = { addSpecialTokens: false };
    const { plain } = this;
    const first = await this.run(() => plain.encode(text, null, bare));
    const second = pair === undefined ? undefined : await this.run(() => plain.encode(pair, null, bare));
    const added = addSpecialTokens ? await this.addedTokens(second !== undefined) : 0;
    const kept = keptLengths(first.getLength(), second?.getLength(), added, cut);
    const firsts = parts(first, kept.first, cut);
    const seconds = second && parts(second, kept.second as number, cut);
    return combined(firsts, seconds).map(([a, b]) => flat(this.tokenizer.postProcess(a, b ?? null, addSpecialTokens)));
  }

  /** Special tokens that the model adds to one text or to two. */
  private async addedTokens(isPair: boolean): Promise<number> {
    return (
      await this.run(() => this.tokenizer.encode("", isPair ? "" : null, { addSpecialTokens: true }))
    ).getLength();
  }

  /** @throws DataError for what the library finds wrong in the file only now */
  private async run<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      const received = (cause as Error).message;
      throw new DataError({
        where: this.path,
        expected: "a tokenizer.json that every text can be encoded by",
        received,
        fix: "fetch the file again",
        cause,
      });
    }
  }

  joinTokens(tokens: readonly string[]): string {
    return this.tokenizer.getDecoder()?.decode([...tokens]) ?? tokens.join(" ");
  }

  async decode(ids: readonly number[], skipSpecialTokens: boolean): Promise<string> {
    return this.run(() => this.tokenizer.decode([...ids], skipSpecialTokens));
  }
}

function flat(encoding: NativeEncoding): Flat {
  return {
    ids: encoding.getIds(),
    typeIds: encoding.getTypeIds(),
    attentionMask: encoding.getAttentionMask(),
    specialTokensMask: encoding.getSpecialTokensMask(),
    tokens: encoding.getTokens(),
    offsets: encoding.getOffsets() as [number, number][],
    wordIds: encoding.getWordIds().map((id) => id ?? null),
    sequenceIds: encoding.getSequenceIds().map((id) => id ?? null),
  };
}

/** An encoding cut to a length, and the parts of it that were cut off. */
function parts(encoding: NativeEncoding, length: number, { stride, truncationSide }: Cut): NativeEncoding[] {
  if (encoding.getLength() <= length) return [encoding];
  checkStride(length, stride);
  encoding.truncate(length, length === 0 ? 0 : stride, truncationSide);
  return [encoding, ...encoding.getOverflowing()];
}
