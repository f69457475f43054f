/** What is written where, what is left alone, and what a kill leaves. */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { disk } from "../testing/dying-disk.ts";
import { type DeploymentFile, writeDeployment } from "./write.ts";

vi.mock("node:fs/promises", async (original) => (await import("../testing/dying-disk.ts")).disk.wrap(await original()));

let root: string;
let out: string;
beforeEach(async () => {
  disk.reset();
  root = await mkdtemp(join(tmpdir(), "kindling-"));
  out = join(root, "deployment");
});
afterEach(async () => {
  disk.reset();
  await rm(root, { recursive: true });
});

const first: DeploymentFile[] = [
  { path: "compose.yaml", content: "services: {}\n" },
  { path: "Modelfile", content: "FROM a\n" },
  { path: ".env", content: "KEY=\n", isSecret: true },
];
const second: DeploymentFile[] = [
  { path: "compose.yaml", content: "services: { a: {} }\n" },
  { path: "gateway.yaml", content: "server: {}\n" },
  { path: ".env", content: "KEY=\n", isSecret: true },
];
const put = (name: string, content: string) => writeFile(join(out, name), content);
const read = (name: string) => readFile(join(out, name), "utf8");
async function contents(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).filter((name) => name !== ".kindling-deploy.json");
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), "utf8")])),
  );
}
const asFiles = (files: readonly DeploymentFile[]) =>
  Object.fromEntries(files.map(({ path, content }) => [path, content]));

test("a new folder; secrets are for their owner alone", async () => {
  const { written } = await writeDeployment(out, first);
  expect(written).toEqual(["compose.yaml", "Modelfile", ".env"]);
  expect(await contents(out)).toEqual(asFiles(first));
  expect((await stat(join(out, ".env"))).mode & 0o777).toBe(0o600);
  expect(await readdir(root)).toEqual(["deployment"]);
});

test("files that are as they were written are replaced, those of the past removed, secrets kept", async () => {
  await writeDeployment(out, first);
  await put(".env", "KEY=filled\n");
  await put("notes.txt", "mine");
  const result = await writeDeployment(out, second);
  expect(result).toEqual({ written: ["compose.yaml", "gateway.yaml"], kept: [".env"], removed: ["Modelfile"] });
  expect(await contents(out)).toEqual({ ...asFiles(second), ".env": "KEY=filled\n", "notes.txt": "mine" });
});

describe("what others wrote", () => {
  test("is named before anything is written, and replaced by force, but for secrets", async () => {
    await writeDeployment(out, first);
    await put("compose.yaml", "changed");
    await put("Modelfile", "changed, too");
    await put("gateway.yaml", "never ours");
    await put(".env", "KEY=filled\n");
    const before = await contents(out);
    await expect(writeDeployment(out, second)).rejects.toThrow(/received compose.yaml, gateway.yaml. Fix: .*--force/);
    expect(await contents(out)).toEqual(before);
    const { kept, removed } = await writeDeployment(out, second, { force: true });
    expect({ kept, removed }).toEqual({ kept: [".env"], removed: [] });
    expect(await contents(out)).toEqual({ ...asFiles(second), ".env": "KEY=filled\n", Modelfile: "changed, too" });
  });

  test("a folder that was there, a link, a file, and names that are needed", async () => {
    await mkdir(out);
    await put("compose.yaml", "services: {}\n"); // equal by chance, and still not ours
    await expect(writeDeployment(out, first)).rejects.toThrow(/received compose.yaml/);
    await rm(join(out, "compose.yaml"));
    await symlink(join(root, "elsewhere"), join(out, "compose.yaml"));
    await expect(writeDeployment(out, first)).rejects.toThrow(/received compose.yaml/);
    await rm(out, { recursive: true });
    await writeFile(out, "a file");
    await expect(writeDeployment(out, first)).rejects.toThrow(/expected a folder; received a file/);
    await rm(out);
    for (const ending of ["tmp", "old"]) {
      await mkdir(`${out}.${ending}`);
      await writeFile(join(`${out}.${ending}`, "precious.txt"), "mine");
      await expect(writeDeployment(out, first)).rejects.toThrow(/nothing of this name/);
      await rm(`${out}.${ending}`, { recursive: true });
    }
  });

  test("paths of a manifest that lead out of the folder are not followed", async () => {
    await writeDeployment(out, first);
    await writeFile(join(root, "outside"), "FROM a\n");
    const manifest = JSON.parse(await read(".kindling-deploy.json"));
    manifest.files["../outside"] = manifest.files.Modelfile;
    await put(".kindling-deploy.json", JSON.stringify(manifest));
    expect((await writeDeployment(out, second)).removed).toEqual(["Modelfile"]);
    expect(await readdir(root)).toContain("outside");
  });
});

describe("a kill at every moment", () => {
  async function operationsOf(run: () => Promise<unknown>): Promise<number> {
    disk.reset();
    await run();
    return disk.operations.length;
  }

  test("leaves a new folder whole or away, and the next call makes it", async () => {
    const count = await operationsOf(() => writeDeployment(out, first));
    for (let dieAt = 0; dieAt < count; dieAt++) {
      disk.reset();
      await rm(out, { recursive: true, force: true });
      await rm(`${out}.tmp`, { recursive: true, force: true });
      disk.reset(dieAt);
      await writeDeployment(out, first).catch(() => {});
      disk.reset();
      const isThere = (await readdir(root)).includes("deployment");
      if (isThere) expect(await contents(out)).toEqual(asFiles(first));
      await writeDeployment(out, first);
      expect(await contents(out)).toEqual(asFiles(first));
    }
  });

  test("leaves each file of a folder old or new, and the next call completes it", async () => {
    await writeDeployment(out, first);
    const count = await operationsOf(() => writeDeployment(out, second));
    for (let dieAt = 0; dieAt < count; dieAt++) {
      disk.reset();
      await rm(out, { recursive: true });
      await writeDeployment(out, first);
      disk.reset(dieAt);
      await writeDeployment(out, second).catch(() => {});
      disk.reset();
      const known = (name: string) =>
        [...first, ...second].filter(({ path }) => path === name).map(({ content }) => content);
      for (const [name, content] of Object.entries(await contents(out)))
        if (!name.includes(".tmp-")) expect(known(name)).toContain(content);
      await writeDeployment(out, second);
      expect(await contents(out)).toEqual(asFiles(second));
    }
  });
});
