/** `kindling chat` as a program: pipes, Ctrl-C as a signal, and a terminal where the system can make one. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { program, tinyCharacterModel } from "../../testing/built-program.ts";

let folder: string;

interface Running {
  child: ChildProcess;
  ended: Promise<number | null>;
  output: () => string;
  errors: () => string;
}

function start(command: string, args: string[]): Running {
  const child = spawn(command, args, { cwd: folder, env: { ...process.env, KINDLING_HISTORY: "off" } });
  let [output, errors] = ["", ""];
  child.stdout.on("data", (data) => {
    output += data;
  });
  child.stderr.on("data", (data) => {
    errors += data;
  });
  return {
    child,
    ended: new Promise((resolve) => child.on("close", resolve)),
    output: () => output,
    errors: () => errors,
  };
}
const kindling = (...args: string[]) => start(process.execPath, [program, ...args]);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  await writeFile(
    join(folder, "tale.txt"),
    `user: assistant: how are you?\n${"it was the best of times, it was the worst of times, ".repeat(300)}`,
  );
  const small = [...tinyCharacterModel(64), "--steps", "40", "--lr", "0.01", "--warmup", "5"];
  expect(await kindling("train", "--text", "tale.txt", ...small).ended).toBe(0);
}, 60_000);
afterAll(() => rm(folder, { recursive: true }));

/** Answers without an end: the likeliest next word of a text that says the same again and again. */
const endless = ["chat", "tale", "--tokens", "1000000", "--temperature", "0"];

test("questions from a file: answers on standard output, notes on standard error", async () => {
  const { child, ended, output, errors } = kindling("chat", "tale", "--tokens", "4", "--temperature", "0");
  child.stdin?.end("how are you?\n\nhow was it?\n");
  expect(await ended).toBe(0);
  expect(output()).not.toMatch(/>>>|how/);
  expect(output().length).toBeGreaterThanOrEqual(4);
  expect(errors()).toMatch(/cut off after 4 tokens; --tokens <n> allows more/);
});

test.skipIf(process.platform === "win32")(
  "SIGINT stops the answer and the talk goes on; twice at once ends it with 130",
  async () => {
    const { child, ended, output, errors } = kindling(...endless);
    child.stdin?.write("how are you?\n");
    await vi.waitFor(() => expect(output().length).toBeGreaterThan(20), 20_000);
    child.kill("SIGINT");
    await vi.waitFor(() => expect(errors()).toContain("(stopped)"), 20_000);
    const before = output().length;
    child.stdin?.write("how was it?\n");
    await vi.waitFor(() => expect(output().length).toBeGreaterThan(before + 20), 20_000);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    child.kill("SIGINT");
    await new Promise((resolve) => setTimeout(resolve, 100));
    child.kill("SIGINT");
    expect(await ended).toBe(130);
  },
);

/** util-linux's script runs a command in a terminal of its own. */
const hasTerminal = process.platform === "linux" && spawnSync("script", ["--version"]).status === 0;

test.skipIf(!hasTerminal)(
  "in a terminal Ctrl-C is a key: it stops the answer, and ends twice at the empty prompt",
  async () => {
    const command = [process.execPath, program, ...endless].map((part) => `'${part}'`).join(" ");
    const { child, ended, output } = start("script", ["-qec", command, "/dev/null"]);
    const until = (text: string) => vi.waitFor(() => expect(output()).toContain(text), 20_000);
    await until(">>> ");
    child.stdin?.write("how are you?\r");
    const before = output().length;
    await vi.waitFor(() => expect(output().length).toBeGreaterThan(before + 40), 20_000);
    child.stdin?.write("\u0003");
    await until("(stopped)");
    child.stdin?.write("/help\r");
    await until("/save <file>");
    child.stdin?.write("\u0003");
    await until("(Ctrl-C again, or Ctrl-D, ends the talk)");
    child.stdin?.write("\u0003");
    expect(await ended).toBe(0);
  },
);
