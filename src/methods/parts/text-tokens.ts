/** Texts as documents of tokens, in a cache in the run's folder. */
import { join } from "node:path";
import { DataError } from "../../base/index.ts";
import { type TokenDocuments, type TokenRows, TokenSequence, tokeniseRows } from "../../data/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import type { MethodContext } from "../method.ts";
import type { OpenedTexts, Texts } from "./texts.ts";

/** What is put around the tokens of each document. */
export interface AroundDocuments {
  before: readonly number[];
  after: readonly number[];
}

/** Documents of tokens, and how many bytes their texts have. */
export interface MeasuredDocuments extends TokenDocuments {
  readonly tokens: number;
  /** Undefined where nobody asked. */
  readonly bytes?: number;
}

/** What is learned, and what is measured on. */
export interface TokenTexts {
  train: MeasuredDocuments;
  validation?: MeasuredDocuments;
  close(): Promise<void>;
}

/** What texts are made tokens with. */
export interface TokeniseParts {
  tokenizer: Tokenizer;
  around: AroundDocuments;
  /** The least tokens that are kept for validation of few documents. */
  leastTail: number;
  context: MethodContext;
}

/**
 * The tokens of all texts, of which some come more than once in an epoch where weights say so.
 * @throws DataError where there is nothing to learn
 */
export async function tokeniseTexts(texts: OpenedTexts, parts: TokeniseParts): Promise<TokenTexts> {
  const { around, tokenizer, context } = parts;
  const opened: TokenRows[] = [];
  const tokensOf = async (set: Texts): Promise<WeightedTokens> => {
    const rows = await tokenise(set, tokenizer, context);
    opened.push(rows);
    return { documents: documentsOf(rows, set.pieces, around), weight: set.weight };
  };
  const close = async () => {
    for (const rows of opened) await rows.close();
  };
  try {
    const train: WeightedTokens[] = [];
    for (const set of texts.train) train.push(await tokensOf(set));
    const measured: WeightedTokens[] = [];
    for (const set of texts.validation) measured.push(await tokensOf(set));
    if (texts.tailShare !== undefined) return { ...(await cutTail(joined(train), texts.tailShare, parts)), close };
    const bytes = await bytesOf(texts.validation);
    const validation = joined(measured.map(({ documents }) => ({ documents })));
    return {
      train: requireTokens(joined(train)),
      ...(validation.tokens > 0 && { validation: { ...validation, bytes } }),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function tokenise(
  { rows, textOf, name }: Texts,
  tokenizer: Tokenizer,
  { folder, signal, onProgress }: MethodContext,
): Promise<TokenRows> {
  const { count } = rows;
  return tokeniseRows(rows, {
    folder: join(folder, "tokens"),
    tokenizer,
    textOf: textOf as (row: unknown) => string,
    name,
    signal,
    onProgress: (done) => onProgress?.("encoding texts", done / count),
  });
}

/** Bytes of the texts in UTF-8. */
async function bytesOf(sets: readonly Texts[]): Promise<number> {
  let bytes = 0;
  for (const { rows, textOf } of sets)
    for await (const row of rows) bytes += Buffer.byteLength(textOf(row as never), "utf8");
  return bytes;
}

/** Rows of tokens as documents: pieces put together, and tokens around each document that has any. */
function documentsOf(rows: TokenRows, pieces: Uint32Array | undefined, around: AroundDocuments): TokenDocuments {
  const { before, after } = around;
  const count = pieces?.length ?? rows.count;
  const firsts = new Uint32Array(count);
  const lengths = new Uint32Array(count);
  for (let document = 0, row = 0; document < count; document++) {
    firsts[document] = row;
    for (let piece = pieces?.[document] ?? 1; piece > 0; piece--) lengths[document] += rows.lengths[row++];
    if (lengths[document] > 0) lengths[document] += before.length + after.length;
  }
  return {
    lengths,
    async ids(document, start, length) {
      const inside = lengths[document] - before.length - after.length;
      const ids = new Int32Array(length);
      const [from, to] = [Math.max(start, before.length), Math.min(start + length, before.length + inside)];
      // rows follow one another in their file, so that pieces of a document are read as one
      if (to > from) ids.set(await rows.ids(firsts[document], from - before.length, to - from), from - start);
      for (let at = start; at < Math.min(start + length, before.length); at++) ids[at - start] = before[at];
      for (let at = Math.max(start, before.length + inside); at < start + length; at++)
        ids[at - start] = after[at - before.length - inside];
      return ids;
    },
  };
}

interface WeightedTokens {
  documents: TokenDocuments;
  weight?: number;
}

const total = ({ lengths }: TokenDocuments) => {
  let tokens = 0;
  for (let i = 0; i < lengths.length; i++) tokens += lengths[i];
  return tokens;
};

/**
 * Documents of several sets as one list. With weights each set has its share of the tokens: all of its documents come
 * once, in the set that lasts longest, and more often in the others.
 */
function joined(sets: readonly WeightedTokens[]): MeasuredDocuments {
  const isWeighted = sets.some(({ weight }) => weight !== undefined);
  const sizes = sets.map(({ documents }) => total(documents));
  const epoch = Math.max(...sets.map(({ weight = 1 }, i) => sizes[i] / weight));
  const [places, lengths]: [number[], number[]] = [[], []];
  let tokens = 0;
  const chosen: number[] = [];
  sets.forEach(({ documents, weight = 1 }, set) => {
    if (sizes[set] === 0) return;
    const wanted = isWeighted ? Math.round(weight * epoch) : sizes[set];
    const { lengths: each } = documents;
    for (let taken = 0, i = 0; taken < wanted; i = (i + 1) % each.length) {
      if (each[i] === 0) continue;
      chosen.push(set);
      places.push(i);
      lengths.push(each[i]);
      taken += each[i];
      tokens += each[i];
    }
  });
  return {
    tokens,
    lengths: Uint32Array.from(lengths),
    ids: (document, start, length) => sets[chosen[document]].documents.ids(places[document], start, length),
  };
}

const requireTokens = (documents: MeasuredDocuments): MeasuredDocuments => {
  if (documents.tokens > 0) return documents;
  throw new DataError({
    where: "data, train",
    expected: "texts with something in them",
    received: "empty ones",
    fix: "name other files, or the column of the text: columns: { text: body }",
  });
};

/** Tokens whose bytes are counted at a time. */
const DECODED_TOKENS = 1 << 15;

/** The end of all tokens is kept for validation: of few documents none is left out as a whole. */
async function cutTail(
  documents: MeasuredDocuments,
  share: number,
  { tokenizer, leastTail: least }: TokeniseParts,
): Promise<{ train: MeasuredDocuments; validation?: MeasuredDocuments }> {
  requireTokens(documents);
  const sequence = new TokenSequence(documents);
  if (documents.tokens < 2 * least) return { train: documents };
  const start = documents.tokens - Math.max(least, Math.floor(documents.tokens * share));
  const validation = slicedDocuments(documents, start, documents.tokens);
  let bytes = 0;
  for (let at = start; at < documents.tokens; at += DECODED_TOKENS) {
    const ids = await sequence.read(at, Math.min(DECODED_TOKENS, documents.tokens - at));
    bytes += Buffer.byteLength(await tokenizer.decode([...ids]), "utf8");
  }
  return { train: slicedDocuments(documents, 0, start), validation: { ...validation, bytes } };
}

/** The documents, or parts of them, between two places of all tokens. */
function slicedDocuments(documents: MeasuredDocuments, start: number, end: number): MeasuredDocuments {
  const parts: { document: number; from: number; length: number }[] = [];
  for (let document = 0, at = 0; document < documents.lengths.length; at += documents.lengths[document++]) {
    const from = Math.max(0, start - at);
    const length = Math.min(documents.lengths[document], end - at) - from;
    if (length > 0) parts.push({ document, from, length });
  }
  return {
    tokens: end - start,
    lengths: parts.map(({ length }) => length),
    ids: (i, from, length) => documents.ids(parts[i].document, parts[i].from + from, length),
  };
}
