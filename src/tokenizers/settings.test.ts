/** What stands beside a tokenizer.json, followed as transformers does. */
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { DataError } from "../base/index.ts";
import { pathOf } from "../testing/tokenizer-kinds.ts";
import { classOfModel, tokenizerClasses } from "./classes.ts";
import { chatFormat, Tokenizer } from "./index.ts";

interface Answers {
  error?: string;
  ids: number[][];
  plainIds: number[][];
  offsets: [number, number][];
  pair: { ids: number[]; typeIds: number[] | null };
  decoded: string[];
  decodedAll: string[];
  special: Record<string, string>;
  extra: string[];
  maxLength: number | null;
  paddingSide: string;
  truncationSide: string;
  vocabSize: number;
  chat: string | { error: string } | null;
}

const path = fileURLToPath(new URL("../../golden/tokenizers/settings.json.gz", import.meta.url));
const golden = JSON.parse(gunzipSync(await readFile(path)).toString()) as {
  keys: Record<string, string[]>;
  classTokens: Record<string, Record<string, string>>;
  inputNames: Record<string, string[]>;
  paddingSides: Record<string, string>;
  classes: Record<string, string>;
  texts: string[];
  pairTexts: [string, string];
  cases: Record<string, { kind: string; files: Record<string, unknown>; expected: Answers }>;
};

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(root, { recursive: true }));

async function folderOf(name: string): Promise<string> {
  const { kind, files } = golden.cases[name];
  const folder = join(root, name.replace(/\W+/g, "-"));
  await mkdir(folder, { recursive: true });
  await copyFile(pathOf(kind), join(folder, "tokenizer.json"));
  for (const [file, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    const whole =
      file === "tokenizer.json"
        ? { ...JSON.parse(await readFile(join(folder, file), "utf8")), ...(content as object) }
        : content;
    await writeFile(join(folder, file), typeof whole === "string" ? whole : JSON.stringify(whole));
  }
  return folder;
}

/** Every answer of a tokenizer that the golden file has. */
async function answersOf(tokenizer: Tokenizer): Promise<Partial<Answers>> {
  const each = <T>(call: (text: string) => Promise<T>) => Promise.all(golden.texts.map(call));
  const ids = await each((text) => tokenizer.encode(text));
  const pair = await tokenizer.encodeText(golden.pairTexts[0], { pair: golden.pairTexts[1] });
  return {
    ids,
    plainIds: await each((text) => tokenizer.encode(text, { addSpecialTokens: false })),
    offsets: (await tokenizer.encodeText(golden.texts[0])).offsets,
    pair: { ids: pair.ids, typeIds: pair.typeIds },
    decoded: await Promise.all(ids.map((row) => tokenizer.decode(row))),
    decodedAll: await Promise.all(ids.map((row) => tokenizer.decode(row, { skipSpecialTokens: false }))),
    special: { ...tokenizer.namedTokens },
    extra: [...tokenizer.extraSpecialTokens],
    maxLength: tokenizer.modelMaxLength ?? null,
    paddingSide: tokenizer.settings.paddingSide ?? "right",
    truncationSide: tokenizer.settings.truncationSide ?? "right",
    vocabSize: tokenizer.vocabSize,
  };
}

test("what is saved opens with the same answers", async () => {
  const names = Object.keys(golden.cases).filter((name) => golden.cases[name].expected.error === undefined);
  for (const name of names) {
    const [tokenizer, folder] = [
      await Tokenizer.open(await folderOf(name)),
      join(root, "saved", name.replace(/\W+/g, "-")),
    ];
    await tokenizer.save(folder);
    const again = await Tokenizer.open(folder);
    const [{ pair, ...answers }, { pair: samePair, ...same }] = [await answersOf(tokenizer), await answersOf(again)];
    expect([name, same]).toEqual([name, answers]);
    if (name !== "nothing") expect([name, samePair]).toEqual([name, pair]); // a folder that tells no class
    expect([name, again.toJson(), again.chatTemplates]).toEqual([name, tokenizer.toJson(), tokenizer.chatTemplates]);
  }
  const json = JSON.parse(await readFile(pathOf("gpt2"), "utf8"));
  const hostile = await Tokenizer.fromJson(json, { chat_template: [{ name: "../x", template: "T" }] });
  await expect(hostile.save(join(root, "hostile"))).rejects.toThrow(/names of chat templates/);
});

/** Objects without "__type" are read here, which the reference takes for a mistake. */
const readHere = ["named tokens that are objects without a type"];

describe.each(Object.keys(golden.cases))("%s", (name) => {
  const { expected, files } = golden.cases[name];
  test.runIf(expected.error !== undefined && !readHere.includes(name))("is a DataError", async () => {
    const error = await Tokenizer.open(await folderOf(name)).catch((cause) => cause);
    expect(error).toBeInstanceOf(DataError);
    expect(error.where).toMatch(/tokenizer_config\.json|special_tokens_map\.json/);
  });
  test.runIf(expected.error === undefined)("as the reference", async () => {
    const tokenizer = await Tokenizer.open(await folderOf(name));
    const { chat, pair, ...rest } = expected;
    const { class: _, ...known } = rest as typeof rest & { class: string };
    // a folder whose files tell no class gives the types that the tokenizer.json has
    const tellsClass = "tokenizer_config.json" in files || "config.json" in files;
    const typeIds = pair.typeIds ?? (tellsClass ? pair.ids.map(() => 0) : (await answersOf(tokenizer)).pair?.typeIds);
    expect(await answersOf(tokenizer)).toEqual({ ...known, pair: { ids: pair.ids, typeIds } });
    if (typeof chat !== "string") return;
    expect(
      chatFormat(tokenizer.chatTemplate, tokenizer).render([{ role: "user", content: "hi" }], {
        addGenerationPrompt: false,
      }),
    ).toBe(chat);
  });
});

test("the classes are those of the reference", () => {
  const isRole = (key: string) => /^(bos|eos|unk|sep|pad|cls|mask)_token$/.test(key);
  for (const [name, { tokens, givesTypeIds = false, paddingSide = "right" }] of Object.entries(tokenizerClasses)) {
    const reference = golden.classTokens[name];
    if (reference === undefined) continue; // another name of one of them
    expect([name, tokens]).toEqual([
      name,
      Object.fromEntries(Object.entries(reference).filter(([key]) => isRole(key))),
    ]);
    expect([name, givesTypeIds]).toEqual([name, golden.inputNames[name].includes("token_type_ids")]);
    expect([name, paddingSide]).toEqual([name, golden.paddingSides[name]]);
  }
  for (const [model, name] of Object.entries(classOfModel))
    expect([model, name]).toEqual([model, golden.classes[model]]);
});

/**
 * Every key that transformers 5.23 reads, and what becomes of it here. Names that end in _token are special tokens, of
 * whatever name.
 */
const keys = {
  followed: `bos_token eos_token unk_token sep_token pad_token cls_token mask_token additional_special_tokens extra_special_tokens
    model_specific_special_tokens added_tokens_decoder model_max_length max_len padding_side truncation_side model_input_names
    clean_up_tokenization_spaces clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output split_special_tokens chat_template tokenizer_class add_prefix_space add_bos_token add_eos_token do_lower_case
    strip_accents tokenize_chinese_chars trim_offsets keep_accents split_by_punct extra_ids fast_tokenizer_files`,
  /** Said on standard error where the files do not have it. */
  warnedOf: "src_lang tgt_lang",
  /**
   * tokenizer.json has its effect; the classes that take it are not built from a vocabulary here, or their ids are
   * SentencePiece's own.
   */
  inTheFile: `clean_text legacy legacy_behaviour mask_token_sent offset remove_space wordpieces_prefix fix_mistral_regex unk_id token_type_ids_pattern
    continuing_subword_prefix end_of_word_suffix initial_alphabet`,
  /**
   * No part of texts and ids: places of files, downloads, options of single calls, objects of Python, labels of
   * training, the speech pipeline's own.
   */
  elsewhere: `auto_map backend cache_dir chat_control_tokens commit_message device_map files_loaded force_download gguf_file init_inputs is_local
    local_files_only max_length max_target_length merges merges_file name_or_path pad_to_multiple_of pad_token_type_id padding post_processor
    processor_class proxies repo_id response_schema response_template revision sanitize_control_tokens save_jinja_files slow_tokenizer_class
    special_tokens_map_file stride subfolder token tokenizer tokenizer_file tokenizer_object tokenizer_padding tokenizer_truncation truncation
    truncation_strategy use_source_tokenizer verbose vocab vocab_file cls_token_box sep_token_box pad_token_box pad_token_label entity_vocab errors
    language task predict_timestamps max_depth max_entity_length max_mention_length max_width normalizer_file only_label_first_subword pad_width
    tags_dict use_default_system_prompt`,
  /** Of classes in Python alone: those are refused by name where there is no tokenizer.json. */
  python: `add_blank cell_trim_length do_basic_tokenize do_clean_text do_lowercase do_lowercase_and_remove_accent do_phonemize do_subword_tokenize
    do_upper_case do_word_tokenize emoji_file id2lang is_uroman jumanpp_kwargs lang2id lang_codes langs language_codes max_column_id
    max_question_length max_row_id mecab_kwargs min_question_length monolingual_vocab_file never_split normalization normalize num_madeup_words
    phonemize phonemizer_backend phonemizer_lang replace_word_delimiter_char separate_vocabs source_lang source_spm sp_model_kwargs spm_file
    src_vocab_file strip_column_names subword_tokenizer_type sudachi_kwargs target_lang target_spm target_vocab_file tgt_vocab_file
    update_answer_coordinates word_pronunciation_file word_shape_file word_tokenizer_type`,
};

test("every key that the reference knows has its place", () => {
  const placed = Object.values(keys).flatMap((names) => names.split(/\s+/));
  expect(placed).toHaveLength(new Set(placed).size);
  const known = Object.keys(golden.keys).filter((key) => !key.startsWith("_") && !key.endsWith("_token"));
  expect(known.filter((key) => !placed.includes(key))).toEqual([]);
  expect(placed.filter((key) => !key.endsWith("_token") && !known.includes(key))).toEqual([]);
});

test("what is not followed is said once", async () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  const json = JSON.parse(await readFile(pathOf("gpt2"), "utf8"));
  const tokenizer = await Tokenizer.fromJson(json, {
    src_lang: "eng_Latn",
    tgt_lang: null,
    clean_up_tokenization_spaces: true,
  });
  expect(warn).toHaveBeenCalledExactlyOnceWith(expect.stringContaining('src_lang "eng_Latn" is not followed'));
  for (let i = 0; i < 2; i++) expect(await tokenizer.decode(await tokenizer.encode("a , b"))).toBe("a , b");
  expect(warn).toHaveBeenCalledTimes(2);
  expect(warn).toHaveBeenLastCalledWith(expect.stringContaining("clean_up_tokenization_spaces is not followed"));
  warn.mockRestore();
});

test("of several tokenizer files the newest for this release is read", async () => {
  const folder = join(root, "versions");
  await mkdir(folder);
  const names = ["tokenizer.json", "tokenizer.4.0.0.json", "tokenizer.4.10.0.json", "tokenizer.99.0.0.json"];
  for (const [i, name] of names.entries())
    await copyFile(pathOf(["gpt2", "roberta", "llama3", "t5"][i]), join(folder, name));
  await writeFile(join(folder, "tokenizer_config.json"), JSON.stringify({ fast_tokenizer_files: names }));
  const llama3 = await Tokenizer.open(pathOf("llama3"));
  expect(await (await Tokenizer.open(folder)).encode("Call me Ishmael.")).toEqual(
    await llama3.encode("Call me Ishmael."),
  );
});
