import type { ChildProcess } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runProgram, TALE, tinyCharacterModel } from "../testing/built-program.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
  await writeFile(join(root, "text.txt"), TALE);
});
afterAll(() => rm(root, { recursive: true }));

interface Finished {
  code: number | null;
  signal: NodeJS.Signals | null;
  output: string;
}

/** Runs a command; `onOutput` sees all output so far. */
async function run(
  args: string[],
  onOutput: (output: string, child: ChildProcess) => void = () => {},
): Promise<Finished> {
  const options = { folder: root, onOutput: ({ all }: { all: string }, child: ChildProcess) => onOutput(all, child) };
  const { code, signal, all: output } = await runProgram(args, options);
  return { code, signal, output };
}

/** Calls back once, when a step is shown. */
const atFirstStep = (act: (child: ChildProcess) => void) => {
  let isDone = false;
  return (output: string, child: ChildProcess) => {
    if (isDone || !/step \d+\/\d+/.test(output)) return;
    isDone = true;
    act(child);
  };
};

const small = tinyCharacterModel(16);
const train = (name: string, ...options: string[]) => [
  "train",
  "--text",
  "text.txt",
  "--name",
  name,
  ...small,
  ...options,
];
const endless = ["--steps", "1000000", "--save-every", "1000000"];

test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
  "%s saves and gives 130; the loss shown is the current one",
  async (signal) => {
    const { code, output } = await run(
      train(signal, ...endless),
      atFirstStep((child) => child.kill(signal)),
    );
    expect(code).toBe(130);
    expect(output).toMatch(/stopped at step \d+ of 1000000, loss \d\.\d{4}, validation loss/);
    const step = /stopped at step (\d+)/.exec(output)?.[1];
    const next = await run(train(signal, "--steps", String(Number(step) + 1)));
    expect(next.output).toMatch(new RegExp(`resumed at step ${step}, validation loss \\d`));
    expect(next.code).toBe(0);
  },
  120_000,
);

test("an output that nobody reads any more saves, too", async () => {
  const { code } = await run(
    train("piped", ...endless),
    atFirstStep((child) => {
      child.stdout?.destroy();
      child.stderr?.destroy();
    }),
  );
  expect(code).toBe(130);
  expect(await readdir(join(root, "runs", "piped", "checkpoint"))).toContain("training_state.json");
}, 120_000);

test("a second Ctrl-C ends a long step at once, and saves nothing of it", async () => {
  const long = ["--width", "512", "--layers", "6", "--context", "256", "--batch", "16"]; // some seconds a step
  let second = Number.POSITIVE_INFINITY;
  const { code, output } = await run(
    [...train("long", ...endless), ...long],
    atFirstStep((child) => {
      setTimeout(() => child.kill("SIGINT"), 300);
      setTimeout(() => {
        second = performance.now();
        child.kill("SIGINT");
      }, 600);
    }),
  );
  expect(performance.now() - second).toBeLessThan(1500);
  expect(code).toBe(130);
  expect(output).toMatch(/stopping after this step; Ctrl-C again to stop at once/);
  expect(output).toMatch(/stopped before anything was saved\. To go on: /);
  const files = await readdir(join(root, "runs"), { recursive: true });
  expect(files.filter((name) => /long.*(lock|checkpoint|tmp)/.test(name))).toEqual([]);
}, 120_000);

test("a second Ctrl-C between two short steps leaves a sound checkpoint", async () => {
  const { code, signal } = await run(
    train("twice", ...endless, "--save-every", "1"),
    atFirstStep((child) => {
      child.kill("SIGINT");
      setTimeout(() => child.kill("SIGINT"), 2);
    }),
  );
  expect([130, "SIGINT"]).toContain(code ?? signal); // the first may have been quick enough
  expect((await run(train("twice", "--steps", "1"))).code).toBe(0);
}, 120_000);

test("killed by the system at several moments, each session goes on from the last and saves", async () => {
  let last = 0;
  for (let kill = 0; kill < 5; kill++) {
    const after = 40 * kill;
    const { output } = await run(
      train("killed", "--steps", "1000000", "--save-every", "1"),
      atFirstStep((child) => setTimeout(() => child.kill("SIGKILL"), after)),
    );
    expect(output).not.toMatch(/error/);
    const resumed = Number(/resumed at step (\d+)/.exec(output)?.[1] ?? 0);
    expect(resumed).toBeGreaterThanOrEqual(last);
    last = resumed;
  }
  expect((await run(train("killed", "--steps", String(last + 1000), "--max-seconds", "1"))).code).toBe(0);
  const steps = (await readFile(join(root, "runs", "killed", "metrics.jsonl"), "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const losses = steps.flatMap((entry) => ("loss" in entry ? [entry.step] : []));
  expect(losses).toEqual(losses.map((_, i) => i + 1));
}, 240_000);

test("a second process is told that the first trains there", async () => {
  let second: Promise<Finished> | undefined;
  const first = await run(
    train("shared", ...endless),
    atFirstStep((child) => {
      second = run(train("shared")).finally(() => child.kill("SIGINT"));
    }),
  );
  expect(first.code).toBe(130);
  const { code, output } = (await second) as Finished;
  expect(code).toBe(1);
  expect(output).toMatch(
    /^error: runs.shared: expected a run that no other process trains; received process \d+, which trains in it\. Fix: wait/m,
  );
}, 120_000);

test("places that cannot be written are errors in four parts, for every command that writes", async () => {
  await run(train("base", "--steps", "1"));
  const isError = ({ code, output }: Finished) => {
    expect(output).toMatch(/^error: .+: expected .+; received .+\. Fix: /m);
    expect(output).not.toMatch(/^\s+at /m); // no stack trace
    expect(code).toBe(1);
  };
  isError(await run(["train", "--text", "text.txt", "--runs", "text.txt/x", ...small]));
  for (const target of ["text.txt/x/m", "text.txt/x/m.gguf"]) isError(await run(["convert", "base", target]));
  isError(await run(["profile", "base", "--steps", "1", "--trace", "text.txt/x"]));
  await mkdir(join(root, "loop"));
  await symlink("b.txt", join(root, "loop", "a.txt"));
  await symlink("a.txt", join(root, "loop", "b.txt"));
  isError(await run(["train", "--text", "loop"]));
}, 240_000);

test("names come from any text, and never lead elsewhere", async () => {
  for (const name of ["红楼梦", "my text"]) {
    await writeFile(join(root, `${name}.txt`), "满纸荒唐言，一把辛酸泪。都云作者痴，谁解其中味？\n".repeat(60));
    const { code, output } = await run(["train", "--text", `${name}.txt`, "--steps", "1", ...small]);
    expect([code, output]).toEqual([0, output]);
    expect((await run(["generate", name, "--prompt", "满纸", "--tokens", "3"])).code).toBe(0);
  }
  const before = await readdir(root, { recursive: true });
  for (const name of ["..", ".", "../runs", "a/b", ""]) {
    expect((await run(["train", "--text", "text.txt", "--name", name, "--restart", ...small])).output).toMatch(
      /error: the name of a run/,
    );
  }
  expect(await readdir(root, { recursive: true })).toEqual(before);
}, 120_000);

test("a small text works with the defaults, with a note", async () => {
  await writeFile(
    join(root, "tiny.txt"),
    "Call me Ishmael. Some years ago, never mind how long precisely. ".repeat(40),
  );
  const { code, output } = await run(["train", "--text", "tiny.txt", "--steps", "1"]);
  expect(output).toMatch(/note: the text repeats too little for 1024 tokens: the vocabulary has \d+/);
  expect(code).toBe(0);
}, 120_000);

test("npm start asks for its port before it trains", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  const { code, output } = await run(["start", "--corpus", "moby-dick", "--port", String(port)]);
  server.close();
  expect(code).toBe(1);
  expect(output).toMatch(
    new RegExp(`^error: serve on 127.0.0.1:${port}: .*npm start -- --corpus moby-dick --port ${port + 1}\\.$`, "m"),
  );
  expect(output).not.toMatch(/vocabulary/);
});
