/**
 * Kindling in a page: headless Chromium trains a small MLP and a small GPT on wasm and on WebGPU, with the losses of
 * Node.
 */
import { existsSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Device } from "./runtime/index.ts";
import { setDefaultDevice } from "./tensor/index.ts";
import { trainBoth } from "./testing/page/program.ts";
import { golden, inUnits, isNewer, pathOf } from "./testing/tokenizer-kinds.ts";

const executable = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
const TOLERANCE = 2e-4;

const types: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};
const ortFolder = fileURLToPath(new URL("../node_modules/onnxruntime-web/dist/", import.meta.url));

/** Bundles the page's script as a user's bundler would: with the browser's version of the platform. */
async function bundlePage(): Promise<string> {
  const result = await build({
    entryPoints: [fileURLToPath(new URL("./testing/page/main.ts", import.meta.url))],
    bundle: true,
    format: "esm",
    target: "es2022",
    write: false,
    platform: "browser",
    conditions: ["kindling-source"],
    external: ["onnxruntime-web/webgpu"],
  });
  return result.outputFiles[0].text;
}

const kinds = Object.fromEntries(
  Object.keys(golden.kinds).map((name) => [name, JSON.parse(readFileSync(pathOf(name), "utf8"))]),
);
const kindsFile = JSON.stringify({ kinds, texts: golden.texts });

const page = `<!doctype html><title>Kindling</title>
<script type="importmap">{ "imports": { "onnxruntime-web/webgpu": "/ort/ort.webgpu.min.mjs" } }</script>
<pre id="result"></pre><script type="module" src="/main.js"></script>`;

describe.skipIf(!executable)("in a page", () => {
  let server: Server;
  let browser: Browser;
  beforeAll(async () => {
    const made: Record<string, string> = { "/": page, "/main.js": await bundlePage(), "/kinds.json": kindsFile };
    server = createServer(({ url = "/" }, response) => {
      const path = new URL(url, "http://localhost").pathname;
      const isRuntime =
        path.startsWith("/ort/") && /^[\w.-]+$/.test(path.slice(5)) && existsSync(ortFolder + path.slice(5));
      const body = isRuntime ? readFileSync(ortFolder + path.slice(5)) : made[path];
      response.writeHead(body === undefined ? 404 : 200, {
        "content-type": types[path === "/" ? ".html" : extname(path)] ?? "text/plain",
      });
      response.end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    browser = await chromium.launch({
      executablePath: executable,
      args: [
        "--no-sandbox",
        "--enable-unsafe-webgpu",
        "--use-webgpu-adapter=swiftshader",
        "--enable-features=Vulkan",
        "--ignore-gpu-blocklist",
      ],
    });
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  test.each(["wasm", "webgpu", "auto"])("%s trains with the losses of Node", { timeout: 240_000 }, async (type) => {
    setDefaultDevice(new Device({ threads: 1 }));
    const expected = await trainBoth();
    const tab = await browser.newPage();
    const messages: string[] = [];
    tab.on("console", (message) => messages.push(message.text()));
    tab.on("pageerror", (cause) => messages.push(String(cause)));
    await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/?device=${type}`);
    const text = await tab
      .waitForFunction("document.querySelector('#result')?.textContent", undefined, { timeout: 200_000 })
      .catch(() => undefined);
    if (!text) throw new Error(`no result: ${messages.join("\n")}`);
    const result = JSON.parse((await text.jsonValue()) as string);
    if (result.error) throw new Error(`${result.error}\n${messages.join("\n")}`);
    expect(result.picked).toBe(type === "auto" ? "webgpu" : type);
    for (const name of ["mlp", "gpt"] as const) {
      expect(result[name].length).toBe(expected[name].length);
      for (const [i, loss] of expected[name].entries())
        expect(Math.abs(result[name][i] - loss)).toBeLessThan(TOLERANCE * loss);
    }
    await tab.close();
  });

  test("every kind of tokenizer.json, with offsets", { timeout: 120_000 }, async () => {
    const tab = await browser.newPage();
    await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/?tokenizers`);
    const text = await tab.waitForFunction("document.querySelector('#result')?.textContent", undefined, {
      timeout: 100_000,
    });
    const found = JSON.parse((await text.jsonValue()) as string) as Record<string, [number[], number[]][]>;
    for (const [name, { ids, offsets }] of Object.entries(golden.kinds)) {
      for (const [i, each] of golden.texts.entries()) {
        if (/script/.test(name) && isNewer.test(each)) continue;
        expect([name, each, ...found[name][i]]).toEqual([name, each, ids[i], inUnits(offsets[i], each)]);
      }
    }
    await tab.close();
  });
});
