/** A tokenizer.json with what tokenizer_config.json adds to it, as transformers builds its fast tokenizers. */
import {
  type AddedToken,
  addedTokensOf,
  frameProcessor,
  type Json,
  type Vocabulary,
  vocabularyOf,
} from "./json-parts.ts";
import type { NamedToken, TokenizerSettings } from "./settings.ts";

/** The tokenizer with the tokens of its settings, and with what its class sets anew. */
export function withSettings(json: Json, config: Json, settings: TokenizerSettings): Json {
  const added = withTokens(json, settings);
  if (settings.class.rebuilds === "bert-normalizer") return asBert(added, config, settings);
  if (settings.class.rebuilds === "byte-level-prefix") return withPrefixSpace(added, config);
  return added;
}

const isSame = (a: NamedToken, b: NamedToken): boolean =>
  (["content", "single_word", "lstrip", "rstrip", "normalized", "special"] as const).every(
    (key) => (a[key] ?? false) === (b[key] ?? false),
  );

/** Adds the tokens that settings name and the file has not; those of added_tokens_decoder replace flags too. */
function withTokens(json: Json, settings: TokenizerSettings): Json {
  const present = addedTokensOf(json);
  const byText = new Map(present.map((token) => [token.content, token as NamedToken]));
  const names = new Set([...settings.named.values()].map(({ content }) => content));
  const wanted: NamedToken[] = settings.added.filter(
    (token) => !byText.has(token.content) || !isSame(byText.get(token.content) as NamedToken, token),
  );
  const texts = new Set([...byText.keys(), ...wanted.map(({ content }) => content)]);
  for (const token of [...settings.named.values(), ...settings.extra]) {
    if (texts.has(token.content)) continue;
    texts.add(token.content);
    wanted.push(token);
  }
  if (wanted.length === 0) return json;
  for (const token of wanted)
    byText.set(token.content, { ...token, special: token.special || names.has(token.content) });
  return { ...json, added_tokens: numbered([...byText.values()], vocabularyOf(json)) };
}

/** Tokens with the ids that they get: those of the vocabulary, or new ones behind it. */
function numbered(tokens: readonly NamedToken[], vocabulary: Vocabulary): AddedToken[] {
  let next = vocabulary.size;
  const ids = new Map<string, number>();
  for (const { content } of tokens) {
    const id = vocabulary.idOf(content) ?? next;
    if (content === "" || ids.has(content)) continue;
    ids.set(content, id);
    if (id >= next) next = id + 1;
  }
  return tokens.flatMap((token) => {
    const id = ids.get(token.content);
    return id === undefined ? [] : [{ ...token, id }];
  });
}

/**
 * BERT's classes take the case, accents and Chinese characters from tokenizer_config.json, the frame from the named
 * tokens, and clean up what they decode.
 */
function asBert(json: Json, config: Json, { named }: TokenizerSettings): Json {
  const normalizer = json.normalizer as Json | null | undefined;
  if (normalizer?.type !== "BertNormalizer") return json;
  const { idOf } = vocabularyOf(json);
  const [cls, sep] = [named.get("cls_token")?.content ?? "[CLS]", named.get("sep_token")?.content ?? "[SEP]"];
  const isFramed = idOf(cls) !== undefined && idOf(sep) !== undefined;
  return {
    ...json,
    normalizer: {
      ...normalizer,
      lowercase: config.do_lower_case ?? true,
      strip_accents: config.strip_accents ?? null,
      handle_chinese_chars: config.tokenize_chinese_chars ?? true,
    },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      ...(json.model as Json),
      unk_token: named.get("unk_token")?.content ?? "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
    },
    ...(isFramed && { post_processor: bertFrame(cls, sep, (token) => idOf(token) as number) }),
  };
}

/** [CLS] text [SEP] pair [SEP], the pair and its end of type 1. */
function bertFrame(cls: string, sep: string, idOf: (token: string) => number): Json {
  const frame = frameProcessor([cls, "A", sep], [cls, "A", sep, "B", sep], idOf);
  const pair = frame.pair as Record<string, { id: string }>[];
  const isSecond = (i: number) => i >= pair.length - 2;
  return {
    ...frame,
    pair: pair.map((part, i) =>
      Object.fromEntries(
        Object.entries(part).map(([kind, value]) => [kind, { ...value, type_id: isSecond(i) ? 1 : 0 }]),
      ),
    ),
  };
}

/** GPT-2's and RoBERTa's classes take the space before a text from tokenizer_config.json. */
function withPrefixSpace(json: Json, config: Json): Json {
  const prefix = config.add_prefix_space ?? false;
  const changed = (part: unknown): unknown => {
    if (part === null || typeof part !== "object") return part;
    const { type, pretokenizers } = part as Json;
    if (type === "ByteLevel") return { ...part, add_prefix_space: prefix };
    return Array.isArray(pretokenizers) ? { ...part, pretokenizers: pretokenizers.map(changed) } : part;
  };
  const frame = json.post_processor as Json | null | undefined;
  return {
    ...json,
    pre_tokenizer: changed(json.pre_tokenizer),
    ...(frame?.type === "RobertaProcessing" && {
      post_processor: { ...frame, add_prefix_space: prefix, trim_offsets: config.trim_offsets ?? true },
    }),
  };
}
