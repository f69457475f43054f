/** Which of several models an adapter of `kindling serve` belongs to. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromPretrained } from "../models/index.ts";
import { applyAdapter, newAdapter } from "../peft/index.ts";
import { randomKey } from "../tensor/index.ts";
import { type AdapterFlags, adaptersOf, namedAdapter } from "./serve-adapters.ts";
import { commandModels } from "./serve-models.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  for (const [name, base] of Object.entries({
    of: "someone/Tiny",
    place: join(folder, "b"),
    other: "x/other",
    no: null,
  }))
    await adapterOf(name, { base_model_name_or_path: base });
});
afterAll(() => rm(folder, { recursive: true }));

async function adapterOf(name: string, config: object): Promise<void> {
  await mkdir(join(folder, name));
  await writeFile(join(folder, name, "adapter_config.json"), JSON.stringify(config));
}

describe("of the models tiny, tiny:2 and b", () => {
  const models = [
    { id: "tiny", name: "me/tiny", path: "models/tiny" },
    { id: "tiny:2", name: "models/second", path: "models/second" },
    { id: "b", name: "b", path: "b" },
  ];
  /** Names of the adapters of each model, and the room for them. */
  async function sorted(texts: readonly string[], more: AdapterFlags = {}, of = models) {
    const inFolder = texts.map((text) => text.replace("=", `=${folder}/`));
    const adapter = inFolder.reduce<AdapterFlags["adapter"]>((before, text) => namedAdapter(text, before), undefined);
    const options = await adaptersOf(
      { adapter, ...more },
      of.map((model) => ({ ...model, path: join(folder, model.path) })),
    );
    return Object.fromEntries(
      [...options].map(([id, { adapters, maxAdapters }]) => [id, [adapters?.map(({ name }) => name), maxAdapters]]),
    );
  }

  test("one that is named has it, the longest name first", async () => {
    expect(await sorted(["tiny:sql=no", "tiny:2:sql2=no", "b:x=of"])).toEqual({
      tiny: [["sql"], 1],
      "tiny:2": [["sql2"], 1],
      b: [["x"], 1],
    });
  });

  test("otherwise the one that it was made for, by place or by name", async () => {
    expect(await sorted(["x=of", "y=place", "z=of"], { maxAdapters: 7 })).toEqual({
      tiny: [["x", "z"], 7],
      "tiny:2": [undefined, undefined],
      b: [["y"], 7],
    });
  });

  test.each([
    [
      "x=other",
      /adapter x: expected the model that it belongs to, one of tiny, tiny:2, b; received one that was made for x\/other. Fix: name the model, as --adapter tiny:x=.*other/,
    ],
    ["x=no", /received one that does not say what it was made for/],
    ["tyny:x=no", /did you mean --adapter tiny:x=.*no\?/],
    ["tiny:x=nowhere", /nowhere\/adapter_config\.json: expected a file/],
  ])("%s is refused", async (text, message) => {
    await expect(sorted([text])).rejects.toThrow(message);
  });

  test("one of two that have the name of its base is not guessed", async () => {
    const twins = ["a", "b"].map((name) => ({ id: name, name: `${name}/tiny`, path: name }));
    await expect(sorted(["x=of"], {}, twins)).rejects.toThrow(
      /one of a, b; received one that was made for someone\/Tiny/,
    );
  });

  test("the only one that writes has it, whatever it was made for", async () => {
    expect(await sorted(["x=other", "a:b=no"], {}, models.slice(2))).toEqual({ b: [["x", "a:b"], 2] });
    await expect(sorted(["x=no"], {}, [])).rejects.toThrow(/expected a model that writes texts/);
  });

  test("clients may bring some to each", async () => {
    expect(await sorted(["b:x=no"], { adapterFolder: "adapters" })).toEqual({
      tiny: [[], 4],
      "tiny:2": [[], 4],
      b: [["x"], 1],
    });
    expect(await sorted([])).toEqual({});
  });
});

test("the model that is named loads it, beside others of all kinds", async () => {
  const place = (name: string) => fileURLToPath(new URL(`../../golden/pipelines/models/${name}`, import.meta.url));
  const model = await fromPretrained(place("gpt2"), { task: "causal-lm" });
  const adapter = applyAdapter(model, await newAdapter(model, { rank: 2, targetModules: ["c_attn"] }, randomKey(1)));
  await adapter.save(join(folder, "style"));
  model.dispose();
  const names = [place("sentence-bert"), `a=${place("gpt2")}`, `b=${place("gpt2")}`];
  const flags = { adapter: namedAdapter(`b:style=${join(folder, "style")}`) };
  const [, first, second] = await commandModels(names, "runs", {}, flags);
  expect([first.entry, second.entry]).toMatchObject([{ id: "a" }, { id: "b", adapters: ["style"] }]);
  for (const [{ entry }, isThere] of [
    [first, false],
    [second, true],
  ] as const) {
    if (entry.kind !== "text-generation") throw new Error("it writes");
    const { generator } = await entry.load();
    expect(generator.adapters.has("style")).toBe(isThere);
    generator.dispose();
    generator.model.dispose();
  }
  // of one that writes among others, it need not be named
  const alone = { adapter: namedAdapter(`style=${join(folder, "style")}`) };
  const [, only] = await commandModels(names.slice(0, 2), "runs", {}, alone);
  expect(only.entry).toMatchObject({ id: "a", adapters: ["style"] });
});
