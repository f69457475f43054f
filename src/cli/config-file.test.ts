/** Options of a command from a YAML file. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { afterEach, beforeEach, expect, test } from "vitest";
import { applyConfig } from "./config-file.ts";
import { createProgram } from "./program.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-config-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** `serve` with what is typed, and a file. */
async function apply(text: string, ...typed: string[]): Promise<{ models: readonly string[] | undefined; o: object }> {
  const path = join(folder, "serve.yaml");
  await writeFile(path, text);
  const serve = createProgram().commands.find((command) => command.name() === "serve") as Command;
  serve.action(() => {});
  await serve.parseAsync(typed, { from: "user" });
  const { models } = await applyConfig(serve, path);
  return { models, o: serve.opts() };
}

test("its fields are the options, read as they are typed", async () => {
  const { models, o } = await apply(`
models: sotu
port: 9000
host: 0.0.0.0
timeout: 1.5          # seconds
allowed-hosts: [box.lan, .example.org]
cors-origin: https://app.example.org
keys: /etc/kindling/keys.json
adapter: [sql=adapters/sql, "sotu:haiku=adapters/haiku"]
log: json
metrics-open: true
mmap: false
cache-dtype: f16
`);
  expect(models).toEqual(["sotu"]);
  expect(o).toMatchObject({
    port: 9000,
    host: "0.0.0.0",
    timeout: 1500,
    allowedHosts: ["box.lan", ".example.org"],
    corsOrigin: ["https://app.example.org"],
    keys: "/etc/kindling/keys.json",
    adapter: [
      { name: "sql", folder: "adapters/sql" },
      { name: "sotu:haiku", folder: "adapters/haiku" },
    ],
    log: "json",
    metricsOpen: true,
    mmap: false,
    cacheDtype: "f16",
  });
});

test("what is typed, or in the environment, goes before it", async () => {
  process.env.KINDLING_API_KEY = "environment";
  try {
    const { o } = await apply("port: 9000\nmax-queue: 7\napi-key: file\n", "--port", "8000");
    expect(o).toMatchObject({ port: 8000, maxQueue: 7, apiKey: "environment" });
  } finally {
    delete process.env.KINDLING_API_KEY;
  }
});

test("an empty file sets nothing; true is --log alone", async () => {
  expect((await apply("# nothing\n")).o).toMatchObject({ port: 8080 });
  expect((await apply("log: true\n")).o).toMatchObject({ log: "text" });
  expect((await apply("log: false\n")).o).not.toHaveProperty("log", "text");
});

test.each<[string, RegExp]>([
  ["max-que: 1", /one of the options max-queue, ([\w-]+, ){6}[\w-]+ and \d+ others; .*did you mean "max-queue"/],
  ["colour: red", /received "colour"\. Fix: remove it, or look .* with kindling serve --help\.$/],
  ["maxQueue: 1", /did you mean "max-queue"/],
  ["config: other.yaml", /received "config"/],
  ["port: many", /port: expected another value: it is not a number; received "many"/],
  ["port: [1, 2]", /port: expected a text or a number; received \[1,2\]/],
  ["metrics-open: maybe", /metrics-open: expected true or false/],
  ["log: xml", /log: expected another value: Allowed choices are text, json/],
  ["adapter: sql", /adapter: expected another value: it is not name=folder; received "sql"/],
  ["allowed-hosts: {a: b}", /allowed-hosts: expected a text or a list of texts/],
  ["models: [a, 1]", /models: expected a text or a list of texts/],
  ["- port", /expected a field for each option, as port: 9000; received a list/],
  ["port: 1\nport: 2", /expected YAML; received Map keys must be unique/],
  ["port: [", /expected YAML/],
])("%j is refused", async (text, message) => {
  await expect(apply(text)).rejects.toThrow(message);
});

test("references that grow without end are refused", async () => {
  const lines = [
    "a: &a [x,x,x,x,x,x,x,x,x,x]",
    ...[..."bcdefghi"].map((name, i) => `${name}: &${name} [${Array(10).fill(`*${"abcdefgh"[i]}`).join(",")}]`),
  ];
  await expect(apply(lines.join("\n"))).rejects.toThrow(/expected YAML; received/);
});
