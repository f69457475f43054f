/**
 * What `kindling convert` refuses to write over, before it reads anything: the name of the model is one that is not
 * there.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeEach, describe, expect, test, vi } from "vitest";
import { fromPretrained } from "../models/index.ts";
import { hostileNames } from "../testing/hostile-names.ts";
import { convertCommand } from "./convert.ts";

const llama = fileURLToPath(new URL("../../golden/decoders/llama", import.meta.url));
vi.spyOn(process.stdout, "write").mockImplementation(() => true);
vi.spyOn(process.stderr, "write").mockImplementation(() => true);
vi.spyOn(console, "warn").mockImplementation(() => {});

const roots: string[] = [];
let root: string;
let runs: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
  roots.push(root);
  runs = join(root, "runs");
  await put({
    "runs/other/run.json": "{}",
    "runs/other/model/config.json": "{}",
    "runs/other/model/model.safetensors": "weights",
  });
});
afterAll(() => Promise.all(roots.map((path) => rm(path, { recursive: true }))));

async function put(files: Record<string, string>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), content);
  }
}
async function tree() {
  const entries = await readdir(root, { withFileTypes: true, recursive: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const contents = await Promise.all(files.sort().map(async (file) => [file, await readFile(file, "latin1")]));
  return [entries.map(({ parentPath, name }) => join(parentPath, name)).sort(), contents];
}
/** Expects a refusal with and without --force, if not said otherwise, and that everything is as it was. */
async function expectRefused(
  target: string,
  message: RegExp,
  { to, force = [false, true] }: { to?: "onnx" | "gguf"; force?: boolean[] } = {},
) {
  const before = await tree();
  for (const isForced of force) {
    await expect(
      convertCommand("nothere", target, { runs, force: isForced, ...(to && { to }) }),
      `${target} ${isForced}`,
    ).rejects.toThrow(message);
  }
  expect(await tree()).toEqual(before);
}

describe("refused before any work", () => {
  test("a file that is there", async () => {
    await put({ "a.gguf": "GGUF...", "b.gguf": "my notes", "c/x": "" });
    await expectRefused(
      join(root, "a.gguf"),
      /not there yet; received .*a\.gguf, a file\. Fix: choose another name, or add --force/,
      { force: [false] },
    );
    await expectRefused(join(root, "b.gguf"), /expected a GGUF file to replace; received .*another kind/, {
      force: [true],
    });
    await expectRefused(join(root, "c"), /expected a file to write; received .*c, a folder/, { to: "gguf" });
    await expectRefused(join(root, "a.gguf", "x"), /ENOTDIR|the name of a run/);
  });

  test("a folder that holds a model, other files, or is a file", async () => {
    await put({
      "m/config.json": "{}",
      "m/README.md": "old",
      "mine/config.json": "{}",
      "mine/thesis.txt": "years of work",
      "pictures/a.png": "",
      file: "",
    });
    await put({
      "deep/config.json": "{}",
      "deep/additional_chat_templates/mine.txt": "",
      "part/config.json": "{}",
      "part/model.safetensors/x": "",
    });
    await expectRefused(join(root, "m"), /a model's folder\. Fix: choose another name, or add --force/, {
      force: [false],
    });
    for (const [name, foreign] of Object.entries({
      mine: "thesis.txt",
      pictures: "a.png",
      deep: "mine.txt",
      part: "model.safetensors",
      ".": "deep|file|m",
    })) {
      for (const to of [undefined, "onnx"] as const)
        await expectRefused(join(root, name), new RegExp(`${foreign}|around it`), { to });
    }
    await expectRefused(join(root, "file"), /a folder, or none yet; received .*file, a file/);
    await put({ "m.old/backup.txt": "mine" });
    await expectRefused(`${join(root, "m")}/`, /expected nothing of this name.*m\.old/, { force: [true] });
  });

  test("the folder of all runs, what is around it, a run, and the folders of one", async () => {
    for (const name of [
      "",
      "runs",
      "runs/",
      "runs/other",
      "runs/other/model",
      "runs/other/checkpoint",
      "runs/other/model.old",
      "runs/../runs",
    ]) {
      for (const to of [undefined, "onnx"] as const)
        await expectRefused(join(root, name), /apart from the runs; received/, { to });
    }
    await symlink(join(runs, "other", "model"), join(root, "link"), "junction");
    await expectRefused(join(root, "link"), /apart from the runs/);
  });

  test("a folder named as a file of weights", async () => {
    for (const name of ["s.safetensors", "s.bin", "s.onnx", "s.pt", "S.BIN/"]) {
      await expectRefused(
        join(root, name),
        /expected a folder; received .*Fix: name a folder, such as .*[sS]; the file in it/,
        { to: "onnx" },
      );
    }
  });
});

test.each(hostileNames)("the name %j replaces nothing that is no model", async (name) => {
  await put({ "keep/notes.txt": "mine", "x/notes.txt": "mine" });
  const before = (await tree())[1] as [string, string][];
  for (const to of [undefined, "gguf"] as const) {
    await convertCommand(llama, `${root}/keep/${name}`, { runs, force: true, ...(to && { to }) }).catch(() => {});
  }
  expect((await tree())[1]).toEqual(expect.arrayContaining(before));
});

describe("with --force", () => {
  test("a GGUF file and a model's folder are replaced as a whole", { timeout: 60_000 }, async () => {
    const [file, folder] = [join(root, "a.gguf"), join(root, "m")];
    await convertCommand(llama, file, { runs });
    await convertCommand(llama, folder, { runs });
    await put({
      "m/README.md": "of another model",
      "m/model-00001-of-00002.safetensors": "old",
      "a.gguf": "GGUF broken",
    });
    await convertCommand(llama, file, { runs, force: true });
    await convertCommand(file, folder, { runs, force: true, to: "safetensors" });
    expect((await readdir(folder)).filter((name) => /README|0001/.test(name) && name !== "README.md")).toEqual([]);
    expect(await readFile(join(folder, "README.md"), "utf8").catch(() => "")).not.toContain("another");
    (await fromPretrained(folder)).dispose();
    expect((await readdir(root)).sort()).toEqual(["a.gguf", "m", "runs"]);
  });

  test("a source that lies in the target is refused, and an empty folder is filled", { timeout: 60_000 }, async () => {
    await mkdir(join(root, "empty"));
    await convertCommand(llama, join(root, "empty"), { runs });
    await expect(
      convertCommand(join(root, "empty", "model.safetensors"), join(root, "empty"), { runs, force: true }),
    ).rejects.toThrow(/another target than/);
    await expect(convertCommand(join(root, "empty"), join(root, "empty"), { runs, force: true })).rejects.toThrow(
      /another target than/,
    );
  });
});
