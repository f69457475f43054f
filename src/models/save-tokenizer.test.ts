/** Models are saved with their tokenizer. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { Tokenizer } from "../tokenizers/index.ts";
import { fromPretrained, savePretrained } from "./index.ts";

const source = fileURLToPath(new URL("../../golden/pipelines/models/gpt2", import.meta.url));

test("the tokenizer of the folder that a model came from goes along, or the one that is named", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kindling-"));
  const model = await fromPretrained(source);
  await savePretrained(model, folder);
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) expect(await readFile(join(folder, name))).toEqual(await readFile(join(source, name)));
  const names = (await readdir(folder)).sort();
  await savePretrained(model, folder); // what is there already stays
  expect((await readdir(folder)).sort()).toEqual(names);

  const other = await Tokenizer.fromJson({ model: { type: "WordLevel", vocab: { whale: 0, "[UNK]": 1 }, unk_token: "[UNK]" } }, { unk_token: "[UNK]" });
  await savePretrained(model, folder, { tokenizer: other });
  expect((await Tokenizer.open(folder)).special).toEqual({ unk: "[UNK]" });
  await expect(savePretrained(model, folder, { tokeniser: other } as never)).rejects.toThrow(/did you mean "tokenizer"/);
  model.dispose();
  await rm(folder, { recursive: true });
});
