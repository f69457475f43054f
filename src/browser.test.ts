/**
 * Kindling in a page: headless Chromium trains a small MLP, a small GPT and a convolution on wasm and on WebGPU, with
 * the losses of Node.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Device } from "./runtime/index.ts";
import { setDefaultDevice } from "./tensor/index.ts";
import { trainAll, trained } from "./testing/page/program.ts";
import { executable, type PageServer, report, servePages } from "./testing/page/serve.ts";
import { golden, inUnits, isNewer, pathOf } from "./testing/tokenizer-kinds.ts";

const TOLERANCE = 2e-4;

const kinds = Object.fromEntries(
  Object.keys(golden.kinds).map((name) => [name, JSON.parse(readFileSync(pathOf(name), "utf8"))]),
);
const kindsFile = JSON.stringify({ kinds, texts: golden.texts });

describe.skipIf(!executable)("in a page", () => {
  let pages: PageServer;
  beforeAll(async () => {
    pages = await servePages({ "/kinds.json": kindsFile });
  });
  afterAll(() => pages?.close());

  test.each(["wasm", "webgpu", "auto"])("%s trains with the losses of Node", { timeout: 240_000 }, async (type) => {
    setDefaultDevice(new Device({ threads: 1 }));
    const expected = await trainAll();
    const result = await report<{ picked: string } & Awaited<ReturnType<typeof trainAll>>>(
      pages.browser,
      `${pages.root}?device=${type}`,
      200_000,
    );
    expect(result.picked).toBe(type === "auto" ? "webgpu" : type);
    for (const name of trained) {
      expect(result[name].length).toBe(expected[name].length);
      for (const [i, loss] of expected[name].entries())
        expect(Math.abs(result[name][i] - loss)).toBeLessThan(TOLERANCE * loss);
    }
  });

  test("every kind of tokenizer.json, with offsets", { timeout: 120_000 }, async () => {
    const answers = await report<Record<string, [number[], number[]][]>>(
      pages.browser,
      `${pages.root}?tokenizers`,
      100_000,
    );
    for (const [name, { ids, offsets }] of Object.entries(golden.kinds)) {
      for (const [i, each] of golden.texts.entries()) {
        if (/script/.test(name) && isNewer.test(each)) continue;
        expect([name, each, ...answers[name][i]]).toEqual([name, each, ids[i], inUnits(offsets[i], each)]);
      }
    }
  });
});
