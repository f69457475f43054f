/** A server for pages of tests, and a browser that opens them. */
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { type Browser, type BrowserContext, chromium } from "playwright-core";

export const executable = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

const types: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};
const ortFolder = fileURLToPath(new URL("../../../node_modules/onnxruntime-web/dist/", import.meta.url));
export const goldenFolder = fileURLToPath(new URL("../../../golden/", import.meta.url));

/** Bundles the page's script as a user's bundler would, of the sources. */
async function bundlePage(): Promise<string> {
  const result = await build({
    entryPoints: [fileURLToPath(new URL("./main.ts", import.meta.url))],
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

const page = `<!doctype html><title>Kindling</title>
<script type="importmap">{ "imports": { "onnxruntime-web/webgpu": "/ort/ort.webgpu.min.mjs" } }</script>
<pre id="result"></pre><script type="module" src="/main.js"></script>`;

export interface PageServer {
  /** Ends with "/". */
  root: string;
  browser: Browser;
  /** Files below /golden that were asked for. */
  asked: string[];
  close(): Promise<void>;
}

/** Serves the page, ONNX Runtime, what is in golden/ (with ranges), and `extra`. */
export async function servePages(extra: Readonly<Record<string, string>> = {}): Promise<PageServer> {
  const texts: Record<string, string> = { "/": page, "/main.js": await bundlePage(), ...extra };
  const asked: string[] = [];
  const server = createServer(({ url = "/", headers, method }, response) => {
    const { pathname } = new URL(url, "http://localhost");
    const isRuntime = /^\/ort\/[\w.-]+$/.test(pathname);
    const file = isRuntime ? ortFolder + pathname.slice(5) : join(goldenFolder, pathname.slice("/golden/".length));
    if (pathname.startsWith("/golden/")) asked.push(`${method} ${pathname}`);
    const isFile = (isRuntime || /^\/golden\/(?!.*\.\.)/.test(pathname)) && existsSync(file);
    const body = isFile ? readFileSync(file) : texts[pathname] && Buffer.from(texts[pathname]);
    const type = types[pathname === "/" ? ".html" : extname(pathname)] ?? "application/octet-stream";
    if (!body) return response.writeHead(404).end();
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "") ?? [];
    const [begin, end] = [Number(from ?? 0), Math.min(body.length, to ? Number(to) + 1 : body.length)];
    response.writeHead(from === undefined ? 200 : 206, {
      "content-type": type,
      "content-length": end - begin,
      etag: `"${body.length}"`,
      ...(from !== undefined && { "content-range": `bytes ${begin}-${end - 1}/${body.length}` }),
    });
    response.end(method === "HEAD" ? undefined : body.subarray(begin, end));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const browser = await chromium.launch({
    executablePath: executable,
    args: [
      "--no-sandbox",
      "--enable-unsafe-webgpu",
      "--use-webgpu-adapter=swiftshader",
      "--enable-features=Vulkan",
      "--ignore-gpu-blocklist",
    ],
  });
  return {
    root: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    browser,
    asked,
    close: async () => {
      await browser.close();
      server.close();
    },
  };
}

/** Opens the page with a question, and gives what it reports. @throws Error with what the console said */
export async function report<T>(opener: Browser | BrowserContext, address: string, timeout: number): Promise<T> {
  const tab = await opener.newPage();
  const messages: string[] = [];
  tab.on("console", (message) => messages.push(message.text()));
  tab.on("pageerror", (cause) => messages.push(String(cause)));
  try {
    await tab.goto(address);
    const text = await tab
      .waitForFunction("document.querySelector('#result')?.textContent", undefined, { timeout })
      .catch(() => undefined);
    if (!text) throw new Error(`no result: ${messages.join("\n")}`);
    const result = JSON.parse((await text.jsonValue()) as string);
    if (result.error) throw new Error(`${result.error}\n${messages.join("\n")}`);
    return result as T;
  } finally {
    await tab.close();
  }
}
