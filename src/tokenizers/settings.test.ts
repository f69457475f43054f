/** What stands beside a tokenizer.json, followed as transformers does. */
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DataError } from "../ir/index.ts";
import { pathOf } from "../testing/tokenizer-kinds.ts";
import { classOfModel, tokenizerClasses } from "./classes.ts";
import { chatFormat, TextTokenizer } from "./index.ts";

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
    const whole = file === "tokenizer.json" ? { ...JSON.parse(await readFile(join(folder, file), "utf8")), ...(content as object) } : content;
    await writeFile(join(folder, file), typeof whole === "string" ? whole : JSON.stringify(whole));
  }
  return folder;
}

/** Every answer of a tokenizer that the golden file has. */
async function answersOf(tokenizer: TextTokenizer): Promise<Partial<Answers>> {
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

/** Objects without "__type" are read here, which the reference takes for a mistake. */
const readHere = ["named tokens that are objects without a type"];

describe.each(Object.keys(golden.cases))("%s", (name) => {
  const { expected, files } = golden.cases[name];
  test.runIf(expected.error !== undefined && !readHere.includes(name))("is a DataError", async () => {
    const error = await TextTokenizer.open(await folderOf(name)).catch((cause) => cause);
    expect(error).toBeInstanceOf(DataError);
    expect(error.where).toMatch(/tokenizer_config\.json|special_tokens_map\.json/);
  });
  test.runIf(expected.error === undefined)("as the reference", async () => {
    const tokenizer = await TextTokenizer.open(await folderOf(name));
    const { chat, pair, ...rest } = expected;
    const { class: _, ...known } = rest as typeof rest & { class: string };
    // a folder whose files tell no class gives the types that the tokenizer.json has
    const tellsClass = "tokenizer_config.json" in files || "config.json" in files;
    const typeIds = pair.typeIds ?? (tellsClass ? pair.ids.map(() => 0) : (await answersOf(tokenizer)).pair?.typeIds);
    expect(await answersOf(tokenizer)).toEqual({ ...known, pair: { ids: pair.ids, typeIds } });
    if (typeof chat !== "string") return;
    expect(chatFormat(tokenizer.chatTemplate, tokenizer).render([{ role: "user", content: "hi" }], { addGenerationPrompt: false })).toBe(chat);
  });
});

test("the classes are those of the reference", () => {
  const isRole = (key: string) => /^(bos|eos|unk|sep|pad|cls|mask)_token$/.test(key);
  for (const [name, { tokens, givesTypeIds = false, paddingSide = "right" }] of Object.entries(tokenizerClasses)) {
    const reference = golden.classTokens[name];
    if (reference === undefined) continue; // another name of one of them
    expect([name, tokens]).toEqual([name, Object.fromEntries(Object.entries(reference).filter(([key]) => isRole(key)))]);
    expect([name, givesTypeIds]).toEqual([name, golden.inputNames[name].includes("token_type_ids")]);
    expect([name, paddingSide]).toEqual([name, golden.paddingSides[name]]);
  }
  for (const [model, name] of Object.entries(classOfModel)) expect([model, name]).toEqual([model, golden.classes[model]]);
});
