/** Files behind addresses: servers with ranges, without, wrong ones, and downloads that are cut. */
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { memoryStore } from "../testing/memory-store.ts";
import {
  memoryFile,
  memoryFolder,
  type PartStore,
  readBytes,
  readJson,
  readSafetensors,
  readTorch,
  StoredDownloads,
  webFile,
  webFolder,
} from "./index.ts";

const torch = fileURLToPath(new URL("../../golden/torch/", import.meta.url));
/** Longer than the first answer, and than two stored parts. */
const long = Uint8Array.from({ length: 40 * 2 ** 20 }, (_, i) => (i * 2654435761) >>> 24);

/** Without the differences, of which there might be many. */
const isLong = (bytes: Uint8Array) => Buffer.compare(bytes, long) === 0;

type Answer = (request: IncomingMessage, response: ServerResponse) => void;
let server: Server;
let root: string;
let answers: Record<string, Answer> = {};
let asked: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}${request.headers.range ? ` ${request.headers.range}` : ""}`);
    const answer = answers[request.url as string];
    if (answer) answer(request, response);
    else response.writeHead(404).end("none");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  root = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterAll(() => server.close());
beforeEach(() => {
  [answers, asked] = [{}, []];
});

/** As most servers: parts where they are asked for, the size and a version. */
const ranged = (bytes: Uint8Array, etag = '"1"'): Answer => versioned(bytes, { etag });
/** As servers without ETags, which tell when a file was last changed. */
const dated = (bytes: Uint8Array, day = 1): Answer =>
  versioned(bytes, { "last-modified": new Date(Date.UTC(2026, 10, day)).toUTCString() });
const versioned =
  (bytes: Uint8Array, version: Record<string, string> = {}): Answer =>
  ({ method, headers }, response) => {
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "") ?? [];
    if (from !== undefined && Number(from) >= bytes.length) {
      response.writeHead(416, { "content-range": `bytes */${bytes.length}` }).end();
      return;
    }
    const [begin, end] = [Number(from ?? 0), Math.min(bytes.length, to ? Number(to) + 1 : bytes.length)];
    const range = from === undefined ? {} : { "content-range": `bytes ${begin}-${end - 1}/${bytes.length}` };
    response.writeHead(from === undefined ? 200 : 206, { ...range, ...version, "content-length": end - begin });
    response.end(method === "HEAD" ? undefined : bytes.subarray(begin, end));
  };
/** As a server that knows no ranges. */
const plain =
  (bytes: Uint8Array): Answer =>
  (_, response) =>
    response.writeHead(200).end(bytes);

const part = async (url: string, offset: number, length: number) => {
  const source = await webFile(url).open();
  try {
    return await source.read(offset, length);
  } finally {
    await source.close();
  }
};

describe("a file behind an address", () => {
  test.each([
    ["with ranges", ranged],
    ["without", plain],
  ])("of a server %s has the tensors of the file", async (_, serve) => {
    for (const [name, read] of [
      ["nested.pt", readTorch],
      [
        "nested.safetensors",
        async (file: Parameters<typeof readSafetensors>[0]) => (await readSafetensors(file)).tensors,
      ],
    ] as const) {
      answers[`/${name}`] = serve(await readFile(torch + name));
      expect(await read(webFile(root + name))).toEqual(await read(torch + name));
    }
  });

  test("is read in the parts that are asked for", async () => {
    answers["/long"] = ranged(long);
    expect(await part(`${root}long`, 2 ** 20, 5)).toEqual(long.slice(2 ** 20, 2 ** 20 + 5));
    expect(await part(`${root}long`, long.length - 3, 3)).toEqual(long.slice(-3));
    expect(asked).toEqual([
      ...["GET /long bytes=0-65535", "GET /long bytes=1048576-1048580"],
      ...["GET /long bytes=0-65535", `GET /long bytes=${long.length - 3}-${long.length - 1}`],
    ]);
  });

  test("of a server without ranges is fetched once", async () => {
    answers["/long"] = plain(long);
    const source = await webFile(`${root}long`).open();
    expect(await source.read(2 ** 20, 5)).toEqual(long.slice(2 ** 20, 2 ** 20 + 5));
    expect(await source.read(7, 2)).toEqual(long.slice(7, 9));
    expect(asked.length).toBe(1);
  });

  test("may be empty", async () => {
    answers["/empty"] = ranged(new Uint8Array(0));
    expect(await readBytes(webFile(`${root}empty`))).toEqual(new Uint8Array(0));
  });

  const first = long.subarray(0, 2 ** 16);
  const headed: (later: Answer) => Answer = (later) => (request, response) =>
    request.headers.range === "bytes=0-65535" ? ranged(long)(request, response) : later(request, response);
  const content = (begin: number, end: number) => `bytes ${begin}-${end}/${long.length}`;
  test.each<[string, Answer, RegExp]>([
    [
      "too short a part",
      headed((_, response) => {
        response
          .writeHead(206, { "content-range": content(2 ** 20, 2 ** 20 + 4), etag: '"1"' })
          .end(long.subarray(0, 3));
      }),
      /expected 5 bytes; received 3/,
    ],
    [
      "too long a part",
      headed((_, response) => {
        response
          .writeHead(206, { "content-range": content(2 ** 20, 2 ** 20 + 4), etag: '"1"' })
          .end(long.subarray(0, 9));
      }),
      /expected 5 bytes; received more/,
    ],
    [
      "another part",
      headed((_, response) => {
        response.writeHead(206, { "content-range": content(7, 11), etag: '"1"' }).end(long.subarray(0, 5));
      }),
      /bytes 1048576 to 1048580; received bytes from 7 on/,
    ],
    ["another version", headed(ranged(long, '"2"')), /received another version/],
    ["the whole file", headed(plain(long)), /received status 200, the whole file/],
    ["an error", headed((_, response) => response.writeHead(500).end()), /received status 500/],
    [
      "a page",
      (_, response) => response.writeHead(200, { "content-type": "text/html" }).end(first),
      /a page \(text\/html\)/,
    ],
    [
      "half an answer",
      headed((_, response) => {
        response.writeHead(206, { "content-range": content(2 ** 20, 2 ** 20 + 4), etag: '"1"', "content-length": 5 });
        response.write(long.subarray(0, 2));
        setTimeout(() => response.destroy(), 20);
      }),
      /expected an answer from 127/,
    ],
  ])("of a server that gives %s is an error", async (_, answer, message) => {
    answers["/long"] = answer;
    await expect(part(`${root}long`, 2 ** 20, 5)).rejects.toThrow(message);
  });

  test.each<[string, Answer, Answer]>([
    ["a later date", dated(long), dated(long, 2)],
    ["another size", versioned(long), versioned(long.subarray(0, 2 ** 21))],
    ["another size and the same ETag", ranged(long), ranged(long.subarray(0, 2 ** 21))],
    ["an end before the part", ranged(long), ranged(long.subarray(0, 2 ** 17))],
  ])("that is replaced while it is read by one with %s is an error", async (_, before, after) => {
    answers["/long"] = before;
    const source = await webFile(`${root}long`).open();
    expect(await source.read(2 ** 20, 5)).toEqual(long.slice(2 ** 20, 2 ** 20 + 5));
    answers["/long"] = after;
    await expect(source.read(2 ** 20, 5)).rejects.toThrow(
      /received (another version of the file|a file without them \(416\))\. Fix: .*has changed: load it again/,
    );
  });

  test("may have another date at each of several servers when its ETag is the same", async () => {
    const copied = (day: string) => versioned(long, { etag: '"1"', "last-modified": `${day} Nov 2026 10:00:00 GMT` });
    answers["/long"] = copied("Mon, 02");
    const source = await webFile(`${root}long`).open();
    answers["/long"] = copied("Tue, 03");
    expect(await source.read(2 ** 20, 5)).toEqual(long.slice(2 ** 20, 2 ** 20 + 5));
  });

  test("that is not there, or whose server is not, is an error with its address", async () => {
    await expect(readJson(webFile(`${root}config.json`))).rejects.toThrow(/config\.json: .*no such file \(404\)/);
    await expect(readBytes(webFile("http://127.0.0.1:1/x"))).rejects.toThrow(/expected an answer from 127\.0\.0\.1:1/);
  });

  test("is beside others, in a folder", async () => {
    answers["/models/a%20b/config.json"] = ranged(new TextEncoder().encode("{}"));
    answers["/models/a%20b/page.json"] = (_, response) =>
      response.writeHead(200, { "content-type": "text/html" }).end();
    const folder = webFolder(`${root}models`).folder("a b");
    expect([await folder.has("config.json"), await folder.has("other"), await folder.has("page.json")]).toEqual([
      ...[true, false, false],
    ]);
    expect(await readJson(folder.file("other").folder().file("config.json"))).toEqual({});
  });
});

describe("what was downloaded", () => {
  const load = (store: PartStore, name: string, options = {}) => {
    const { open, has } = new StoredDownloads(store, options);
    const folder = webFolder(root, { open, has });
    return { bytes: () => readBytes(folder.file(name)), has: () => folder.has(name) };
  };

  test("is there without the server, and so is what the server has not", async () => {
    answers["/long"] = ranged(long);
    const store = memoryStore();
    expect(isLong(await load(store, "long").bytes())).toBe(true);
    expect(await load(store, "none").has()).toBe(false);
    asked = [];
    expect(isLong(await load(store, "long").bytes())).toBe(true);
    expect([await load(store, "long").has(), await load(store, "none").has()]).toEqual([true, false]);
    expect(asked).toEqual([]);
  });

  test("goes on where it broke off, in this visit and in the next", async () => {
    const cut: Answer = (request, response) => {
      const begin = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
      const range = { "content-range": `bytes ${begin}-${long.length - 1}/${long.length}` };
      response.writeHead(begin > 0 ? 206 : 200, { ...range, etag: '"1"', "content-length": long.length - begin });
      response.write(long.subarray(begin, begin + 18 * 2 ** 20), () => setTimeout(() => response.destroy(), 50));
    };
    answers["/long"] = (request, response) => (asked.length === 1 ? cut : ranged(long))(request, response);
    expect(isLong(await load(memoryStore(), "long").bytes())).toBe(true);
    expect(asked[1]).toMatch(/^GET \/long bytes=[1-9]\d+-$/);

    const store = memoryStore();
    const stop = new AbortController();
    asked = [];
    answers["/long"] = ranged(long);
    const stopped = load(store, "long", {
      signal: stop.signal,
      onProgress: ({ doneBytes }: { doneBytes: number }) => doneBytes > 20 * 2 ** 20 && stop.abort(),
    }).bytes();
    await expect(stopped).rejects.toThrow(/abort/);
    asked = [];
    expect(isLong(await load(store, "long").bytes())).toBe(true);
    expect(asked).toEqual([`GET /long bytes=${2 ** 24}-`]);
  });

  const other = long.map((byte) => byte ^ 1);
  test.each([
    ["another version", ranged(other), ranged(long, '"2"')],
    ["a server that gives no parts", ranged(other), plain(long)],
    ["a later date", dated(other), dated(long, 2)],
  ])("begins anew for %s", async (_, before, answer) => {
    const store = memoryStore();
    const stop = new AbortController();
    answers["/long"] = before;
    const stopped = load(store, "long", {
      signal: stop.signal,
      onProgress: ({ doneBytes }: { doneBytes: number }) => doneBytes > 20 * 2 ** 20 && stop.abort(),
    }).bytes();
    await expect(stopped).rejects.toThrow(/abort/);
    answers["/long"] = answer;
    expect(isLong(await load(store, "long").bytes())).toBe(true);
  });

  test.each([
    ["ETag", ranged(Uint8Array.of(1)), ranged(Uint8Array.of(2), '"2"')],
    ["date", dated(Uint8Array.of(1)), dated(Uint8Array.of(2), 2)],
  ])("is fetched anew when it is asked whether it has changed, and has by its %s", async (_, before, after) => {
    const store = memoryStore();
    answers["/a"] = before;
    await load(store, "a").bytes();
    answers["/a"] = after;
    expect(await load(store, "a").bytes()).toEqual(Uint8Array.of(1));
    expect(await load(store, "a", { refresh: true }).bytes()).toEqual(Uint8Array.of(2));
    expect(await load(store, "a").bytes()).toEqual(Uint8Array.of(2));
  });

  test("says when there is no room for it", async () => {
    answers["/long"] = ranged(long);
    await expect(load(memoryStore(2 ** 20), "long").bytes()).rejects.toThrow(
      /expected room for .* MiB in the browser's storage; .*cache: false/,
    );
    await expect(load({ ...memoryStore(), room: async () => 5 }, "long").bytes()).rejects.toThrow(/room for 40\.0 MiB/);
  });
});

test("files in memory are a folder, with folders inside", async () => {
  const folder = memoryFolder({ "config.json": "{}", "1_Pooling/config.json": new Blob(['{"a":1}']) });
  expect(await folder.list()).toEqual(["config.json", "1_Pooling/config.json"]);
  expect(await readJson(folder.folder("1_Pooling").file("config.json"))).toEqual({ a: 1 });
  expect(await folder.folder("1_Pooling").has("config.json")).toBe(true);
  await expect(readJson(folder.file("x.json"))).rejects.toThrow(/files in memory\/x\.json: .*no such file/);
  expect(await readTorch(memoryFile("x", await readFile(`${torch}nested.pt`)))).toEqual(
    await readTorch(`${torch}nested.pt`),
  );
});

test("a page has an answer for all that is asked of the system", async () => {
  const [node, page] = await Promise.all([import("./system-node.ts"), import("./system-page.ts")]);
  expect(Object.keys(page).sort()).toEqual(Object.keys(node).sort());
  expect([page.join("a/", "./b", "../c"), page.dirname("a/b/c"), page.basename("a/b/")]).toEqual(["a/c", "a/b", "b"]);
  await expect(page.readFile("x")).rejects.toThrow(/readFile x: expected a file system; received a page/);
  const packed = await new Response(
    new Blob(["Call me Ishmael. ".repeat(9)]).stream().pipeThrough(new CompressionStream("deflate-raw")),
  ).arrayBuffer();
  for (const { inflate } of [node, page]) {
    expect(new TextDecoder().decode(await inflate(new Uint8Array(packed), 1000))).toBe("Call me Ishmael. ".repeat(9));
    await expect(inflate(new Uint8Array(packed), 20)).rejects.toThrow();
    await expect(inflate(Uint8Array.of(255, 1, 2), 20)).rejects.toThrow();
  }
});
