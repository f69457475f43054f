/** `kindling list`, `show` and `rm`, as users run them. */
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runProgram, TALE, tinyCharacterModel } from "../testing/built-program.ts";
import { hostileNames } from "../testing/hostile-names.ts";

let folder: string;

function run(...args: string[]) {
  const env = { ...process.env, HF_HUB_CACHE: join(folder, "hub"), MODELSCOPE_CACHE: join(folder, "modelscope") };
  return runProgram(args, { folder, env });
}

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
/** A repository as a hub's client keeps it. */
async function pulled(cache: string, name: string): Promise<string> {
  const place = join(folder, cache, name);
  const snapshot = join(place, "snapshots", COMMIT);
  await mkdir(join(place, "blobs"), { recursive: true });
  await mkdir(join(place, "refs"));
  await writeFile(join(place, "refs", "main"), COMMIT);
  await cp(fileURLToPath(new URL("../../golden/decoders/llama", import.meta.url)), snapshot, { recursive: true });
  return place;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  await writeFile(join(folder, "tale.txt"), TALE);
  const small = [...tinyCharacterModel(16), "--steps", "3"];
  expect((await run("train", "--text", "tale.txt", ...small)).code).toBe(0);
  expect((await run("train", "--text", "tale.txt", "--name", "故事", ...small)).code).toBe(0);
  await pulled("hub", "models--owner--tiny-llama");
  await pulled(join("modelscope", "models"), "owner--other");
  await mkdir(join(folder, "runs", "no run"));
}, 60_000);
afterAll(() => rm(folder, { recursive: true }));

test("list shows runs and pulled models with what they are", async () => {
  const { output, code } = await run("list");
  expect(code).toBe(0);
  expect(output).toMatch(/^name +kind +parameters +size +changed$/m);
  expect(output).toMatch(/^tale +run +1\dk +\d+\.\d KiB +20\d\d-\d\d-\d\d \d\d:\d\d$/m);
  expect(output).toMatch(/^故事 +run /m);
  expect(output).toMatch(/^owner\/tiny-llama +huggingface +\d+k? /m);
  expect(output).toMatch(/^owner\/other +modelscope /m);
  expect(output).not.toContain("no run");
  const rows = JSON.parse((await run("list", "--json")).output);
  expect(rows.map(({ name }: { name: string }) => name)).toEqual(["tale", "故事", "owner/tiny-llama", "owner/other"]);
  for (const { parameters } of rows) expect(Number.isSafeInteger(parameters)).toBe(true);
  expect((await run("list", "--runs", "elsewhere")).output).toContain("owner/tiny-llama");
});

test("show says what a model is, and of a run its options and last losses", async () => {
  const { output, code } = await run("show", "tale");
  expect(code).toBe(0);
  expect(output).toMatch(/^architecture +GPT2LMHeadModel$/m);
  expect(output).toMatch(/--context 16 .*--width 32 --layers 1 --heads 2/);
  expect(output).toMatch(/^step +3 of 3: loss \d\.\d{4}, validation loss \d\.\d{4}$/m);
  expect((await run("show", "owner/tiny-llama")).output).toMatch(/^architecture +Llama/m);
  expect((await run("show", "tael")).errors).toMatch(
    /^error: tael: expected a run in runs, or a pulled repository; received none\. Fix: kindling list/,
  );
});

test("a wrong name of a model is told with the runs there are, and the nearest", async () => {
  expect((await run("serve", "tael")).errors).toMatch(
    /received "tael"\. Fix: did you mean tale\? The runs in runs are tale, 故事\./,
  );
  expect((await run("chat", "nothing-like-it")).errors).toMatch(/Fix: the runs in runs are tale, 故事\./);
  expect((await run("chat", "tale", "--runs", "elsewhere")).errors).toMatch(
    /Fix: there are no runs in elsewhere yet: kindling train --text/,
  );
  await mkdir(join(folder, "runs", "tiny"));
  await cp(join(folder, "runs", "tale", "run.json"), join(folder, "runs", "tiny", "run.json"));
  for (const name of ["tiny", "runs/tiny"]) {
    expect((await run("chat", name)).errors).toMatch(
      /^error: runs.tiny: expected a run with a model; received one that has saved nothing yet\. Fix: .* train --name tiny\./,
    );
  }
  await rm(join(folder, "runs", "tiny"), { recursive: true });
});

test("rm removes a run or a pulled model, and nothing without a yes", async () => {
  const before = await readdir(folder, { recursive: true });
  expect((await run("rm", "tale")).errors).toMatch(/^error: rm: expected --yes, or a terminal/);
  expect(await readdir(folder, { recursive: true })).toEqual(before);
  expect(await run("rm", "故事", "--yes")).toMatchObject({
    code: 0,
    output: expect.stringMatching(/removed runs.故事/),
  });
  expect(await run("rm", "owner/tiny-llama", "--yes")).toMatchObject({ code: 0 });
  expect(await run("rm", "owner/other", "--yes")).toMatchObject({ code: 0 });
  expect(JSON.parse((await run("list", "--json")).output).map(({ name }: { name: string }) => name)).toEqual(["tale"]);
});

test("what is not Kindling's stays: files of others, links, other folders, hostile names", async () => {
  const place = await pulled("hub", "models--owner--mine");
  await writeFile(join(place, "notes.txt"), "mine");
  await writeFile(join(folder, "runs", "tale", "notes.txt"), "mine");
  const elsewhere = await pulled("elsewhere", "models--owner--linked");
  await symlink(elsewhere, join(folder, "hub", "models--owner--linked"), "junction");
  const before = (await readdir(folder, { recursive: true })).sort();
  expect((await run("rm", "owner/mine", "--yes")).errors).toMatch(
    /expected nothing but what a hub's client writes; received notes\.txt/,
  );
  expect((await run("rm", "tale", "--yes")).errors).toMatch(/notes\.txt, which Kindling did not write/);
  expect((await run("rm", "owner/linked", "--yes")).errors).toMatch(/received none/);
  const names = [
    ...hostileNames.filter((name) => !name.includes("\0") && !name.startsWith("-") && !name.includes("\ud800")),
    "no run",
    "runs",
    "tale.txt",
    "../runs",
  ];
  for (const name of names.filter((_, i) => i % 4 === 0))
    expect([name, (await run("rm", "--yes", "--", name)).code]).toEqual([name, 1]);
  expect((await readdir(folder, { recursive: true })).sort()).toEqual(before);
}, 60_000);
