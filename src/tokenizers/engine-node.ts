import { OptionError, RuntimeError } from "../ir/index.ts";
import type { Cut, Flat, TokenizerEngine } from "./engine.ts";
import { javascriptEngine } from "./engine-javascript.ts";

type Native = typeof import("tokenizers");
type NativeTokenizer = InstanceType<Native["Tokenizer"]>;
type NativeEncoding = Awaited<ReturnType<NativeTokenizer["encode"]>>;

let loading: Promise<Native | undefined> | undefined;
/** The native library, or undefined where it is not installed or has no build for this machine. */
function native(): Promise<Native | undefined> {
  loading ??= import("tokenizers").then(
    (module) => (module as unknown as { default: Native }).default,
    () => undefined,
  );
  return loading;
}

/** The native engine; the JavaScript one where there is none. @throws RuntimeError when the file is not understood */
export async function openEngine(path: string, json: object): Promise<TokenizerEngine> {
  const library = await native();
  if (!library) return javascriptEngine(path, json);
  try {
    const open = (content: object) => library.Tokenizer.fromString(JSON.stringify(content));
    const trims = JSON.stringify((json as { post_processor?: unknown }).post_processor ?? null).includes('"trim_offsets":true');
    return new NativeEngine(open(json), trims ? () => open({ ...json, post_processor: null }) : undefined);
  } catch (cause) {
    throw new RuntimeError({ where: path, expected: "a tokenizer.json", received: (cause as Error).message, fix: "fetch the file again", cause });
  }
}

class NativeEngine implements TokenizerEngine {
  private readonly tokenizer: NativeTokenizer;
  private readonly openPlain: (() => NativeTokenizer) | undefined;
  private plain: NativeTokenizer | undefined;

  /** @param openPlain opens the same without its post-processor, where applying that twice would trim offsets twice */
  constructor(tokenizer: NativeTokenizer, openPlain?: () => NativeTokenizer) {
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

  async encode(text: string, pair: string | undefined, addSpecialTokens: boolean, cut: Cut | undefined): Promise<Flat[]> {
    const whole = await this.tokenizer.encode(text, pair ?? null, { addSpecialTokens });
    if (!cut || whole.getLength() <= cut.maxLength) return [flat(whole)];
    // the library's own truncation loses parts of what does not fit: each text is cut here, and the special tokens come after
    this.plain ??= this.openPlain?.() ?? this.tokenizer;
    const bare = { addSpecialTokens: false };
    const first = await this.plain.encode(text, null, bare);
    const second = pair === undefined ? undefined : await this.plain.encode(pair, null, bare);
    const added = addSpecialTokens ? await this.addedTokens(second !== undefined) : 0;
    const kept = keptLengths(first.getLength(), second?.getLength(), added, cut);
    const firsts = parts(first, kept.first, cut);
    const seconds = second && parts(second, kept.second as number, cut);
    const join = (a: NativeEncoding, b?: NativeEncoding) => flat(this.tokenizer.postProcess(a, b ?? null, addSpecialTokens));
    if (!seconds) return firsts.map((part) => join(part));
    // as the reference: the first parts together, then every further part of one text with the parts of the other
    const [a, ...moreA] = firsts;
    const [b, ...moreB] = seconds;
    const result = [join(a, b)];
    for (const part of moreA) result.push(join(part, b), ...moreB.map((other) => join(part, other)));
    for (const part of moreB) result.push(join(a, part));
    return result;
  }

  /** Special tokens that the model adds to one text or to two. */
  private async addedTokens(isPair: boolean): Promise<number> {
    return (await this.tokenizer.encode("", isPair ? "" : null, { addSpecialTokens: true })).getLength();
  }

  joinTokens(tokens: readonly string[]): string {
    return this.tokenizer.getDecoder()?.decode([...tokens]) ?? tokens.join(" ");
  }

  async decode(ids: readonly number[], skipSpecialTokens: boolean): Promise<string> {
    return this.tokenizer.decode([...ids], skipSpecialTokens);
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

/** How many tokens of each text fit. @throws OptionError when even the special tokens do not */
function keptLengths(first: number, second: number | undefined, added: number, { maxLength, truncation }: Cut): { first: number; second?: number } {
  const room = maxLength - added;
  const total = first + (second ?? 0);
  if (total <= room) return { first, second };
  const fail = (expected: string) =>
    new OptionError({ where: "encode", expected, received: `maxLength ${maxLength}`, fix: 'choose a larger maxLength, or truncation "longest_first"' });
  if (room < 0) throw fail(`room for the ${added} special tokens`);
  if (second === undefined || truncation === "only_first") {
    if (second !== undefined && second > room) throw fail("room for the second text");
    return { first: room - (second ?? 0), second };
  }
  if (truncation === "only_second") {
    if (first > room) throw fail("room for the first text");
    return { first, second: room - first };
  }
  return longestFirst(first, second, room);
}

/** Shares the room as the reference does: the shorter text stays whole if it takes less than half. */
function longestFirst(first: number, second: number, room: number): { first: number; second: number } {
  const isSwapped = first > second;
  let [short, long] = isSwapped ? [second, first] : [first, second];
  if (short > room) long = short;
  else long = Math.max(short, room - short);
  if (short + long > room) {
    short = Math.floor(room / 2);
    long = short + (room % 2);
  }
  return isSwapped ? { first: long, second: short } : { first: short, second: long };
}

/** An encoding cut to a length, and the parts of it that were cut off. */
function parts(encoding: NativeEncoding, length: number, { stride, truncationSide }: Cut): NativeEncoding[] {
  if (encoding.getLength() <= length) return [encoding];
  if (stride >= length && length > 0) {
    const expected = `a stride below the ${length} tokens of the text that fit`;
    throw new OptionError({ where: "encode", expected, received: `${stride}`, fix: "choose a smaller stride" });
  }
  encoding.truncate(length, length === 0 ? 0 : stride, truncationSide);
  return [encoding, ...encoding.getOverflowing()];
}
