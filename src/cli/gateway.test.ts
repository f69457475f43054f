/** kindling gateway, in a process of its own. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { program } from "../testing/built-program.ts";
import { chatUpstream, type FakeUpstream } from "../testing/fake-upstream.ts";

let folder: string;
let upstream: FakeUpstream;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  upstream = await chatUpstream(["well"]);
  await writeFile(join(folder, "prices.yaml"), "models:\n  m: { input: 2, cachedInput: 1, output: 10 }\n");
  await writeFile(
    join(folder, "gateway.yaml"),
    `upstreams:\n  - name: a\n    baseUrl: ${upstream.url}\n    apiKey: \${A_KEY}\n    models: [m]\nprices: prices.yaml\nstore: { sqlite: usage.db }\n`,
  );
});
afterAll(async () => {
  upstream.close();
  await rm(folder, { recursive: true });
});

const start = (args: readonly string[]) =>
  spawn(process.execPath, [program, "gateway", ...args], { cwd: folder, env: { ...process.env, A_KEY: "sk-hidden" } });

async function run(...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = start(args);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (output += data));
  const [code] = await once(child, "close");
  return { code, output };
}

test("it serves, and usage is there after Ctrl-C", async () => {
  const child = start(["gateway.yaml", "--port", "0", "--log"]);
  let [output, log] = ["", ""];
  child.stderr.on("data", (data: Buffer) => (log += data));
  const url = await new Promise<string>((resolve, reject) => {
    child.once("close", () => reject(new Error(log)));
    child.stdout.on("data", (data: Buffer) => {
      output += data;
      const [, address] = /is at (\S+)\/v1, with m\n/.exec(output) ?? [];
      if (address) resolve(address);
    });
  });
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "m", messages: [{ role: "user", content: "Hello" }] }),
  });
  expect(await response.json()).toMatchObject({ choices: [{ message: { content: "well" } }] });
  child.kill("SIGINT");
  expect(await once(child, "close")).toEqual([0, null]);
  expect(log).toMatch(/POST \/v1\/chat\/completions 200 \d+ ms 10\+4 tokens/);
  const { output: table } = await run("usage", "gateway.yaml", "--by", "model");
  expect(table).toMatch(/^model +requests .*\nm +1 +0 +0 +10 +6 +4 +0\.000054 USD +0\n$/);
  const { output: json } = await run("usage", "gateway.yaml", "--json");
  expect(JSON.parse(json)).toMatchObject([{ name: "anonymous", requests: 1, cost: 0.000054 }]);
  expect(output + log + table + json).not.toContain("hidden");
});

test("with --log json each line is an object", async () => {
  const child = start(["gateway.yaml", "--port", "0", "--log", "json"]);
  let output = "";
  const url = await new Promise<string>((resolve) => {
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (data: Buffer) => {
        output += data;
        const [, address] = /is at (\S+)\/v1, with m"/.exec(output) ?? [];
        if (address) resolve(address);
      });
  });
  await fetch(`${url}/health`);
  child.kill("SIGINT");
  expect(await once(child, "close")).toEqual([0, null]);
  const lines = output.trimEnd().split("\n");
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { level: "info", message: `the gateway is at ${url}/v1, with m` },
    { level: "info", message: "GET /health 200", time: expect.any(String) },
  ]);
});

test("check shows what a configuration serves, and what is wrong with one", async () => {
  expect(await run("check", "gateway.yaml")).toMatchObject({
    code: 0,
    output: expect.stringMatching(/^a: openai at http:.*, m\n/),
  });
  await writeFile(join(folder, "wrong.yaml"), "upstream: []\n");
  expect(await run("wrong.yaml")).toMatchObject({ code: 1, output: expect.stringMatching(/did you mean "upstreams"/) });
});

test("usage is asked for by days", async () => {
  for (const day of ["nonsense", "2026-13-99"]) {
    const { code, output } = await run("usage", "gateway.yaml", "--since", day);
    expect([code, output]).toEqual([1, expect.stringMatching(/expected --since to be a day, as 2026-11-01; received/)]);
  }
});
