/** Several models behind one server: which is asked, when it is loaded, and what is told of it. */
import { afterEach, describe, expect, test } from "vitest";
import { DataError } from "../../base/index.ts";
import { jsonPost } from "../../testing/json-post.ts";
import { tinyServedModel } from "../../testing/served-model.ts";
import { createApp, type RunningServer, type ServedModel, serve } from "../index.ts";

/** Something that can be awaited until the test lets it go on. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

/** A model that writes and is loaded on demand, and how often it was. */
function onDemand(id: string, { bytes = 100, opened = Promise.resolve() } = {}) {
  const loads: ServedModel[] = [];
  const begun = gate();
  const load = async () => {
    begun.open();
    await opened;
    const model = { ...tinyServedModel(), id: "not asked for" };
    loads.push(model);
    return model;
  };
  return { loads, begun: begun.opened, entry: { id, kind: "text-generation" as const, bytes, load } };
}

const asker = (app: ReturnType<typeof createApp>) => async (path: string, body?: object) => {
  const init = body && jsonPost({ max_tokens: 2, ...body });
  const answer = await app.request(path, init);
  return { status: answer.status, headers: answer.headers, body: (await answer.json()) as Record<string, never> };
};

/** What was disposed of is of no use any more. */
const expectDisposed = ({ generator }: ServedModel) =>
  expect(generator.generate([1, 2], { maxNewTokens: 1 }).next()).rejects.toThrow();

describe("which model is asked", () => {
  const [a, b] = [onDemand("llama-a"), onDemand("llama-b")];
  const encoder = { id: "e5", kind: "embedding" as const, bytes: 1, load: () => Promise.reject(new Error("never")) };
  const ask = asker(createApp([a.entry, b.entry, encoder]));

  test("its name says, and it alone is loaded", async () => {
    const { status, body } = await ask("/v1/completions", { model: "llama-b", prompt: "x" });
    expect([status, body.model]).toEqual([200, "llama-b"]);
    expect([a.loads.length, b.loads.length]).toEqual([0, 1]);
    await ask("/v1/completions", { model: "llama-b", prompt: "x" });
    expect(b.loads).toHaveLength(1);
  });

  test("the only one of its kind needs no name, one among several does", async () => {
    expect((await asker(createApp([b.entry, encoder]))("/v1/completions", { prompt: "x" })).status).toBe(200);
    const { status, body } = await ask("/v1/completions", { prompt: "x" });
    expect({ status, ...(body.error as object) }).toMatchObject({
      status: 400,
      message: "model: expected the name of one that writes texts, 'llama-a', 'llama-b'; received nothing",
      param: "model",
    });
    const none = await asker(createApp(encoder))("/v1/completions", { prompt: "x" });
    expect(none).toMatchObject({
      status: 404,
      body: { error: { message: "No model writes texts here; served are 'e5'." } },
    });
  });

  test("a name that is not here is told with the nearest, and all", async () => {
    const { status, body } = await ask("/v1/chat/completions", { model: "lama-a", messages: [] });
    expect({ status, ...(body.error as object) }).toMatchObject({
      status: 404,
      message: "The model 'lama-a' is not served here; did you mean 'llama-a'? Served are 'llama-a', 'llama-b', 'e5'.",
      code: "model_not_found",
    });
    expect((await ask("/v1/models/lama-a")).status).toBe(404);
  });

  test("one of another kind is told where to ask it", async () => {
    const { status, body } = await ask("/v1/chat/completions", { model: "e5", messages: [] });
    expect({ status, ...(body.error as object) }).toMatchObject({
      status: 400,
      message:
        "The model 'e5' makes embeddings: ask it at POST /v1/embeddings. Here one is needed that writes texts: 'llama-a', 'llama-b'.",
      code: "wrong_model_kind",
    });
  });
});

describe("what is told of the models", () => {
  const [a, b] = [onDemand("a", { bytes: 500 }), onDemand("b")];
  const resident = { ...tinyServedModel(), id: "c" };
  const encoder = {
    id: "e5",
    kind: "embedding" as const,
    bytes: 7,
    family: "bert",
    load: () => Promise.reject(new Error("never")),
  };
  const ask = asker(createApp([a.entry, b.entry, resident, encoder], { keepAliveMs: 60_000 }));

  test("lists them all, with what is known while they are loaded", async () => {
    await ask("/v1/completions", { model: "a", prompt: "x" });
    await ask("/v1/completions", { model: "c", prompt: "x" });
    const { data } = (await ask("/v1/models")).body;
    expect(data).toMatchObject([
      { id: "a", kind: "text-generation", is_loaded: true, max_model_len: 64 },
      { id: "b", kind: "text-generation", is_loaded: false },
      { id: "c", kind: "text-generation", is_loaded: true },
      { id: "e5", kind: "embedding", is_loaded: false },
    ]);
    expect(data[1]).not.toHaveProperty("max_model_len");
    expect((await ask("/v1/models/e5")).body).toMatchObject({ id: "e5", kind: "embedding" });
  });

  test("by Ollama's endpoints too, which load none but for show", async () => {
    const tags = (await ask("/api/tags")).body.models as {
      name: string;
      size: number;
      details: object;
      digest: string;
    }[];
    expect(tags.map(({ name, size }) => [name, size])).toEqual([
      ["a", 500],
      ["b", 100],
      ["c", 4 * resident.generator.model.parameterCount()],
      ["e5", 7],
    ]);
    expect(tags[3].details).toMatchObject({ family: "bert", quantization_level: "UNKNOWN" });
    expect(new Set(tags.map(({ digest }) => digest)).size).toBe(4);
    const running = (await ask("/api/ps")).body.models as { name: string; expires_at: string }[];
    expect(running.map(({ name }) => name)).toEqual(["a", "c"]);
    const seconds = (Date.parse(running[0].expires_at) - Date.now()) / 1000;
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThanOrEqual(60);
    expect(running[1].expires_at).toMatch(/^9999-/);
    const show = async (model: string) => (await ask("/api/show", { max_tokens: undefined, model })).body;
    expect(await show("e5:latest")).toMatchObject({ capabilities: ["embedding"], details: { family: "bert" } });
    expect(b.loads).toHaveLength(0);
    expect(await show("b")).toMatchObject({ model_info: { "gpt2.context_length": 64 } });
    expect(b.loads).toHaveLength(1);
  });

  test("numbers have their names", async () => {
    const app = createApp([a.entry, resident]);
    await asker(app)("/v1/completions", { model: "a", prompt: "x" });
    const lines = (await (await app.request("/metrics")).text()).split("\n");
    expect(lines).toContain('kindling:generation_tokens_total{model_name="a"} 2');
    expect(lines).toContain('kindling:generation_tokens_total{model_name="c"} 0');
    expect(lines).toContain('kindling:model_loaded{model_name="a"} 1');
    expect(lines).toContain('kindling:model_loaded{model_name="c"} 0'); // nobody has asked for it yet
    expect(lines).toContain('kindling:model_load_seconds_count{model_name="a"} 1');
    expect(lines.filter((line) => line.startsWith("# TYPE kindling:num_requests_running"))).toHaveLength(1);
  });
});

describe("memory", () => {
  test("holds one after another, and the numbers go on", async () => {
    const [a, b] = [onDemand("a"), onDemand("b")];
    const app = createApp([a.entry, b.entry], { memoryBytes: 150 });
    const ask = asker(app);
    for (const model of ["a", "b", "a"])
      expect((await ask("/v1/completions", { model, prompt: "abc" })).status).toBe(200);
    expect([a.loads.length, b.loads.length]).toEqual([2, 1]);
    const lines = (await (await app.request("/metrics")).text()).split("\n");
    expect(lines).toContain('kindling:prefix_cache_queries_total{model_name="a"} 6');
    expect(lines).toContain('kindling:prefix_cache_queries_total{model_name="b"} 3');
    expect(lines).toContain('kindling:model_loaded{model_name="b"} 0');
    await expectDisposed(b.loads[0]);
  });

  test("that a model alone does not fit into, and names twice, are refused at the start", () => {
    expect(() => createApp([onDemand("a").entry], { memoryBytes: 99 })).toThrow(/received a, whose weights take/);
    expect(() => createApp([tinyServedModel(), tinyServedModel()])).toThrow(/received tiny twice/);
    expect(() => createApp([])).toThrow(/at least one model; received none/);
    expect(() => createApp(tinyServedModel(), { keepAliveMs: -1 })).toThrow(/keepAliveMs from 0/);
  });
});

test("a model that cannot be loaded is no fault of the request, and the next one tries again", async () => {
  let isBroken = true;
  const { entry } = onDemand("a");
  const torn = { where: "model.safetensors", expected: "a header", received: "none", fix: "fetch it again" };
  const load = () => (isBroken ? Promise.reject(new DataError(torn)) : entry.load());
  const ask = asker(createApp({ ...entry, load }));
  const { status, body } = await ask("/v1/completions", { prompt: "x" });
  expect({ status, ...(body.error as object) }).toMatchObject({
    status: 500,
    code: "model_load_failed",
    message:
      "The model 'a' could not be loaded: model.safetensors: expected a header; received none. Fix: fetch it again.",
  });
  isBroken = false;
  expect((await ask("/v1/completions", { prompt: "x" })).status).toBe(200);
});

test("as many wait for a load as maxQueue says", async () => {
  const { open, opened } = gate();
  const { entry, begun } = onDemand("a", { opened });
  const ask = asker(createApp(entry, { maxQueue: 1 }));
  const first = ask("/v1/completions", { prompt: "x" });
  await begun;
  const { status, headers, body } = await ask("/v1/completions", { prompt: "x" });
  expect([status, headers.get("retry-after")]).toEqual([429, "5"]);
  expect(body.error).toMatchObject({
    message: "Requests that wait for the model 'a' to be loaded: 1, and it takes no more.",
    code: "rate_limit_exceeded",
  });
  open();
  expect((await first).status).toBe(200);
});

describe("Ollama's keep_alive", () => {
  const a = onDemand("a");
  const ask = asker(createApp([a.entry]));
  const generate = (more: object) =>
    ask("/api/generate", { max_tokens: undefined, model: "a", stream: false, ...more });
  const running = async () => (await ask("/api/ps")).body.models as { expires_at: string }[];

  test("says how long the model stays; with 0 it goes", async () => {
    expect((await generate({ prompt: "x", options: { num_predict: 1 }, keep_alive: "1h30m" })).status).toBe(200);
    const minutes = (Date.parse((await running())[0].expires_at) - Date.now()) / 60e3;
    expect(minutes).toBeGreaterThan(89);
    expect(minutes).toBeLessThanOrEqual(90);
    await generate({ keep_alive: -1 });
    expect((await running())[0].expires_at).toMatch(/^9999-/);
    expect((await generate({ keep_alive: 0 })).body).toMatchObject({ done: true, done_reason: "unload" });
    expect(await running()).toEqual([]);
    expect((await generate({ keep_alive: "0" })).body.done_reason).toBe("unload");
    expect(a.loads).toHaveLength(2);
  });

  test("does not make one go that was handed over loaded", async () => {
    const ask = asker(createApp(tinyServedModel()));
    const body = { max_tokens: undefined, model: "tiny", prompt: "", keep_alive: 0 };
    expect((await ask("/api/generate", body)).body.done_reason).toBe("load");
    expect((await ask("/api/ps")).body.models).toHaveLength(1);
  });

  test.each(["soon", "", "5", "1x", true])("%j is refused", async (value) => {
    const { status, body } = await generate({ prompt: "x", keep_alive: value });
    expect(status).toBe(400);
    expect(body.error).toMatch(/keep_alive: expected a number of seconds or a duration/);
  });
});

describe("a server", () => {
  let server: RunningServer | undefined;
  afterEach(async () => {
    await server?.close();
    server = undefined;
  });
  /** A free port, which the next server most likely gets. */
  const freePort = async () => {
    const probe = await serve(tinyServedModel(), { port: 0 });
    await probe.close();
    return probe.port;
  };

  test("listens before its first model is loaded: /health says 503, requests wait", async () => {
    const port = await freePort();
    const { open, opened } = gate();
    const first = onDemand("first", { opened });
    const starting = serve([first.entry, onDemand("second").entry], { port });
    const url = `http://127.0.0.1:${port}`;
    const early = await fetch(`${url}/health`);
    expect([early.status, early.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(await early.json()).toEqual({ status: "loading" });
    const body = JSON.stringify({ model: "first", prompt: "x", max_tokens: 2 });
    const waiting = fetch(`${url}/v1/completions`, {
      method: "POST",
      body,
      headers: { "content-type": "application/json" },
    });
    open();
    server = await starting;
    expect((await waiting).status).toBe(200);
    expect((await fetch(`${url}/health`)).status).toBe(200);
    expect(first.loads).toHaveLength(1);
  });

  test("whose first model cannot be loaded does not start, and the port is free again", async () => {
    const broken = {
      id: "a",
      kind: "text-generation" as const,
      bytes: 1,
      load: () => Promise.reject(new Error("torn")),
    };
    const port = await freePort();
    await expect(serve(broken, { port })).rejects.toThrow("torn");
    server = await serve(tinyServedModel(), { port });
  });

  test("that closes waits for a load under way, and disposes of it", async () => {
    const { open, opened } = gate();
    const second = onDemand("second", { opened });
    const running = await serve([onDemand("first").entry, second.entry], { port: 0 });
    const leaving = new AbortController();
    const asked = fetch(`${running.url}/v1/completions`, {
      method: "POST",
      body: JSON.stringify({ model: "second", prompt: "x" }),
      headers: { "content-type": "application/json" },
      signal: leaving.signal,
    }).catch(() => "gone");
    await second.begun;
    leaving.abort();
    expect(await asked).toBe("gone");
    let isClosed = false;
    const closing = running.close().then(() => {
      isClosed = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(isClosed).toBe(false);
    open();
    await closing;
    expect(second.loads).toHaveLength(1);
    await expectDisposed(second.loads[0]);
  });
});
