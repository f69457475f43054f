/** Prompts with images: one graph for all lengths and numbers of images, with the numbers of a graph for each. */
import { afterEach, describe, expect, test } from "vitest";
import { fromPretrained, type ImageTextModel } from "../models/index.ts";
import { Device } from "../runtime/index.ts";
import { compile, concat, defaultDevice, setDefaultDevice, type Tensor } from "../tensor/index.ts";
import { expectClose, tolerances } from "../testing/close.ts";
import { goldenModels, inputsOf, readGoldenModel } from "../testing/golden-model.ts";
import { positionsOf } from "./causal-decoder.ts";
import { i32 } from "./decoder-runner.ts";
import { SlotCache } from "./engine/slot-cache.ts";
import { SlotSteps } from "./engine/slot-steps.ts";
import { ImageEmbedder, ImageTextGenerator, type ImageTextSource } from "./index.ts";

const first = defaultDevice();
afterEach(() => setDefaultDevice(first));

/** A model, and texts: one of its golden file with an image, longer ones, and one with two images. */
async function visionCase(name: string) {
  const model = (await fromPretrained(`${goldenModels}${name}`)) as ImageTextModel;
  const { greedy = [] } = await readGoldenModel(name);
  const { inputs } = greedy.find((each) => each.inputs.pixel_values)!;
  const { pixelValues, imageGridThw } = inputsOf(inputs) as Pick<ImageTextSource, "pixelValues" | "imageGridThw">;
  const inputIds = inputs.input_ids.data;
  const images = { pixelValues, ...(imageGridThw && { imageGridThw }) };
  const twice = Object.fromEntries(Object.entries(images).map(([key, x]) => [key, concat([x, x] as Tensor[], 0)]));
  const more = (count: number) => Array.from({ length: count }, (_, i) => 3 + (i % 5));
  const sources: ImageTextSource[] = [
    { inputIds, ...images },
    ...[1, 7].map((count) => ({ inputIds: [...inputIds, ...more(count)], ...images })),
    { inputIds: [...inputIds, 3, ...inputIds], ...twice },
  ];
  return { model, sources };
}

describe.each(["llava", "qwen2-vl"])("%s", (name) => {
  test("what is embedded is what the model's method gives", async () => {
    const { model, sources } = await visionCase(name);
    const embedder = new ImageEmbedder(model);
    for (const source of sources) {
      const { inputIds, ...images } = source;
      const inputs = { ...images, inputIds: i32(inputIds, [1, inputIds.length]) };
      const plain = await compile((these: typeof inputs) => model.embed(these)).run(inputs as never);
      const { embeddings, positions, offset, dispose } = (await embedder.embed(source))!;
      expectClose("embeddings", await embeddings.read(), await plain.embeddings.read(), tolerances.f32!);
      expect(await positions?.read()).toEqual(await plain.positions?.read());
      expect(offset).toEqual(await plain.offset?.item());
      dispose();
    }
    embedder.dispose();
    model.dispose();
  });

  test("a step for any length has the bits of one for that length", async () => {
    const { model, sources } = await visionCase(name);
    const embedder = new ImageEmbedder(model);
    const device = defaultDevice();
    const sizes = { device, maxLength: 128, maxSlots: 1, initialRoom: 128 };
    for (const source of sources) {
      const {
        embeddings,
        positions = positionsOf([0], source.inputIds.length),
        dispose,
      } = (await embedder.embed(source))!;
      const ids = i32(source.inputIds, [1, source.inputIds.length]);
      const [last, total] = [i32([source.inputIds.length - 1], [1]), i32([source.inputIds.length], [1])];
      const logitsOf = async (step: "oneToken" | "embedded" | "embeddedInThree") => {
        const cache = new SlotCache(model.languageModel.cacheShape, sizes);
        const steps = new SlotSteps(model.languageModel, cache, { device });
        await cache.reserve(1, 128, []);
        cache.show(cache.one, 0, 1);
        const { embedded, embeddedInThree, oneToken } = steps.of(false);
        const { run } = { embedded, embeddedInThree, oneToken: oneToken.step }[step];
        const logits: Tensor<"f32"> = await run(ids, { positions, embeddings }, last, total, null);
        const numbers = (await logits.take()).slice();
        steps.dispose();
        cache.dispose();
        return numbers;
      };
      const exact = await logitsOf("oneToken");
      expect(await logitsOf(positions.rank === 3 ? "embeddedInThree" : "embedded")).toEqual(exact);
      dispose();
    }
    embedder.dispose();
    model.dispose();
  });

  test.each(["C API", "onnxruntime-node"] as const)("a second prompt compiles nothing: %s", async (binding) => {
    const device = new Device({ binding });
    setDefaultDevice(device);
    const { model, sources } = await visionCase(name);
    const write = async (generator: ImageTextGenerator, source: ImageTextSource) => {
      const ids: number[] = [];
      const options = { maxNewTokens: 4, temperature: 0, stopTokens: [] };
      for await (const id of generator.generate(source, options)) ids.push(id);
      return ids;
    };
    const generator = new ImageTextGenerator(model, { contextLength: 128 });
    const texts: number[][] = [];
    const compiled: number[] = [];
    for (const source of sources) {
      texts.push(await write(generator, source));
      compiled.push(device.compiledCount);
    }
    expect(compiled).toEqual(sources.map(() => compiled[0]));
    generator.dispose();
    for (const [i, source] of sources.entries()) {
      const alone = new ImageTextGenerator(model, { contextLength: 128 });
      expect(texts[i]).toEqual(await write(alone, source));
      alone.dispose();
    }
    model.dispose();
    await device.close();
  });
});
