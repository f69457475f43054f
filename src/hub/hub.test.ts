/** Against a server on this machine that speaks the hub's protocol. */
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { readBytes, StoredDownloads } from "../files/index.ts";
import { fromPretrained } from "../models/index.ts";
import { memoryStore } from "../testing/memory-store.ts";
import { type HubOptions, isRemoteName, isRepositoryId, localPath, pull, repositoryOf, shortName } from "./index.ts";
import { neededFiles } from "./settings.ts";
import { webRepository } from "./web-repository.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const golden = fileURLToPath(new URL("../../golden/models/bert-sequence-classification/", import.meta.url));
const weights = await readFile(join(golden, "model.safetensors"));
const config = await readFile(join(golden, "config.json"));
const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
const gitHash = (bytes: Buffer) => createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

interface Repo {
  files: Record<string, { bytes: Buffer; isLarge: boolean }>;
  /** Bytes after which an answer breaks off, once. */
  breakAt?: number;
  /** Whether answers with large files say nothing more after their first bytes. */
  stalls?: boolean;
  needsToken?: string;
  isDamaged?: boolean;
}
let server: Server;
let repo: Repo;
let requests: { url: string; range?: string; authorization?: string }[];
let folder: string;
let options: HubOptions;

function answer(request: IncomingMessage, response: ServerResponse): unknown {
  const asked = decodeURIComponent(request.url ?? "");
  // a data set has the same files, behind addresses of its own
  const url = asked.replace(/^\/api\/datasets\/(?=me\/tiny)/, "/api/models/").replace(/^\/datasets\/(?=me\/tiny)/, "/");
  requests.push({ url: asked, range: request.headers.range, authorization: request.headers.authorization });
  const json = (value: unknown, headers: Record<string, string> = {}, status = 200) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify(value));
  };
  if (repo.needsToken && request.headers.authorization !== `Bearer ${repo.needsToken}`)
    return json({ error: "gated" }, { "x-error-code": "GatedRepo" }, 401);
  const names = Object.keys(repo.files);
  if (url === "/api/models/me/tiny/revision/main") return json({ sha: COMMIT });
  if (url.startsWith(`/api/models/me/tiny/tree/${COMMIT}`)) {
    // two pages
    const page = url.includes("cursor") ? names.slice(2) : names.slice(0, 2);
    const entries = page.map((path) => {
      const { bytes, isLarge } = repo.files[path];
      return {
        type: "file",
        path,
        size: bytes.length,
        oid: gitHash(bytes),
        ...(isLarge && { lfs: { oid: sha256(bytes), size: bytes.length } }),
      };
    });
    const next = `<http://${request.headers.host}/api/models/me/tiny/tree/${COMMIT}?cursor=2>; rel="next"`;
    return json(entries, url.includes("cursor") || names.length <= 2 ? {} : { link: next });
  }
  const path = new RegExp(`^/me/tiny/resolve/${COMMIT}/(.*)$`).exec(url)?.[1];
  const file = path === undefined ? undefined : repo.files[path];
  if (!file)
    return json(
      { error: "none" },
      { "x-error-code": url.includes("/me/tiny/revision/") ? "RevisionNotFound" : "RepoNotFound" },
      404,
    );
  const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
  const bytes = repo.isDamaged ? Buffer.alloc(file.bytes.length) : file.bytes;
  response.writeHead(start > 0 ? 206 : 200, { "content-length": bytes.length - start });
  if (repo.breakAt !== undefined && file.isLarge && start === 0) {
    response.write(bytes.subarray(0, repo.breakAt));
    setTimeout(() => response.destroy(), 30);
    return;
  }
  if (repo.stalls && file.isLarge) return response.write(bytes.subarray(start, start + 1));
  response.end(bytes.subarray(start));
}

beforeEach(async () => {
  requests = [];
  repo = {
    files: {
      "config.json": { bytes: config, isLarge: false },
      "model.safetensors": { bytes: weights, isLarge: true },
      "pytorch_model.bin": { bytes: weights, isLarge: true },
    },
  };
  server = createServer(answer).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  folder = await mkdtemp(join(tmpdir(), "kindling-hub-"));
  options = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cacheFolder: folder,
    token: false,
  };
});
afterEach(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

describe("pull", () => {
  test("brings what a model needs into the cache, as Python's client lays it out", async () => {
    const path = await pull("me/tiny", options);
    expect(path).toBe(join(folder, "models--me--tiny", "snapshots", COMMIT));
    expect(repositoryOf(path)).toBe("me/tiny");
    expect(await readlink(join(path, "model.safetensors"))).toBe(join("..", "..", "blobs", sha256(weights)));
    expect(await readFile(join(folder, "models--me--tiny", "refs", "main"), "utf8")).toBe(COMMIT);
    expect(requests.some(({ url }) => url.endsWith(".bin"))).toBe(false);
    const model = await fromPretrained(path, { task: "sequence-classification" });
    expect(model.config.labels).toHaveLength(3);
  });

  test("brings a data set's files, all of its kinds, into a folder of its own", async () => {
    repo.files = {
      "README.md": { bytes: Buffer.from("# tiny"), isLarge: false },
      "data/train.jsonl": { bytes: Buffer.from('{"x": 1}'), isLarge: false },
    };
    const dataset = { ...options, kind: "dataset", include: ["*"] } as const;
    const path = await pull("me/tiny", dataset);
    expect(path).toBe(join(folder, "datasets--me--tiny", "snapshots", COMMIT));
    expect(await readFile(join(path, "data/train.jsonl"), "utf8")).toBe('{"x": 1}');
    for (const { url } of requests) expect(url).toMatch(/^\/(api\/)?datasets\/me\/tiny\//);
    expect(await pull("me/tiny", { ...dataset, isOffline: true })).toBe(path);
    await expect(pull("me/tiny", { ...dataset, source: "modelscope" })).rejects.toThrow(/Hugging Face's hub/);
  });

  test("a second time fetches no file; offline asks nobody", async () => {
    const path = await pull("me/tiny", options);
    requests = [];
    expect(await pull("me/tiny", options)).toBe(path);
    expect(requests.filter(({ url }) => url.includes("/resolve/"))).toEqual([]);
    requests = [];
    expect(await pull("me/tiny", { ...options, isOffline: true })).toBe(path);
    expect(await pull("me/tiny", { ...options, revision: COMMIT })).toBe(path);
    expect(requests).toEqual([]);
    await expect(pull("me/other", { ...options, isOffline: true })).rejects.toThrow(/in the cache/);
  });

  test("goes on where it broke off", async () => {
    repo.breakAt = 1000;
    await pull("me/tiny", options);
    const ranges = requests.filter(({ url }) => url.endsWith("model.safetensors")).map(({ range }) => range);
    expect(ranges).toEqual([undefined, "bytes=1000-"]);
  });

  test("goes on from an earlier program's part", async () => {
    await pull("me/tiny", { ...options, include: ["config.json"] });
    await writeFile(
      join(folder, "models--me--tiny", "blobs", `${sha256(weights)}.incomplete`),
      weights.subarray(0, 500),
    );
    await pull("me/tiny", options);
    expect(requests.filter(({ url }) => url.endsWith("model.safetensors")).map(({ range }) => range)).toEqual([
      "bytes=500-",
    ]);
  });

  test("a file with another hash is refused, and not kept", async () => {
    repo.isDamaged = true;
    await expect(pull("me/tiny", options)).rejects.toThrow(/hash/);
    repo.isDamaged = false;
    await pull("me/tiny", options);
  });

  test("tokens, and errors that say what to do", async () => {
    repo.needsToken = "hf_secret";
    await expect(pull("me/tiny", options)).rejects.toThrow(/gated model.*HF_TOKEN/s);
    await pull("me/tiny", { ...options, token: "hf_secret" });
    await expect(pull("me/tiny", { ...options, token: "hf_secret", revision: "v9" })).rejects.toThrow(
      /revision that exists/,
    );
    await expect(pull("me/none", { ...options, token: "hf_secret" })).rejects.toThrow(/repository that exists/);
    await expect(pull("../x", options)).rejects.toThrow(/owner\/name/);
    await expect(pull("me/tiny", { ...options, endpoint: "notaurl" })).rejects.toThrow(
      /endpoint: expected the address of a hub; received "notaurl"/,
    );
  });

  test("a listing that would write elsewhere is refused", async () => {
    repo.files["../escape.json"] = { bytes: config, isLarge: false };
    await expect(pull("me/tiny", options)).rejects.toThrow(/paths inside the repository/);
  });

  test("progress", async () => {
    const seen: number[] = [];
    await pull("me/tiny", {
      ...options,
      onProgress: ({ file, doneBytes }) => file === "model.safetensors" && seen.push(doneBytes),
    });
    expect(seen.at(-1)).toBe(weights.length);
  });
});

describe("without an answer", () => {
  /** An address where nobody listens any more. */
  async function closedEndpoint(): Promise<string> {
    const closed = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => closed.once("listening", resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    return `http://127.0.0.1:${port}`;
  }
  const warnings = vi.spyOn(console, "warn").mockImplementation(() => {});

  test("what is in the cache is used, with a word; the error for the rest comes soon", async () => {
    const path = await pull("me/tiny", options);
    const endpoint = await closedEndpoint();
    expect(await pull("me/tiny", { ...options, endpoint })).toBe(path);
    expect(warnings.mock.calls.join()).toMatch(/me\/tiny:\n.*what is in the cache is used/);
    const begin = performance.now();
    await expect(pull("me/other", { ...options, endpoint })).rejects.toThrow(
      /expected an answer from 127\.0\.0\.1:.*HF_HUB_OFFLINE/,
    );
    expect(performance.now() - begin).toBeLessThan(3000);
  });

  test("a server that says nothing is waited for no longer than the limit", async () => {
    const silent = createServer(() => {}).listen(0, "127.0.0.1");
    await new Promise((resolve) => silent.once("listening", resolve));
    const endpoint = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    await expect(pull("me/tiny", { ...options, endpoint, timeoutMs: 100 })).rejects.toThrow(/no answer within 0\.1 s/);
    silent.closeAllConnections();
    silent.close();
  });

  test("nor one that stops in the middle", async () => {
    repo.stalls = true;
    await expect(pull("me/tiny", { ...options, timeoutMs: 100 })).rejects.toThrow(/no answer within 0\.1 s/);
    server.closeAllConnections();
  });
});

describe("names", () => {
  test("of repositories alone are asked of a hub", async () => {
    expect(await isRemoteName("me/tiny")).toBe(true);
    expect(await isRemoteName("Qwen/Qwen2.5-0.5B")).toBe(true);
    expect(await isRemoteName("openai/whisper-tiny.en")).toBe(true);
    const local = [
      "tiny",
      "./me/tiny",
      "../me",
      "/me/tiny",
      "~/tiny",
      "me/tiny/model",
      "me/tiny.gguf",
      "me/model.safetensors",
      "src/none",
      "me/",
      "/",
      "",
    ];
    for (const name of local) expect([name, await isRemoteName(name)]).toEqual([name, false]);
  });

  test("of paths where there is nothing are errors, and no server hears of them", async () => {
    for (const name of ["src/none", "me/none.gguf", "./none", "none"]) {
      await expect(localPath(name, options)).rejects.toThrow(/nothing there/);
      await expect(fromPretrained(name, { hub: options })).rejects.toThrow(/nothing there/);
    }
    expect(requests).toEqual([]);
    expect(await localPath("me/tiny", options)).toContain(COMMIT);
  });
});

test("ids", () => {
  expect(["bert-base-uncased", "me/tiny", "HuggingFaceTB/SmolLM2-135M"].every(isRepositoryId)).toBe(true);
  expect(["a/b/c", "../x", "./x", "a--b", "x.git", "", "-x"].some(isRepositoryId)).toBe(false);
});

test("what is fetched of a repository: weights once, and those of modules that follow a model", () => {
  const paths = [
    "config.json",
    "model.safetensors",
    "pytorch_model.bin",
    "onnx/model.onnx",
    "1_Pooling/config.json",
    "2_Dense/config.json",
    "2_Dense/model.safetensors",
    "2_Dense/pytorch_model.bin",
    "3_Dense/pytorch_model.bin",
    "openvino/model.safetensors",
  ];
  const needed = [
    "config.json",
    "model.safetensors",
    "1_Pooling/config.json",
    "2_Dense/config.json",
    "2_Dense/model.safetensors",
    "3_Dense/pytorch_model.bin",
  ];
  expect(neededFiles(paths, {})).toEqual(needed);
  expect(neededFiles(["config.json", "pytorch_model.bin"], {})).toEqual(["config.json", "pytorch_model.bin"]);
});

describe("without a cache folder", () => {
  test("{ cache: false } reads from the server, and keeps nothing", async () => {
    const model = await fromPretrained("me/tiny", { hub: options, cache: false });
    expect(model.source?.name).toBe(`${options.endpoint}/me/tiny`);
    expect(await readdir(folder)).toEqual([]);
    expect(requests.map(({ url }) => url)).toContain(`/me/tiny/resolve/${COMMIT}/model.safetensors`);
    expect(requests.map(({ url }) => url)).not.toContain(`/me/tiny/resolve/${COMMIT}/pytorch_model.bin`);
  });

  test("what a page has kept of a repository is found without the server; refresh asks, if it answers", async () => {
    const store = memoryStore();
    const read = async (refresh: boolean) => {
      const downloads = new StoredDownloads(store, { refresh });
      const place = await webRepository("me/tiny", options, { downloads, refresh });
      expect(await place.list()).toEqual(Object.keys(repo.files));
      expect([await place.has("config.json"), await place.has("tokenizer.json")]).toEqual([true, false]);
      return Buffer.from(await readBytes(place.file("config.json")));
    };
    expect(await read(false)).toEqual(config);
    requests = [];
    expect(await read(false)).toEqual(config);
    expect(requests).toEqual([]);
    expect(await read(true)).toEqual(config);
    expect(requests.map(({ url }) => url)).toContain("/api/models/me/tiny/revision/main");
    server.close();
    server.closeAllConnections();
    expect(await read(true)).toEqual(config);
  });
});

test.each([
  ["models/me--tiny/snapshots/master", "me/tiny"], // ModelScope's
  ["hub/models--gpt2/snapshots/abc/", "gpt2"],
  ["runs/poems/model", undefined],
  ["poems/snapshots/first", undefined],
  ["hub/models--me--tiny", undefined],
])("the repository of %s is %s", (path, id) => {
  expect(repositoryOf(path)).toBe(id);
});

test.each([
  ["me/tiny", "tiny"],
  ["tiny", "tiny"],
  ["/models/tiny/", "tiny"],
  ["C:\\models\\tiny.gguf", "tiny.gguf"],
  ["hub/models--me--tiny/snapshots/0123abc", "tiny"],
  ["hub/models--gpt2/snapshots/0123abc", "gpt2"],
  ["modelscope/me--tiny/snapshots/master", "tiny"],
  ["models/me--tiny", "me--tiny"],
  ["hub/models--me--tiny", "tiny"],
  ["/", ""],
])("the short name of %s is %s", (place, name) => {
  expect(shortName(place)).toBe(name);
});
