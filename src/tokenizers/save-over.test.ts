/** A tokenizer saved into a folder that already has one: what the other left behind counts for nothing. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pathOf } from "../testing/tokenizer-kinds.ts";
import { Tokenizer } from "./index.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(root, { recursive: true }));

const sentencePiece = fileURLToPath(new URL("../../golden/tokenizers/sentencepiece/bpe-llama.model", import.meta.url));
const vocabulary = JSON.stringify({ a: 0, b: 1, "<unk>": 2 });

/** Files of another tokenizer, in every layout that `open` reads; paths to copy, or what they hold. */
const older: Record<string, Record<string, string | { copy: string }>> = {
  "tokenizer.json": { "tokenizer.json": { copy: pathOf("t5") }, "tokenizer_config.json": '{ "eos_token": "</s>" }' },
  "several releases": {
    "tokenizer.4.0.0.json": { copy: pathOf("t5") },
    "tokenizer_config.json": '{ "fast_tokenizer_files": ["tokenizer.4.0.0.json"] }',
  },
  "byte-pair encoding": { "vocab.json": vocabulary, "merges.txt": "#version: 0.2\n" },
  WordPiece: { "vocab.txt": "[UNK]\na\nb\n" },
  SentencePiece: {
    "tokenizer.model": { copy: sentencePiece },
    "spiece.model": { copy: sentencePiece },
    "sentencepiece.bpe.model": { copy: sentencePiece },
  },
  "older settings": {
    "special_tokens_map.json": '{ "mask_token": "<stale>" }',
    "added_tokens.json": '{ "<older>": 70000 }',
  },
  "chat templates": {
    "chat_template.jinja": "stale",
    "chat_template.json": '{ "chat_template": "staler" }',
    "additional_chat_templates/tool_use.jinja": "stale tools",
  },
};

async function fill(folder: string, files: (typeof older)[string]): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(folder, name, ".."), { recursive: true });
    if (typeof content === "string") await writeFile(join(folder, name), content);
    else await cp(content.copy, join(folder, name));
  }
}

const tokenizers: Record<string, () => Promise<Tokenizer>> = {
  "without templates": () => Tokenizer.open(pathOf("gpt2")),
  "with templates": async () =>
    Tokenizer.fromJson(JSON.parse(await readFile(pathOf("gpt2"), "utf8")), {
      eos_token: "<|endoftext|>",
      chat_template: { default: "A", rag: "B" },
    }),
};

describe.each(Object.keys(tokenizers))("%s", (kind) => {
  test.each([...Object.keys(older), "all of them"])("over %s", async (name) => {
    const folder = join(root, `${kind} ${name}`);
    await fill(folder, name === "all of them" ? Object.assign({}, ...Object.values(older)) : older[name]);
    await fill(folder, {
      "model.safetensors": "weights",
      "vocabulary.md": "notes",
      "additional_chat_templates/README": "notes",
    });
    const tokenizer = await tokenizers[kind]();
    await tokenizer.save(folder);
    const alone = join(root, `${kind} ${name}, alone`);
    await tokenizer.save(alone);
    const [again, expected] = [await Tokenizer.open(folder), await Tokenizer.open(alone)];
    expect(again.toJson()).toEqual(tokenizer.toJson());
    expect(again.configToJson()).toEqual(expected.configToJson());
    expect(again.chatTemplates).toEqual(tokenizer.chatTemplates);

    const templates = kind === "with templates" ? ["additional_chat_templates/rag.jinja", "chat_template.jinja"] : [];
    // no names of a tokenizer's files
    const others = ["additional_chat_templates/README", "model.safetensors", "vocabulary.md"];
    const names = (await readdir(folder, { recursive: true })).filter((path) => path !== "additional_chat_templates");
    expect(names.sort()).toEqual([...templates, ...others, "tokenizer.json", "tokenizer_config.json"].sort());
  });
});

test("a tokenizer that is saved where it was opened keeps its vocabulary, and what its older files said", async () => {
  const folder = join(root, "in place");
  await fill(folder, {
    "tokenizer.model": { copy: sentencePiece },
    "added_tokens.json": '{ "<tool>": 600 }',
    "chat_template.json": '{ "chat_template": "T" }',
  });
  await (await Tokenizer.open(folder)).save(folder);
  const again = await Tokenizer.open(folder);
  expect([again.tokenToId("<tool>"), again.chatTemplate]).toEqual([600, "T"]);
  expect((await readdir(folder)).sort()).toEqual([
    "chat_template.jinja",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
  ]);
});

test("a tokenizer whose files were of several releases is saved as one", async () => {
  const [folder, target] = [join(root, "releases"), join(root, "one release")];
  await fill(folder, older["several releases"]);
  await fill(folder, { "tokenizer.json": { copy: pathOf("gpt2") } });
  const tokenizer = await Tokenizer.open(folder);
  for (const path of [target, folder]) {
    await tokenizer.save(path);
    expect((await Tokenizer.open(path)).toJson()).toEqual(tokenizer.toJson());
  }
});
