/** The name that a GGUF file gives to its model. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { readGgufHeader } from "../files/index.ts";
import { fromPretrained, saveGguf, savePretrained } from "./index.ts";

const qwen = fileURLToPath(new URL("../../golden/decoders/qwen2", import.meta.url));

test("is that of the model's folder, its repository or its run", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kindling-"));
  const model = await fromPretrained(qwen, { task: "causal-lm" });
  const path = join(folder, "named.gguf");
  const places = [
    ["hub/models--me--tiny/snapshots/0123abc", "tiny"],
    ["runs/poems/model", "poems"],
    ["runs/poems/checkpoint", "poems"],
    ["models/small", "small"],
  ];
  for (const [place, name] of places) {
    const source = join(folder, place);
    await savePretrained(model, source);
    await saveGguf(await fromPretrained(source, { task: "causal-lm" }), path, { type: "f32", tokenizer: null });
    expect((await readGgufHeader(path)).metadata.get("general.name")).toBe(name);
  }
  await rm(folder, { recursive: true });
});
