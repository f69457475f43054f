/** What rests when requests to one model of an upstream fail, and when the upstream itself is unwell. */
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect, test } from "vitest";
import { closedAfterEach } from "../testing/closing.ts";
import {
  type Answering,
  chatAnswer,
  chatPiece,
  errorBody,
  eventText,
  fakeUpstream,
  sendJson,
} from "../testing/fake-upstream.ts";
import { testGateway } from "../testing/gateways.ts";
import type { ConfigInput } from "./index.ts";

const closing = closedAfterEach();

const OPEN_MS = 100_000;
const events = { "content-type": "text/event-stream" };
const half = eventText(chatPiece("half"));

/** A gateway over one upstream of two models, which rests after two failures and is asked once for a request. */
async function gatewayOver(baseUrl: string, more: Partial<ConfigInput> = {}) {
  const gateway = await testGateway({
    upstreams: [{ name: "a", baseUrl, models: { shaky: "shaky-v1", steady: "steady-v1" }, timeoutMs: 300 }],
    retries: { attempts: 1 },
    breaker: { failures: 2, openMs: OPEN_MS },
    ...more,
  });
  closing.push(gateway);
  const ask = async (model: string) => {
    const response = await fetch(`${gateway.url}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model, messages: [{ role: "user", content: "Hello" }] }),
    });
    const { error } = (await response.json()) as { error?: { code: string } };
    return { status: response.status, code: error?.code, retryAfter: response.headers.get("retry-after") };
  };
  const states = async () => {
    const text = await (await fetch(gateway.url.replace("/v1", "/metrics"))).text();
    const lines = text.split("\n").filter((line) => /^kindling_gateway_(upstream|model)_breaker\{/.test(line));
    return Object.fromEntries(lines.map((line) => [/\{.*\}/.exec(line)?.[0] ?? "", Number(line.split(" ").at(-1))]));
  };
  return { ...gateway, ask, states };
}

/** An upstream one of whose models answers otherwise. */
async function upstreamWith(shaky: Answering) {
  const upstream = await fakeUpstream((request, response) =>
    request.body.model === "shaky-v1" ? shaky(request, response) : sendJson(response, chatAnswer("well")),
  );
  closing.push(upstream);
  return upstream;
}

test.each<[string, Answering, string]>([
  ["fails", (_, r) => r.writeHead(500).end(), "upstream_error"],
  ["is slow", () => {}, "upstream_timeout"],
  ["cuts its answers", (_, r) => r.destroy(), "upstream_cut"],
  [
    "answers with what is no JSON",
    (_, r) => r.writeHead(200, { "content-type": "application/json" }).end("{"),
    "upstream_invalid_answer",
  ],
])("a model that %s rests alone", async (_, answer, code) => {
  const upstream = await upstreamWith(answer);
  const { ask, states } = await gatewayOver(upstream.url);
  for (let i = 0; i < 2; i++) expect(await ask("shaky")).toMatchObject({ code });
  const refused = await ask("shaky");
  expect(refused).toMatchObject({ status: 503, code: "upstream_unavailable" });
  expect(Number(refused.retryAfter)).toBeGreaterThan(OPEN_MS / 1000 - 60);
  expect(await ask("steady")).toMatchObject({ status: 200 });
  expect(upstream.received.map(({ body }) => body.model)).toEqual(["shaky-v1", "shaky-v1", "steady-v1"]);
  expect(await states()).toEqual({
    '{upstream="a"}': 0,
    '{upstream="a",upstream_model="shaky-v1"}': 2,
    '{upstream="a",upstream_model="steady-v1"}': 0,
  });
});

test("a model whose streams are cut off again and again rests, though each begins well", async () => {
  const upstream = await upstreamWith((_, r) =>
    r.writeHead(200, events).write(half, () => setImmediate(() => r.destroy())),
  );
  const { ask, url } = await gatewayOver(upstream.url);
  const stream = (model: string) =>
    fetch(`${url}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model, messages: [{ role: "user", content: "Hello" }], stream: true }),
    }).then((response) => response.text());
  for (let i = 0; i < 2; i++) expect(await stream("shaky")).toContain("upstream_cut");
  expect(await ask("shaky")).toMatchObject({ status: 503, code: "upstream_unavailable" });
  expect(await ask("steady")).toMatchObject({ status: 200 });
});

test("a model that the upstream does not know, and a request that is wrong, rest nothing", async () => {
  for (const status of [404, 400]) {
    const upstream = await upstreamWith((_, r) => sendJson(r, errorBody("no", "no_such_thing"), status));
    const { ask } = await gatewayOver(upstream.url);
    for (let i = 0; i < 3; i++) expect(await ask("shaky")).toMatchObject({ status, code: "no_such_thing" });
    expect(await ask("steady")).toMatchObject({ status: 200 });
  }
});

test("the Retry-After of one model leaves the others be", async () => {
  const upstream = await upstreamWith((_, r) => sendJson(r, errorBody("slow down"), 429, { "retry-after": "60" }));
  const { ask } = await gatewayOver(upstream.url);
  expect(await ask("shaky")).toMatchObject({ status: 429 });
  expect(await ask("shaky")).toMatchObject({ status: 503, retryAfter: "60" });
  expect(await ask("steady")).toMatchObject({ status: 200 });
  expect(upstream.received.length).toBe(2);
});

/** An upstream that takes no requests. */
const unreachable: Record<string, () => Promise<string>> = {
  "refuses connections": async () => {
    const upstream = await fakeUpstream(() => {});
    upstream.close();
    return upstream.url;
  },
  "ends each handshake of TLS": async () => {
    const server = createServer((socket) => socket.destroy());
    await once(server.listen(0, "127.0.0.1"), "listening");
    closing.push(server);
    return `https://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  },
};

test.each(Object.entries(unreachable))("an upstream that %s rests with all of its models", async (_, start) => {
  const { ask, states } = await gatewayOver(await start());
  expect(await ask("shaky")).toMatchObject({ status: 503, code: "upstream_unreachable" });
  expect(await ask("steady")).toMatchObject({ status: 503, code: "upstream_unreachable" });
  for (const model of ["shaky", "steady"]) expect(await ask(model)).toMatchObject({ code: "upstream_unavailable" });
  expect(await states()).toEqual({
    '{upstream="a"}': 2,
    '{upstream="a",upstream_model="shaky-v1"}': 0,
    '{upstream="a",upstream_model="steady-v1"}': 0,
  });
});

test.each([401, 403])("so does one that refuses the key with %i", async (status) => {
  const upstream = await upstreamWith((_, r) => sendJson(r, errorBody("no"), status));
  const { ask } = await gatewayOver(upstream.url);
  for (let i = 0; i < 2; i++) expect(await ask("shaky")).toMatchObject({ code: "upstream_refused_key" });
  expect(await ask("steady")).toMatchObject({ status: 503, code: "upstream_unavailable" });
  expect(upstream.received.length).toBe(2);
});

test("the latency of one model says nothing of another", async () => {
  let now = 0;
  const clock = { now: () => now, sleepUntil: async () => {} };
  const milliseconds = { slow: 5000, middling: 1000, quick: 100 };
  const upstream = await fakeUpstream(({ body }, response) => {
    now += milliseconds[body.model as keyof typeof milliseconds];
    sendJson(response, chatAnswer("well"));
  });
  closing.push(upstream);
  const gateway = await testGateway(
    {
      upstreams: [
        { name: "a", baseUrl: upstream.url, models: { m: "quick", n: "slow" } },
        { name: "b", baseUrl: upstream.url, models: { m: "middling" } },
      ],
      routing: { policy: "latency" },
    },
    { clock },
  );
  closing.push(gateway);
  for (const model of ["n", "m", "m", "m"]) // a and b are measured for m, then the quicker one is taken
    await gateway.client.chat.completions.create({ model, messages: [{ role: "user", content: "Hello" }] });
  expect(upstream.received.map(({ body }) => body.model)).toEqual(["slow", "quick", "middling", "quick"]);
  const metrics = await (await fetch(gateway.url.replace("/v1", "/metrics"))).text();
  expect(metrics).toContain('kindling_gateway_time_to_first_byte_seconds_sum{upstream="a",upstream_model="slow"} 5');
});
