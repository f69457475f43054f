/** Models are saved with their tokenizer. */
import { cp, lstat, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { randomKey } from "../tensor/index.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { type CausalLM, fromPretrained, LlamaForCausalLM, saveGguf, savePretrained } from "./index.ts";

const source = fileURLToPath(new URL("../../golden/pipelines/models/gpt2", import.meta.url));

const words = () =>
  Tokenizer.fromJson(
    { model: { type: "WordLevel", vocab: { whale: 0, "[UNK]": 1 }, unk_token: "[UNK]" } },
    { unk_token: "[UNK]" },
  );

test("the tokenizer of the folder that a model came from goes along, or the one that is named", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kindling-"));
  const model = await fromPretrained(source);
  await savePretrained(model, folder);
  for (const name of ["tokenizer.json", "tokenizer_config.json"])
    expect(await readFile(join(folder, name))).toEqual(await readFile(join(source, name)));
  const names = (await readdir(folder)).sort();
  await savePretrained(model, folder); // what is there already stays
  expect((await readdir(folder)).sort()).toEqual(names);

  const other = await words();
  await savePretrained(model, folder, { tokenizer: other });
  expect((await Tokenizer.open(folder)).special).toEqual({ unk: "[UNK]" });
  await expect(savePretrained(model, folder, { tokeniser: other } as never)).rejects.toThrow(
    /did you mean "tokenizer"/,
  );

  await rm(join(folder, "tokenizer.json"));
  const stale = ["added_tokens.json", "chat_template.jinja", "vocab.txt"];
  for (const name of stale) await writeFile(join(folder, name), "{}");
  await savePretrained(model, folder); // of the files of two tokenizers those of the source are left
  expect((await readdir(folder)).sort()).toEqual(names);
  expect((await Tokenizer.open(folder)).chatTemplate).toBe((await Tokenizer.open(source)).chatTemplate);
  model.dispose();
  await rm(folder, { recursive: true });
});

test("a model that was made ends with the tokenizer that it is saved with; one that was loaded as its files say", async () => {
  const root = await mkdtemp(join(tmpdir(), "kindling-"));
  const tokenizer = await Tokenizer.open(source);
  const end = tokenizer.endOfTextId;
  expect(end).not.toBe(2);
  const sizes = { vocabSize: tokenizer.vocabSize, hiddenSize: 8, intermediateSize: 8, numLayers: 1, numHeads: 2 };
  const created = new LlamaForCausalLM(sizes, randomKey(0)); // its config's end is 2
  await savePretrained(created, join(root, "made"), { tokenizer });
  const opened = await fromPretrained(join(root, "made"));
  expect(opened.generationConfig).toEqual({ bos_token_id: 1, eos_token_id: end });
  await savePretrained(opened, join(root, "again"), { tokenizer: await words() });
  expect((await fromPretrained(join(root, "again"))).generationConfig).toEqual(opened.generationConfig);
  await savePretrained(created, join(root, "alone"));
  expect((await fromPretrained(join(root, "alone"))).generationConfig).toMatchObject({ eos_token_id: 2 });
  await rm(root, { recursive: true });
});

test("a tokenizer that is named stands in place of all files of the source's; links are followed, and folders copied whole", async () => {
  const root = await mkdtemp(join(tmpdir(), "kindling-"));
  const [folder, again, named] = ["source", "again", "named"].map((name) => join(root, name));
  await cp(source, folder, { recursive: true });
  await writeFile(join(folder, "special_tokens_map.json"), '{ "unk_token": "<|endoftext|>" }');
  await writeFile(join(folder, "chat_template.jinja"), "{{ usual }}");
  await writeFile(join(folder, "LICENSE"), "MIT");
  await mkdir(join(folder, "tokenizer")); // as diffusers has it
  await writeFile(join(folder, "tokenizer", "vocab.json"), "{}");
  await rename(join(folder, "tokenizer.json"), join(root, "blob"));
  await symlink(join("..", "blob"), join(folder, "tokenizer.json")); // as caches have it
  const model = await fromPretrained(folder);
  await savePretrained(model, again);
  expect((await lstat(join(again, "tokenizer.json"))).isFile()).toBe(true);
  expect((await Tokenizer.open(again)).chatTemplate).toBe("{{ usual }}");
  expect(await readdir(join(again, "tokenizer"))).toEqual(["vocab.json"]);

  await savePretrained(model, named, { tokenizer: await words() });
  const weights = ["config.json", "generation_config.json", "model.safetensors"];
  expect((await readdir(named)).sort()).toEqual(["LICENSE", ...weights, "tokenizer.json", "tokenizer_config.json"]);

  await writeFile(join(folder, "tokenizer_config.json"), '{ "bos_token": 7 }');
  // damaged, which is not the same as none
  await expect(saveGguf(model as CausalLM, join(root, "x.gguf"))).rejects.toThrow(/tokenizer_config\.json, bos_token/);
  model.dispose();
  await rm(root, { recursive: true });
});
