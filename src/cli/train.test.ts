/** What `kindling train` and `npm start` say, as users read it. */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runProgram, TALE, tinyCharacterModel } from "../testing/built-program.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  await writeFile(join(folder, "text.txt"), TALE);
});
afterAll(() => rm(folder, { recursive: true }));

interface Finished {
  code: number | null;
  output: string;
}
function runShell(command: string): Promise<Finished> {
  return new Promise((resolve) => {
    const child = spawn(command, { cwd: folder, shell: true, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (output += data));
    child.on("close", (code) => resolve({ code, output }));
  });
}
async function run(...args: string[]): Promise<Finished> {
  const { code, all: output } = await runProgram(args, { folder });
  return { code, output };
}
const small = tinyCharacterModel(16);
const train = (name: string, ...options: string[]) =>
  run("train", "--text", "text.txt", "--name", name, ...small, ...options);

test("the loss at the end is that of the last step, as metrics.jsonl and show have it", async () => {
  const { output } = await train("loss", "--steps", "5");
  const last = (await readFile(join(folder, "runs/loss/metrics.jsonl"), "utf8"))
    .split("\n")
    .findLast((line) => line.includes('"loss"')) as string;
  const loss = JSON.parse(last).loss.toFixed(4);
  expect(output).toContain(`finished at step 5, loss ${loss}, validation loss`);
  expect((await run("show", "loss")).output).toContain(`loss ${loss}, validation loss`);
});

test("names with spaces are quoted in the commands that are printed", async () => {
  const { output } = await train("my little story", "--steps", "1");
  expect(output).toMatch(
    /next: node .*main\.js generate "runs.my little story" --prompt "\.\.\." {3}or {3}node .* serve "runs.my little story"/,
  );
});

test("a run that its time limit ended says that it is undertrained, and npm start says it again", async () => {
  const { output } = await train("sotu", "--steps", "100000", "--max-seconds", "0.3");
  const said =
    /undertrained: it stopped at step \d+ of 100000 \(\d %\), after \d s, .*\nTo go on, at most \d+ .* more: (node .*main\.js train --name sotu --max-seconds \d+)\n/;
  const command = said.exec(output)?.[1] as string;
  const start = await run("start", "--no-serve");
  expect(start.output).toMatch(/^using the model trained earlier in runs.sotu\n/);
  expect(said.exec(start.output)?.[1]).toBe(command);
  const again = await runShell(`${command} --steps 5`);
  expect(again.output).toMatch(/resumed at step \d+/);
  expect(again.output).not.toContain("undertrained");
  expect((await run("start", "--no-serve")).output).toMatch(
    /trained earlier in runs.sotu \(delete the folder to train again\)/,
  );
});
