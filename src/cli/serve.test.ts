/** `kindling serve` as a program: its signals, its exit codes. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { addKey } from "../keys/index.ts";
import { program } from "../testing/built-program.ts";

const model = fileURLToPath(new URL("../../golden/pipelines/models/gpt2", import.meta.url));
let folder: string;
let child: ChildProcess | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-serve-"));
});
afterEach(async () => {
  child?.kill("SIGKILL");
  await rm(folder, { recursive: true });
});

/** What the program has written so far, to wait for. */
class Output {
  text = "";
  private waiting: (() => void)[] = [];

  add(data: string): void {
    this.text += data;
    for (const look of this.waiting) look();
  }

  /** Waits until it says that. */
  async match(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.text);
      if (match) return match;
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
  }
}

/** Serves, and waits until it says where. */
async function start(...options: string[]) {
  const { running, output, ended } = run(model, "--port", "0", ...options);
  const [, url] = await output.match(/ at (https?:[\w.:/]+)/);
  return { running, output, ended, url };
}

function run(...options: string[]) {
  const running = spawn(process.execPath, [program, "serve", ...options], { cwd: folder });
  child = running;
  const output = new Output();
  for (const stream of [running.stdout, running.stderr])
    stream.setEncoding("utf8").on("data", (text) => output.add(text));
  const ended = once(running, "close") as Promise<[code: number | null, signal: string | null]>;
  return { running, output, ended };
}

/** The objects of a log; throws for any other line. */
const objectsOf = ({ text }: Output) =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { time: string; level: string; message: string; path?: string });

/** A stream that goes on for as long as the model has room. */
async function stream(url: string, headers: Record<string, string> = {}) {
  const response = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ prompt: [1, 2], max_tokens: 90, ignore_eos: true, stream: true }),
  });
  return { status: response.status, text: response.text() };
}

test("SIGHUP reads keys again and ends nothing; SIGTERM ends it with 0, when what is under way is whole", async () => {
  const keys = join(folder, "keys.json");
  const key = await addKey(keys, "app");
  const { running, output, ended, url } = await start("--keys", keys, "--log", "json", "--audit", "audit.jsonl");
  expect((await stream(url)).status).toBe(401);
  await (await stream(url, { "x-api-key": key })).text;
  await output.match(/"key":"app",.*"finish_reason":"length"/);
  await writeFile(keys, "{}");
  running.kill("SIGHUP");
  await output.match(/not read again, what was there before stays: .*keys\.json/);
  const { status, text } = await stream(url, { "x-api-key": key });
  running.kill("SIGTERM");
  expect(status).toBe(200);
  expect(await text).toMatch(/"finish_reason":"length"[\s\S]*\[DONE\]/);
  expect(await ended).toEqual([0, null]);
  expect(await readFile(join(folder, "audit.jsonl"), "utf8")).toMatch(/"server_started"[\s\S]*"server_stopped"\}\n$/);
});

test("with --log json each line is an object, and says when, how grave and what", async () => {
  const keys = join(folder, "keys.json");
  const key = await addKey(keys, "app");
  await chmod(keys, 0o644); // which is warned of
  const { running, output, ended, url } = await start("--keys", keys, "--log", "json");
  const headers = { "x-api-key": key };
  const [, second] = await Promise.all([
    stream(url, headers).then(({ text }) => text),
    (await stream(url, headers)).text,
  ]);
  expect(second).toContain("[DONE]");
  await writeFile(keys, "{}");
  running.kill("SIGHUP");
  await output.match(/not read again/);
  running.kill("SIGTERM");
  expect(await ended).toEqual([0, null]);
  const lines = objectsOf(output);
  for (const line of lines) {
    expect(line.time).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    expect([line.level, line.message]).toEqual([expect.stringMatching(/^(info|warn|error)$/), expect.any(String)]);
  }
  const said = lines.filter(({ path }) => path === undefined).map(({ level, message }) => `${level} ${message}`);
  // the file is read again when it changes, and when it is told
  expect([...new Set(said)]).toEqual([
    expect.stringMatching(/^warn .*keys\.json:\n- others may read the hashes/),
    `info serving gpt2 at ${url}`,
    expect.stringMatching(/^warn not read again, what was there before stays: /),
  ]);
  expect(lines.filter(({ path }) => path !== undefined).map(({ message }) => message)).toEqual([
    "POST /v1/completions 200",
    "POST /v1/completions 200",
  ]);
});

test("so is the line of one that cannot start", async () => {
  const { output, ended } = run(join(folder, "none.gguf"), "--log", "json");
  expect(await ended).toEqual([1, null]);
  expect(objectsOf(output)).toMatchObject([{ level: "error", message: expect.stringMatching(/^error: .*none\.gguf/) }]);
});

test("so is that of a file of options that cannot be read", async () => {
  const config = join(folder, "wrong.yaml");
  await writeFile(config, "port: [");
  const { output, ended } = run("--config", config, "--log", "json");
  expect(await ended).toEqual([1, null]);
  expect(objectsOf(output)).toMatchObject([{ level: "error", message: expect.stringMatching(/wrong\.yaml/) }]);
});

test("its options may be in a file; without anything to read again SIGHUP ends it", async () => {
  const config = join(folder, "serve.yaml");
  await writeFile(config, "log: json\nmax-queue: 3\n");
  const { running, output, ended, url } = await start("--config", config);
  await fetch(`${url}/health`);
  await output.match(/"path":"\/health"/);
  running.kill("SIGHUP");
  expect(await ended).toEqual([0, null]);
});
