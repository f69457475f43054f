/**
 * The files of older repositories, vocab.txt or vocab.json with merges.txt, as tokenizer.json, as transformers converts
 * them.
 */
import { DataError, nearest } from "../../base/index.ts";
import {
  addedToken,
  bpeModel,
  byteLevel,
  byteLevelDecoder,
  frameProcessor,
  type Json,
  tokenizerJson,
} from "../json-parts.ts";

const wrong = (where: string, expected: string, received: string, fix = "use a repository that has a tokenizer.json") =>
  new DataError({ where, expected, received, fix });

/** By tokenizer_config.json, without "Fast". @throws DataError naming the nearest class */
function requireClass(
  path: string,
  { tokenizer_class: className }: Json,
  known: readonly string[],
): string | undefined {
  const name = typeof className === "string" ? className.replace(/Fast$/, "") : undefined;
  if (name === undefined || known.includes(name)) return name;
  const near = nearest(name, known);
  throw wrong(
    `${path}, tokenizer_class`,
    `one of ${known.join(", ")} for this file`,
    name,
    near ? `did you mean "${near}"?` : undefined,
  );
}

const textOf = (value: unknown, fallback: string): string =>
  typeof value === "string" ? value : ((value as { content?: string } | undefined)?.content ?? fallback);

const bertClasses = [
  "BertTokenizer",
  "DistilBertTokenizer",
  "ElectraTokenizer",
  "MobileBertTokenizer",
  "RetriBertTokenizer",
];
const bertSpecial = { unk: "[UNK]", sep: "[SEP]", pad: "[PAD]", cls: "[CLS]", mask: "[MASK]" };

/** BERT's vocab.txt: a piece in each line, its number that of the line. @param config tokenizer_config.json */
export function wordPieceJson(path: string, text: string, config: Json = {}): Json {
  requireClass(path, config, bertClasses);
  const pieces = text
    .replace(/\n$/, "")
    .split("\n")
    .map((line) => line.replace(/\r$/, ""));
  const vocab = new Map(pieces.map((piece, id) => [piece, id]));
  const special = Object.fromEntries(
    Object.entries(bertSpecial).map(([name, usual]) => [name, textOf(config[`${name}_token`], usual)]),
  );
  const idOf = (piece: string): number => {
    const id = vocab.get(piece);
    if (id === undefined)
      throw wrong(
        path,
        `a line ${piece}`,
        `${pieces.length} lines without`,
        "check that the file is a BERT vocabulary",
      );
    return id;
  };
  const names = ["unk", "sep", "pad", "cls", "mask"].filter((name) => name === "unk" || vocab.has(special[name]));
  return tokenizerJson({
    added_tokens: names.map((name) => addedToken(idOf(special[name]), special[name])).sort((a, b) => a.id - b.id),
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: config.tokenize_chinese_chars ?? true,
      strip_accents: config.strip_accents ?? null,
      lowercase: config.do_lower_case ?? true,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: {
      type: "BertProcessing",
      sep: [special.sep, idOf(special.sep)],
      cls: [special.cls, idOf(special.cls)],
    },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: special.unk,
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(vocab),
    },
  });
}

const bpeClasses = ["GPT2Tokenizer", "RobertaTokenizer", "BartTokenizer", "LongformerTokenizer", "LEDTokenizer"];

/**
 * GPT-2's vocab.json and merges.txt, and those of RoBERTa and BART, which put tokens around a text. @throws DataError
 * for merges that are no pairs
 */
export function bytePairJson(path: string, vocab: Json, merges: string, config: Json = {}): Json {
  const name = requireClass(path, config, bpeClasses);
  const isPlain = name === undefined || name === "GPT2Tokenizer";
  const prefix = config.add_prefix_space === true;
  const pairs = merges
    .split(/\r?\n/)
    .filter((line, i) => line !== "" && !(i === 0 && line.startsWith("#version")))
    .map((line) => {
      const pair = line.split(" ");
      if (pair.length !== 2)
        throw wrong(path, "merges of two parts", JSON.stringify(line.slice(0, 60)), "fetch the file again");
      return pair;
    });
  const usual = isPlain
    ? { bos: "<|endoftext|>", eos: "<|endoftext|>" }
    : { bos: "<s>", pad: "<pad>", eos: "</s>", unk: "<unk>", mask: "<mask>" };
  const special = Object.entries(usual).map(([role, token]) => [role, textOf(config[`${role}_token`], token)] as const);
  const named = new Map(special.map(([role, token]) => [token, role])); // a token of two roles is one token
  const added = [...named].flatMap(([token, role]) => {
    const id = vocab[token];
    return typeof id === "number" ? [{ ...addedToken(id, token), lstrip: role === "mask" }] : [];
  });
  const of = (role: string): [string, number] => {
    const [, token = ""] = special.find(([known]) => known === role) ?? [];
    const id = vocab[token];
    if (typeof id !== "number")
      throw wrong(path, `a token ${token}`, "none", "check that vocab.json belongs to this model");
    return [token, id];
  };
  return tokenizerJson({
    added_tokens: added.sort((a, b) => a.id - b.id),
    pre_tokenizer: byteLevel({ add_prefix_space: prefix }),
    post_processor: isPlain
      ? plainFrame(config, of)
      : { type: "RobertaProcessing", sep: of("eos"), cls: of("bos"), trim_offsets: true, add_prefix_space: prefix },
    decoder: byteLevelDecoder,
    model: bpeModel({ continuing_subword_prefix: "", end_of_word_suffix: "", vocab, merges: pairs }),
  });
}

/** GPT-2 has tokens around a text only where tokenizer_config.json asks for them. */
function plainFrame(
  { add_bos_token, add_eos_token, add_prefix_space }: Json,
  of: (role: string) => [string, number],
): Json {
  const before = add_bos_token === true ? [of("bos")] : [];
  const after = add_eos_token === true ? [of("eos")] : [];
  if (before.length + after.length === 0)
    return byteLevel({ add_prefix_space: add_prefix_space === true, trim_offsets: false });
  const ids = new Map([...before, ...after]);
  const around = (text: "A" | "B") => [...before.map(([token]) => token), text, ...after.map(([token]) => token)];
  return frameProcessor(around("A"), [...around("A"), ...around("B")], (token) => ids.get(token) as number);
}
