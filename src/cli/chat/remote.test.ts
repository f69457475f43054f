/** `kindling chat --url`: a talk with a server, over the streams of a terminal and over pipes. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type RunningServer, serve } from "../../serve/index.ts";
import { contentEvent, endEvent, ScriptedApi } from "../../testing/scripted-api.ts";
import { heldModel } from "../../testing/served-model.ts";
import { chatCommand } from "./chat.ts";
import { RemoteModel } from "./remote-model.ts";

let folder: string;
let api: ScriptedApi;
let url: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  api = new ScriptedApi("a template");
  url = await api.listen();
});
afterEach(async () => {
  await api.close();
  await rm(folder, { recursive: true });
});

function talk(model: RemoteModel, { isTerminal = true } = {}) {
  const [input, output, errors] = [new PassThrough(), new PassThrough(), new PassThrough()];
  let shown = "";
  let told = "";
  output.on("data", (data) => {
    shown += data;
  });
  errors.on("data", (data) => {
    told += data;
  });
  const ended = chatCommand(model, {
    settings: { stats: isTerminal },
    streams: { input, output, errors, isTerminal },
    history: join(folder, "history"),
  });
  return {
    ended,
    type: (text: string) => input.write(text),
    end: () => input.end(),
    shown: () => shown,
    told: () => told,
    until: (text: string) => vi.waitFor(() => expect(shown).toContain(text), 5000),
  };
}

test("a talk with a server: settings, models, images, thoughts, what it took", async () => {
  api.key = "secret";
  api.models = [{ id: "vectors", kind: "embedding" }, { id: "first", max_model_len: 99 }, { id: "second" }];
  api.answers.push(
    { events: [{ choices: [{ delta: { reasoning_content: "Hm." } }] }, contentEvent("Yes."), endEvent("stop", 12)] },
    { json: { tokens: [1, 2], count: 2 } },
    { events: [contentEvent("Red."), endEvent("length", 1)] },
  );
  await expect(RemoteModel.open(url)).rejects.toThrow(/401: a key is needed.*KINDLING_API_KEY/);
  const model = await RemoteModel.open(`${url}/v1`, { apiKey: "secret" });
  const picture = join(folder, "a.png");
  await writeFile(picture, "pixels");
  const { ended, type, until } = talk(model);
  await until("first answers");
  type("/set top_p 0.5\r/set stop END\rHello\r");
  await until("\u001b[2mHm.\u001b[22m\n\nYes.\n");
  await until("(12 tokens in ");
  type("/tokens\r");
  await until("2 tokens of 99");
  type("/model\r");
  await until("there are: first, second");
  type("/model third\r");
  await until("expected a model of the server: first, second");
  type(`/model second\r/image ${picture}\rWhich colour?\r`);
  await until("cut off; --tokens <n> or /set max_tokens allows more");
  type("/exit\r");
  expect(await ended).toBe(0);
  const [first, , last] = api.requests;
  expect(first.body).toMatchObject({ model: "first", top_p: 0.5, stop: ["END"], stream: true });
  expect(first.body).not.toHaveProperty("stats");
  const image = { url: `data:image/png;base64,${Buffer.from("pixels").toString("base64")}` };
  expect(last.body).toMatchObject({
    model: "second",
    messages: [
      { role: "user", content: "Hello" },
      { role: "assistant", content: "Yes." },
      {
        role: "user",
        content: [
          { type: "text", text: "Which colour?" },
          { type: "image_url", image_url: image },
        ],
      },
    ],
  });
  model.dispose();
});

test("Ctrl-C closes the request; what a server refuses, cuts off or does not answer is told", async () => {
  let isOver = () => {};
  const over = new Promise<void>((resolve) => {
    isOver = resolve;
  });
  api.answers.push(
    { events: [contentEvent("endless"), () => over] },
    { status: 400, json: { error: { message: "too hot", code: "invalid_value" } } },
    { events: [contentEvent("half"), { error: { message: "out of memory" } }] },
    { events: [contentEvent("half"), "drop"] },
  );
  const model = await RemoteModel.open(url);
  const { ended, type, told, until } = talk(model);
  type("one\r");
  await until("endless");
  type("\u0003");
  await until("(stopped)");
  await api.requests[0].closed;
  isOver();
  type("two\r");
  await vi.waitFor(() => expect(told()).toMatch(/received 400: too hot/), 10_000);
  type("three\r");
  await vi.waitFor(() => expect(told()).toMatch(/received an error: out of memory/), 10_000);
  type("four\r");
  await vi.waitFor(
    () => expect(told()).toMatch(/expected an answer to its end; received (aborted|read ECONNRESET)/),
    10_000,
  );
  type("/exit\r");
  expect(await ended).toBe(0);
  model.dispose();
  await expect(RemoteModel.open("ftp://a")).rejects.toThrow(/--url: expected the address of a server/);
  await expect(RemoteModel.open("http://127.0.0.1:1")).rejects.toThrow(/no answer \(ECONNREFUSED\)/);
});

test("over pipes with Kindling's own server: the answers alone", async () => {
  const served = { ...heldModel(400), chatTemplate: "{% for m in messages %}{{ m.content }}{% endfor %}" };
  const server: RunningServer = await serve(served, { port: 0 });
  const model = await RemoteModel.open(server.url, { model: "held" });
  const { ended, type, end, shown } = talk(model, { isTerminal: false });
  type("/set max_tokens 3\none\ntwo\n");
  end();
  expect(await ended).toBe(0);
  expect(shown()).toBe(' !"\n !"\n');
  model.dispose();
  await server.close();
});
