import { RequestError } from "./errors.ts";
import type { Around, Service } from "./service.ts";

/** How a model was taught to write what is missing in a text. */
interface InfillFormat {
  /** Tokens in front of what is before the gap, of what is behind it, and of what is to be written. */
  prefix: string;
  suffix: string;
  middle: string;
  /** Whether texts begin with a space of their own, which what is behind the gap must not have. */
  hasLeadingSpace?: boolean;
}

const formats: readonly InfillFormat[] = [
  // Qwen2.5-Coder, CodeGemma
  { prefix: "<|fim_prefix|>", suffix: "<|fim_suffix|>", middle: "<|fim_middle|>" },
  // StarCoder, StarCoder2
  { prefix: "<fim_prefix>", suffix: "<fim_suffix>", middle: "<fim_middle>" },
  // SantaCoder
  { prefix: "<fim-prefix>", suffix: "<fim-suffix>", middle: "<fim-middle>" },
  // DeepSeek-Coder
  { prefix: "<｜fim▁begin｜>", suffix: "<｜fim▁hole｜>", middle: "<｜fim▁end｜>" },
  // CodeLlama
  { prefix: "▁<PRE>", suffix: "▁<SUF>", middle: "▁<MID>", hasLeadingSpace: true },
];
/** Tokens by which these models end a file, or what they write into one. */
const endTexts = [
  "<|endoftext|>",
  "▁<EOT>",
  "<|EOT|>",
  "<|file_separator|>",
  "<|file_sep|>",
  "<|repo_name|>",
  "<|fim_pad|>",
  "<file_sep>",
];
/** A character that is no part of a longer token: what follows it is encoded as in the middle of a text. */
const ANCHOR = "☺";

/** What is around a prompt whose continuation is to lead to a suffix, and the tokens that end it. */
export interface Infill extends Around {
  endTokens: number[];
}

/** @throws RequestError 400 for a model that was not taught it */
export async function infillOf(service: Service, suffix: string, signal: AbortSignal): Promise<Infill> {
  const { tokenizer } = service.model;
  const idOf = (text: string) => tokenizer.tokenToId(text);
  const format = formats.find((each) => [each.prefix, each.suffix, each.middle].every((text) => idOf(text) !== null));
  if (!format) {
    const [{ prefix, suffix: behind, middle }] = formats;
    const message = `Unsupported parameter: 'suffix': this model was not taught to fill in: its tokenizer has no tokens such as ${prefix}, ${behind} and ${middle}. Leave it out.`;
    throw new RequestError({ status: 400, message, param: "suffix", code: "unsupported_parameter" });
  }
  const marks = [format.prefix, format.suffix, format.middle].map((text) => idOf(text) as number);
  const ids = async (text: string, addSpecialTokens = false) => {
    const maxTokens = service.contextLength;
    const encoded = await service.encoder.encode(text, { addSpecialTokens, maxTokens, signal });
    if ("ids" in encoded) return Array.from(encoded.ids);
    return Array<number>(encoded.atLeast).fill(0); // too long by its count alone
  };
  const behind = format.hasLeadingSpace ? await withoutSpace(suffix, ids) : await ids(suffix);
  const ends = [...endTexts.map(idOf), ...marks].filter((id) => id !== null);
  return {
    before: [...(await ids("", true)), marks[0]],
    after: [marks[1], ...behind, marks[2]],
    endTokens: [...new Set(ends)],
  };
}

/** Ids of a text in the middle of another. */
async function withoutSpace(text: string, idsOf: (text: string) => Promise<number[]>): Promise<number[]> {
  const [anchor, both] = [await idsOf(ANCHOR), await idsOf(ANCHOR + text)];
  return anchor.every((id, i) => both[i] === id) ? both.slice(anchor.length) : idsOf(text);
}
