/** Images of several texts that wait at once go through the model together: as each alone, whoever leaves. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { fromPretrained, type ImageTextModel } from "../models/index.ts";
import { normal, randomKey, tensor } from "../tensor/index.ts";
import { expectClose, tolerances } from "../testing/close.ts";
import { goldenModels } from "../testing/golden-model.ts";
import { type HeldPrompt, ImageEmbedder, type ImageTextSource } from "./index.ts";
import { ModelFunction } from "./model-structure.ts";

const runs = vi.spyOn(ModelFunction.prototype, "withSignal");
afterEach(() => runs.mockClear());

/** Texts with images of random numbers: for LLaVA as many as are asked for, for Qwen2-VL in these grids. */
async function textsOf(name: string, model: ImageTextModel, all: readonly (readonly (readonly number[])[])[]) {
  return Promise.all(
    all.map(async (grids, seed): Promise<ImageTextSource> => {
      const isLlava = name === "llava";
      const rows = isLlava ? grids.length : grids.reduce((sum, [t, h, w]) => sum + t * h * w, 0);
      const shape = isLlava ? [rows, 3, 8, 8] : [rows, 24];
      const pixelValues = tensor(await normal(randomKey(seed), shape).read(), { shape });
      const images = isLlava
        ? { pixelValues }
        : { pixelValues, imageGridThw: tensor(Int32Array.from(grids.flat()), { shape: [grids.length, 3] }) };
      const [{ count }] = model.placesOf({ ...images, inputIds: tensor([0], { dtype: "i32" }) });
      const inputIds = [1, ...new Array(count).fill(model.imageTokenId), 3 + seed];
      return { inputIds, ...images };
    }),
  );
}

const square = [1, 4, 4];
const wide = [1, 2, 8];

async function numbersOf(prompt: HeldPrompt | undefined) {
  const { embeddings, positions, offset, dispose } = prompt!;
  const numbers = { embeddings: await embeddings.read(), positions: await positions?.read(), offset };
  dispose();
  return numbers;
}

describe.each(["llava", "qwen2-vl"])("%s", (name) => {
  test("together they are what each is alone, and are encoded in one run", async () => {
    const model = (await fromPretrained(`${goldenModels}${name}`)) as ImageTextModel;
    const embedder = new ImageEmbedder(model);
    const sources = await textsOf(name, model, [[square], [wide, square], [square]]);
    runs.mockClear();
    const together = await Promise.all(sources.map(async (source) => numbersOf(await embedder.embed(source))));
    expect(runs).toHaveBeenCalledTimes(1 + sources.length);
    for (const [i, source] of sources.entries()) {
      const alone = await numbersOf(await embedder.embed(source));
      expectClose("embeddings", together[i].embeddings, Array.from(alone.embeddings), tolerances.f32!);
      expect({ ...together[i], embeddings: 0 }).toEqual({ ...alone, embeddings: 0 });
    }
    embedder.dispose();
    model.dispose();
  });

  test("one that is given up, before its run or in it, or fails takes no other with it", async () => {
    const model = (await fromPretrained(`${goldenModels}${name}`)) as ImageTextModel;
    const embedder = new ImageEmbedder(model);
    const sources = await textsOf(name, model, [[square], [wide, square], [square]]);
    const expected = [];
    for (const source of sources) expected.push(await numbersOf(await embedder.embed(source)));
    for (const isUnderWay of [false, true]) {
      const gone = new AbortController();
      const [first, second, third] = sources.map((source, i) =>
        embedder.embed(source, i === 1 ? gone.signal : undefined),
      );
      runs.mockClear();
      if (isUnderWay) await vi.waitFor(() => expect(runs).toHaveBeenCalled(), { interval: 0 });
      gone.abort(new Error("gone"));
      await expect(second).rejects.toThrow("gone");
      for (const [i, prompt] of [
        [0, first],
        [2, third],
      ] as const) {
        const { embeddings } = await numbersOf(await prompt);
        expectClose("embeddings", embeddings, Array.from(expected[i].embeddings), tolerances.f32!);
      }
    }
    // pixels of another size than the others', which the model cannot take
    const { pixelValues } = sources[0];
    const shape = (pixelValues!.shape as number[]).map((size, i, { length }) => (i === length - 1 ? size / 2 : size));
    const wrong = { ...sources[0], pixelValues: tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), { shape }) };
    const [fine, failed] = await Promise.allSettled([embedder.embed(sources[2]), embedder.embed(wrong)]);
    expect(failed.status).toBe("rejected");
    const { embeddings } = await numbersOf((fine as PromiseFulfilledResult<HeldPrompt>).value);
    expectClose("embeddings", embeddings, Array.from(expected[2].embeddings), tolerances.f32!);
    embedder.dispose();
    model.dispose();
  });
});
