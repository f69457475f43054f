/** tokenizer_config.json, with the older special_tokens_map.json and added_tokens.json, as transformers reads them. */
import { z } from "zod";
import { DataError } from "../base/index.ts";
import { classNameOf, classOf, type TokenizerClass } from "./classes.ts";
import { type AddedToken, addedToken, addedTokensOf, type Json, vocabularyOf } from "./json-parts.ts";

/** Special tokens by what they are for. */
export interface SpecialTokens {
  bos?: string;
  eos?: string;
  unk?: string;
  sep?: string;
  cls?: string;
  pad?: string;
  mask?: string;
}
const roles = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"] as const;
const roleKeys: readonly string[] = roles.map((role) => `${role}_token`);

/** A token that a file names: its id is that of its text, or a new one. */
export type NamedToken = Omit<AddedToken, "id">;

/** What the files beside a tokenizer.json say of it. */
export interface TokenizerSettings {
  /** transformers' class, without "Fast". */
  readonly className: string | undefined;
  readonly class: TokenizerClass;
  /** Special tokens by their keys: bos_token, and a model's own, such as image_token. */
  readonly named: ReadonlyMap<string, NamedToken>;
  /** Further special tokens. */
  readonly extra: readonly NamedToken[];
  /** Tokens of added_tokens_decoder, in the order of their ids. */
  readonly added: readonly NamedToken[];
  readonly modelMaxLength: number | undefined;
  readonly paddingSide: "left" | "right" | undefined;
  readonly truncationSide: "left" | "right" | undefined;
  readonly givesMask: boolean;
  readonly givesTypeIds: boolean;
  readonly cleansUp: boolean;
  /** Clean-up is asked for, also of byte-pair encoding, whose text it damages. */
  readonly cleansUpBytePairs: boolean;
  readonly splitsSpecialTokens: boolean;
  /** One template, or several by name. */
  readonly chatTemplates: ReadonlyMap<string, string>;
}

const flag = z.boolean().nullish();
const tokenObject = z.looseObject({
  content: z.string(),
  lstrip: flag,
  rstrip: flag,
  single_word: flag,
  normalized: flag,
  special: flag,
});
const token = z.union([z.string(), tokenObject]);
const side = z.enum(["left", "right"]).nullish();
const template = z.object({ name: z.string(), template: z.string() });

/** The keys that are followed. Those of classes, such as do_lower_case, are read where they count. */
const schema = z.looseObject({
  ...Object.fromEntries(roleKeys.map((key) => [key, token.nullish()])),
  additional_special_tokens: z.array(token).nullish(),
  extra_special_tokens: z.union([z.array(token), z.record(z.string(), token)]).nullish(),
  model_specific_special_tokens: z.record(z.string(), token).nullish(),
  added_tokens_decoder: z.record(z.string().regex(/^\d+$/), tokenObject).nullish(),
  model_max_length: z.number().nullish(),
  max_len: z.number().nullish(),
  padding_side: side,
  truncation_side: side,
  model_input_names: z.array(z.string()).nullish(),
  clean_up_tokenization_spaces: flag,
  clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output: flag,
  split_special_tokens: flag,
  chat_template: z.union([z.string(), z.array(template), z.record(z.string(), z.string())]).nullish(),
  tokenizer_class: z.string().nullish(),
  add_prefix_space: flag,
  add_bos_token: flag,
  add_eos_token: flag,
  do_lower_case: flag,
  strip_accents: flag,
  tokenize_chinese_chars: flag,
  trim_offsets: flag,
  keep_accents: flag,
  split_by_punct: flag,
  fast_tokenizer_files: z.array(z.string()).nullish(),
  extra_ids: z.int().min(0).max(100_000).nullish(),
});

/** @throws DataError naming the key whose value cannot be */
export function checkConfig(where: string, config: Json): void {
  const parsed = schema.safeParse(config);
  if (parsed.success) return;
  const [issue] = parsed.error.issues;
  const key = issue.path.map(String).join(".");
  const received =
    JSON.stringify(issue.path.reduce<unknown>((value, part) => (value as Json | undefined)?.[String(part)], config)) ??
    "none";
  const message = issue.message.replace(/^Invalid input: /, "").replace(/^expected /, "");
  throw new DataError({
    where: `${where}, ${key}`,
    expected: message === "Invalid input" ? "a value that this key can have" : message,
    received: received.slice(0, 80),
    fix: "fetch the file again, or correct the key",
  });
}

/** Larger lengths stand for none. */
const NO_LIMIT = 1e9;

/**
 * @param json the tokenizer.json: a class's own names count where it has such tokens
 * @param modelConfig the model's config.json, which may tell the class
 * @throws DataError naming the key whose value cannot be
 */
export function readSettings(where: string, json: Json, config: Json, modelConfig: Json = {}): TokenizerSettings {
  checkConfig(where, config);
  const className = classNameOf(config, modelConfig);
  const known = classOf(className);
  const added = addedTokens(config);
  const limit = config.model_max_length ?? config.max_len;
  const inputs = config.model_input_names as string[] | null | undefined;
  const force = config.clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output === true;
  return {
    className,
    class: known,
    named: namedTokens({ ...classTokens(json, config, known), ...config }, added),
    extra: extraTokens(config),
    added,
    modelMaxLength: typeof limit === "number" && limit < NO_LIMIT ? limit : undefined,
    paddingSide: (config.padding_side as "left" | "right" | null | undefined) ?? known.paddingSide,
    truncationSide: (config.truncation_side as "left" | "right" | null | undefined) ?? undefined,
    // SigLIP was trained without one
    givesMask: inputs ? inputs.includes("attention_mask") : !/^Siglip/.test(className ?? ""),
    givesTypeIds: inputs ? inputs.includes("token_type_ids") : className === undefined || known.givesTypeIds === true,
    cleansUp: config.clean_up_tokenization_spaces === true,
    cleansUpBytePairs: force,
    splitsSpecialTokens: config.split_special_tokens === true,
    chatTemplates: templatesOf(config.chat_template),
  };
}

/** A token as a file has it: its text, or an object with its flags. */
function tokenOf(value: unknown, isSpecial: boolean): NamedToken {
  const { content, ...flags } = (typeof value === "string" ? { content: value } : value) as Partial<AddedToken> & {
    content: string;
  };
  const special = flags.special ?? isSpecial;
  const { single_word = false, lstrip = false, rstrip = false, normalized = !special } = flags;
  return { content, single_word, lstrip, rstrip, normalized, special };
}

function addedTokens({ added_tokens_decoder: decoder }: Json): NamedToken[] {
  const entries = Object.entries((decoder ?? {}) as Record<string, Json>).sort(([a], [b]) => Number(a) - Number(b));
  return entries.map(([, value]) => tokenOf(value, false));
}

/** The special tokens that a class names by itself, of those that the tokenizer has. */
function classTokens(json: Json, config: Json, { tokens }: TokenizerClass): Json {
  const missing = Object.entries(tokens).filter(([key]) => config[key] === undefined);
  if (missing.length === 0) return {};
  const { idOf } = vocabularyOf(json);
  const added = new Set(addedTokensOf(json).map(({ content }) => content));
  return Object.fromEntries(missing.filter(([, token]) => idOf(token) !== undefined || added.has(token)));
}

/** Named tokens have the flags of the added token with their text. */
function namedTokens(config: Json, added: readonly NamedToken[]): Map<string, NamedToken> {
  const known = new Map(added.map((entry) => [entry.content, entry]));
  const { extra_special_tokens: extra, model_specific_special_tokens: modelTokens } = config;
  const isToken = (value: unknown) => typeof value === "string" || (value as Json | null)?.__type === "AddedToken";
  const others = Object.entries(config).filter(
    ([key, value]) => key.endsWith("_token") && !roleKeys.includes(key) && isToken(value),
  );
  const entries: [string, unknown][] = [
    ...roleKeys.map((key): [string, unknown] => [key, config[key]]),
    ...others,
    ...(extra && !Array.isArray(extra) ? Object.entries(extra) : []),
    ...Object.entries((modelTokens ?? {}) as Json),
  ];
  const tokens = new Map<string, NamedToken>();
  for (const [key, value] of entries) {
    if (value === null || value === undefined) continue;
    const entry = tokenOf(value, true);
    tokens.set(key, known.get(entry.content) ?? entry);
  }
  return tokens;
}

function extraTokens({ extra_special_tokens: extra, additional_special_tokens: additional }: Json): NamedToken[] {
  const list = extra ?? additional;
  return Array.isArray(list) ? list.map((value) => tokenOf(value, true)) : [];
}

function templatesOf(stored: unknown): Map<string, string> {
  if (typeof stored === "string") return new Map([["default", stored]]);
  if (Array.isArray(stored))
    return new Map(stored.map((entry: z.infer<typeof template>) => [entry.name, entry.template]));
  return new Map(Object.entries((stored ?? {}) as Record<string, string>));
}

/** Named tokens by their role. */
export function specialOf(named: ReadonlyMap<string, NamedToken>): SpecialTokens {
  return Object.fromEntries(
    roles.flatMap((role) => {
      const entry = named.get(`${role}_token`);
      return entry ? [[role, entry.content]] : [];
    }),
  );
}

/**
 * What a file asks for beside texts and ids, in sentences: languages of translations, whose tokens only some frames
 * have.
 */
export function notFollowed(config: Json, { post_processor: frame }: Json): string[] {
  const framed = JSON.stringify(frame ?? null);
  const missing = ["src_lang", "tgt_lang"].filter(
    (key) => typeof config[key] === "string" && !framed.includes(JSON.stringify(config[key])),
  );
  return missing.map(
    (key) => `${key} "${config[key]}" is not followed: texts get the tokens around them that tokenizer.json has`,
  );
}

/**
 * special_tokens_map.json and added_tokens.json, which count where tokenizer_config.json has no added_tokens_decoder.
 */
export function withOlderFiles(config: Json, map: Json, added: Json): Json {
  if (config.added_tokens_decoder) return config;
  const merged: Json = { ...config };
  for (const [key, value] of Object.entries(map)) {
    merged[key] = isObject(value) && "content" in value ? { ...value, __type: "AddedToken", special: true } : value;
  }
  if (Object.keys(added).length === 0) return merged;
  // as in the reference, additional_special_tokens of special_tokens_map.json come too late for this
  const further = extraTokens({
    extra_special_tokens: merged.extra_special_tokens ?? config.additional_special_tokens,
  });
  const special = new Set([...namedTokens(merged, []).values(), ...further].map(({ content }) => content));
  const tokens = Object.entries(added).map(([content, id]) => {
    const isSpecial = special.has(content);
    return [String(id), { ...addedToken(Number(id), content), normalized: !isSpecial, special: isSpecial }];
  });
  return { ...merged, added_tokens_decoder: Object.fromEntries(tokens) };
}

const isObject = (value: unknown): value is Json =>
  value !== null && typeof value === "object" && !Array.isArray(value);
