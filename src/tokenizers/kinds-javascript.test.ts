/** Every kind of tokenizer.json, by the engine in JavaScript that pages have. */
import { readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { DataError } from "../base/index.ts";
import { describeFolders, describeKinds, isNewer, pathOf } from "../testing/tokenizer-kinds.ts";
import { javascriptEngine } from "./engine-javascript.ts";
import { Tokenizer, TokenizerTrainer } from "./index.ts";
import { checkedTokenizer } from "./safe-file.ts";

vi.mock("tokenizers", () => {
  throw new Error("not installed");
});

describeKinds((kind, text) => /script/.test(kind) && isNewer.test(text));
describeFolders();

test("the native library is not used here", async () => {
  await expect(import("tokenizers")).rejects.toThrow();
  const tokenizer = await Tokenizer.open(pathOf("t5"));
  expect((await tokenizer.encodeText("Call me Ishmael.")).offsets.at(-2)).toEqual([15, 16]);
});

test("tokenizers are trained without it", async () => {
  const parts = {
    normalizer: { type: "BertNormalizer", lowercase: true, clean_text: true },
    preTokenizer: { type: "BertPreTokenizer" },
  };
  const trainer = await TokenizerTrainer.create({ model: "wordpiece", vocabSize: 40, ...parts });
  const path = join(tmpdir(), `kindling-words-${process.pid}.txt`);
  await writeFile(path, "The whale, the WHALE, the white whale!");
  await trainer.addFile(path);
  const tokenizer = await trainer.train();
  expect((await tokenizer.encodeText("The whale!")).tokens).toEqual(["[CLS]", "the", "whale", "!", "[SEP]"]);
});

test("damaged parts are a DataError, when the file is opened", async () => {
  const kinds = ["t5", "bert-uncased", "llama2", "roberta", "clip", "ctc", "xlm-roberta", "deepseek"];
  const odd: unknown[] = [null, 5, -1, "x", [], {}, [null], { type: "Nothing" }, [["a"]], true];
  let seed = 1;
  const random = (n: number) => {
    seed = (seed * 48271) % 0x7fffffff;
    return seed % n;
  };
  let [opened, refused] = [0, 0];
  for (let i = 0; i < 400; i++) {
    const json = JSON.parse(await readFile(pathOf(kinds[i % kinds.length]), "utf8"));
    const part = ["normalizer", "pre_tokenizer", "post_processor", "decoder", "model", "added_tokens"][random(6)];
    let at: Record<string, unknown> = json;
    let key = part;
    for (let depth = random(5); depth > 0; depth--) {
      const keys = Object.keys((at[key] ?? {}) as object);
      if (keys.length === 0 || typeof at[key] !== "object") break;
      at = at[key] as Record<string, unknown>;
      key = keys[random(keys.length)];
    }
    at[key] = odd[random(odd.length)];
    try {
      const engine = await javascriptEngine("x", checkedTokenizer("x", json));
      opened++;
      for (const text of ["Call me <s> Ishmael, é 3!", ""]) {
        const [{ ids }] = await engine.encode(text, "b", true, {
          maxLength: 9,
          truncation: "longest_first",
          truncationSide: "right",
          stride: 0,
        });
        await engine.decode(ids, true);
      }
    } catch (error) {
      refused++;
      if (!(error instanceof DataError))
        throw new Error(`${kinds[i % kinds.length]} ${part} ${key} ${JSON.stringify(at[key])}`, { cause: error });
    }
  }
  expect(opened).toBeGreaterThan(50);
  expect(refused).toBeGreaterThan(50);
});
