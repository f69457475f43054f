/**
 * Models in a page: headless Chromium loads them from a server, on wasm and on WebGPU, and they write, see and hear
 * what they do in Node; what was downloaded stays.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Device } from "./runtime/index.ts";
import { setDefaultDevice } from "./tensor/index.ts";
import { type ModelResults, runModels } from "./testing/page/models.ts";
import { executable, goldenFolder, type PageServer, report, servePages } from "./testing/page/serve.ts";

const TOLERANCE = 2e-4;

describe.skipIf(!executable)("models in a page", () => {
  let pages: PageServer;
  let expected: ModelResults;
  beforeAll(async () => {
    pages = await servePages();
    setDefaultDevice(new Device({ threads: 1 }));
    expected = await runModels((name) => goldenFolder + name);
  }, 120_000);
  afterAll(() => pages?.close());

  function expectSame({ classes, labels, ...exact }: ModelResults): void {
    const { classes: ofClasses, labels: ofLabels, ...rest } = expected;
    expect(exact).toEqual(rest);
    for (const [scores, wanted] of [
      [classes, ofClasses],
      [labels, ofLabels],
    ]) {
      expect(Object.keys(scores).sort()).toEqual(Object.keys(wanted).sort());
      for (const [label, score] of Object.entries(wanted))
        expect(Math.abs(scores[label] - score), label).toBeLessThan(TOLERANCE);
    }
  }

  test.each(["wasm", "webgpu"])("%s gives the results of Node", { timeout: 300_000 }, async (type) => {
    expectSame(await report(pages.browser, `${pages.root}?models&device=${type}`, 280_000));
  });

  test.each([
    ["in the page's files", ""],
    ["in the cache, where it has none", "&store=cache"],
  ])("a second visit asks the server nothing: it is %s", { timeout: 300_000 }, async (_, store) => {
    const visitor = await pages.browser.newContext();
    const address = `${pages.root}?models&device=wasm${store}`;
    const ofModels = () => pages.asked.filter((name) => !/\.(png|jpg|wav)$/.test(name));
    pages.asked.length = 0;
    expectSame(await report(visitor, address, 140_000));
    expect(ofModels()).toContain("GET /golden/decoders/qwen2/model.safetensors");
    pages.asked.length = 0;
    expectSame(await report(visitor, address, 140_000));
    expect(ofModels()).toEqual([]);
    await visitor.close();
  });

  test("nothing is kept with { cache: false }", { timeout: 300_000 }, async () => {
    const visitor = await pages.browser.newContext();
    const address = `${pages.root}?models&device=wasm&store=none`;
    for (let visit = 0; visit < 2; visit++) {
      pages.asked.length = 0;
      expectSame(await report(visitor, address, 140_000));
      expect(pages.asked).toContain("GET /golden/decoders/qwen2/model.safetensors");
    }
    await visitor.close();
  });
});
