/** Random texts with adapters, in every kind of narrowness: each is that of the model with its adapter alone. */
import { afterAll, afterEach, describe, test } from "vitest";
import { Device } from "../runtime/index.ts";
import { defaultDevice, setDefaultDevice } from "../tensor/index.ts";
import { disposeAlone, expectAlone, generatorOf, requestsOf, writeTogether } from "../testing/adapted-texts.ts";
import { Random } from "../testing/fuzz/random.ts";
import type { GeneratorOptions } from "./index.ts";

const first = defaultDevice();
afterEach(() => setDefaultDevice(first));
afterAll(disposeAlone);

describe("texts together are those of each adapter alone", () => {
  test.each<[string, GeneratorOptions]>([
    ["with room for all", {}],
    ["in small pieces, with kept beginnings", { maxSequences: 3, prefixTokens: 256, prefillTokens: 7, initialRoom: 4 }],
    ["pushed out of their places", { maxSequences: 4, cacheTokens: 180, initialRoom: 4 }],
    ["with room for two adapters", { maxAdapters: 2 }],
    ["with room for one", { maxAdapters: 1, maxSequences: 3 }],
  ])("%s", async (_, options) => {
    const generator = await generatorOf(options);
    const requests = requestsOf(new Random("adapters", 1), 10);
    await expectAlone(await writeTogether(generator, requests), requests);
    generator.dispose();
  });

  test("where caches are not in the memory of others", async () => {
    const device = new Device({ binding: "onnxruntime-node" });
    setDefaultDevice(device);
    const generator = await generatorOf({ maxSequences: 4, prefillTokens: 9, maxAdapters: 2 });
    const requests = requestsOf(new Random("adapters", 2), 8);
    const texts = await writeTogether(generator, requests);
    setDefaultDevice(first);
    await expectAlone(texts, requests);
    generator.dispose();
  });
});
