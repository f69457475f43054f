/** Adapters of a generator: what their texts share, and how they are loaded and unloaded. */
import { afterAll, describe, expect, test } from "vitest";
import { namedModules } from "../nn/index.ts";
import { type LoraConfig, newAdapter } from "../peft/index.ts";
import { randomKey } from "../tensor/index.ts";
import {
  adapters,
  disposeAlone,
  expectAlone,
  expectSame,
  generatorOf,
  greedy,
  makeModel,
  names,
  requestsOf,
  write,
  writeAlone,
  writeTogether,
} from "../testing/adapted-texts.ts";
import { Random } from "../testing/fuzz/random.ts";
import { Generator } from "./index.ts";

afterAll(disposeAlone);

test("texts of two adapters, and without one, are written together: each is the one that it is alone", async () => {
  const generator = await generatorOf({ maxSequences: 3, maxAdapters: 2, prefixTokens: 256, prefillTokens: 30 });
  const requests = requestsOf(new Random("adapters", 7), 6);
  for (const [i, request] of requests.entries()) request.adapter = [0, 3, names.length][i % 3];
  await expectAlone(await writeTogether(generator, requests), requests);
  generator.dispose();
});

test("tokens that are proposed are judged by the text's adapter", async () => {
  const generator = await generatorOf({});
  const ids = [3, 1, 4, 3, 1, 4, 3, 1];
  const text: number[] = [];
  const settings = { ...greedy, maxNewTokens: 30, adapter: "a1", promptLookupNumTokens: 4 };
  for await (const id of generator.generate(ids, settings)) text.push(id);
  expect(text).toEqual((await writeAlone(adapters[1], ids, 30)).ids);
  generator.dispose();
});

describe("what is kept of texts", () => {
  const stem = Array.from({ length: 64 }, (_, i) => 1 + ((i * 7) % 20));
  test("is shared by those of one adapter, and by no others", async () => {
    const generator = await generatorOf({ maxSequences: 2, prefixTokens: 512 });
    const sharedBy = async (adapter: string | undefined, last: number) => {
      const { sharedTokens } = generator.load;
      const written = await write(generator, [...stem, last], 4, adapter);
      expectSame(written, await writeAlone(adapters[names.indexOf(adapter as string)], [...stem, last], 4));
      return generator.load.sharedTokens - sharedTokens;
    };
    expect(await sharedBy("a0", 1)).toBe(0);
    expect(await sharedBy("a1", 1)).toBe(0); // the same ids
    expect(await sharedBy(undefined, 1)).toBe(0);
    expect(await sharedBy("a0", 2)).toBe(64); // in blocks
    expect(await sharedBy("a1", 2)).toBe(64);
    expect(await sharedBy(undefined, 2)).toBe(64);
    await generator.adapters.unload("a0");
    await generator.adapters.load("a0", adapters[1]); // the name is no key
    const written = await write(generator, [...stem, 2], 4, "a0");
    expectSame(written, await writeAlone(adapters[1], [...stem, 2], 4));
    generator.dispose();
  });
});

describe("loading and unloading", () => {
  test("while texts are written, which stay the same", async () => {
    const generator = new Generator(makeModel(), { maxAdapters: 2 });
    await generator.adapters.load("a0", adapters[0]);
    const [plain, adapted] = [undefined, "a0"].map((adapter) => write(generator, [3, 1, 4], 40, adapter));
    const stream = generator.generate([2, 7], { ...greedy, maxNewTokens: 30, adapter: "a0" });
    await stream.next();
    for (const i of [1, 2, 3]) await generator.adapters.load(names[i], adapters[i]); // more layers, and higher ranks
    expect(generator.adapters.list.map(({ name, rank }) => [name, rank])).toEqual([
      ["a0", 2],
      ["a1", 4],
      ["a2", 1],
      ["a3", 3],
    ]);
    let isUnloaded = false;
    const unloading = generator.adapters.unload("a0").then(() => {
      isUnloaded = true;
    });
    await expect(write(generator, [1], 1, "a0")).rejects.toThrow('received "a0"');
    expectSame(await write(generator, [3, 1, 4], 5, "a2"), await writeAlone(adapters[2], [3, 1, 4], 5));
    expect(isUnloaded).toBe(false);
    expectSame(await plain, await writeAlone(undefined, [3, 1, 4], 40));
    expectSame(await adapted, await writeAlone(adapters[0], [3, 1, 4], 40));
    const ids = [];
    for await (const id of stream) ids.push(id);
    expect(ids).toEqual((await writeAlone(adapters[0], [2, 7], 30)).ids.slice(1));
    await unloading;
    generator.dispose();
  });

  test("what cannot be loaded is refused by name", async () => {
    const model = makeModel();
    const without = new Generator(model);
    await expect(without.adapters.load("a", adapters[0])).rejects.toThrow("maxAdapters");
    const generator = new Generator(model, { maxAdapters: 1, maxAdapterRank: 3 });
    await expect(generator.adapters.load("a", adapters[1])).rejects.toThrow("rank of at most 3");
    await generator.adapters.load("sql", adapters[0]);
    await expect(generator.adapters.load("sql", adapters[0])).rejects.toThrow("no adapter has");
    await expect(write(generator, [1], 1, "slq")).rejects.toThrow('did you mean "sql"');
    await expect(generator.adapters.unload("other")).rejects.toThrow("one of sql");
    const refused: [Partial<LoraConfig>, string][] = [
      [{ targetModules: ["q_proj"], useDora: true }, "use_dora"],
      [{ targetModules: ["q_proj"], loraBias: true }, "lora_bias"],
      [{ targetModules: ["embed_tokens"] }, "embedding"],
    ];
    for (const [options, message] of refused) {
      const adapter = await newAdapter(model, { rank: 2, ...options }, randomKey(1));
      await expect(generator.adapters.load("x", adapter)).rejects.toThrow(message);
    }
    const factors = await newAdapter(model, { type: "IA3", targetModules: ["q_proj"] }, randomKey(1));
    await expect(generator.adapters.load("x", factors)).rejects.toThrow(
      '"LORA" or states before texts, where rows of one run',
    );
    generator.dispose();
    without.dispose();
  });

  test("a generator that is disposed leaves the model as it was", async () => {
    const model = makeModel();
    const [keys, modules] = [[...model.namedState().keys()], [...namedModules(model)].map(([, module]) => module)];
    const generator = new Generator(model, { maxAdapters: 1 });
    await generator.adapters.load("a0", adapters[0]);
    expect([...model.namedState().keys()]).toEqual(keys);
    await write(generator, [1, 2], 2, "a0");
    generator.dispose();
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect([...namedModules(model)].map(([, module]) => module)).toEqual(modules);
  });
});
