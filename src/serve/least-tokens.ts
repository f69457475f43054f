/**
 * How few tokens a text can have, told without encoding it: where each byte of a text stays, as in byte-pair encoding
 * of bytes, no token stands for more bytes than the longest of the vocabulary has.
 */
type Json = Readonly<Record<string, unknown>>;

/** NFC makes texts up to three times shorter: Hangul letters of nine bytes become a syllable of three. */
const NFC_SHRINKS = 3;
/**
 * White space, which added tokens and normalizers may swallow in any length, and the marks of plain text, which are no
 * part of it.
 */
const uncounted = /[\s\u0085\u{10fff0}\u{10fff1}]+/gu;

/** A bound for the texts of a tokenizer.json, or undefined where a token may stand for a text of any length. */
export function leastTokensOf(tokenizer: Json): ((text: string) => number) | undefined {
  const {
    model,
    pre_tokenizer: cut,
    normalizer,
    added_tokens: added,
  } = tokenizer as { model: Json; pre_tokenizer: unknown; normalizer: unknown; added_tokens?: Json[] };
  const vocab = Object.keys((model.vocab ?? {}) as object);
  const normalizers = steps(normalizer, "normalizers");
  const cuts = steps(cut, "pretokenizers");
  const keepsAll =
    model.type === "BPE" && hasBytes(model, vocab, cuts) && normalizers.every(keepsText) && cuts.every(keepsPieces);
  if (!keepsAll) return undefined;
  const lengths = [...vocab, ...(added ?? []).map(({ content }) => String(content))].map((token) =>
    Buffer.byteLength(token),
  );
  const longest = lengths.reduce((most, length) => Math.max(most, length), 1);
  const shrinks = normalizers.some(({ type }) => type === "NFC") ? NFC_SHRINKS : 1;
  return (text) => Math.ceil(Buffer.byteLength(text.replace(uncounted, "")) / (shrinks * longest));
}

/** The steps of a normalizer or pre-tokenizer, those within sequences included. */
function steps(part: unknown, list: string): Json[] {
  if (part === null || part === undefined) return [];
  const step = part as Json;
  return step.type === "Sequence" ? ((step[list] ?? []) as unknown[]).flatMap((child) => steps(child, list)) : [step];
}

/** Whether there is a token for each byte, so that no text is unknown. */
function hasBytes(model: Json, vocab: readonly string[], cuts: readonly Json[]): boolean {
  if (cuts.some(({ type }) => type === "ByteLevel")) return vocab.filter((token) => token.length === 1).length >= 256;
  return model.byte_fallback === true && vocab.filter((token) => /^<0x[0-9A-F]{2}>$/.test(token)).length === 256;
}

function keepsText({ type, pattern, content }: Json): boolean {
  if (type !== "Replace") return type === "NFC" || type === "Prepend" || type === "Strip";
  const { String: text } = (pattern ?? {}) as { String?: string };
  return text !== undefined && Buffer.byteLength(text) <= Buffer.byteLength(String(content));
}

function keepsPieces({ type, behavior }: Json): boolean {
  return (
    type === "ByteLevel" || type === "Digits" || type === "Metaspace" || (type === "Split" && behavior !== "Removed")
  );
}
