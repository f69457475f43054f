/**
 * docs/from-nothing.md is one program: its blocks compile under strict, run in order, and print what stands below them.
 * The files that it points at exist.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { linkPackages, repository } from "./testing/readme-blocks.ts";

const document = await readFile(join(repository, "docs", "from-nothing.md"), "utf8");

/** The blocks of a language as one text. */
const blocks = (language: string) =>
  Array.from(document.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, "gm")), ([, code]) => code).join(
    "",
  );

test("the program compiles, runs, and prints what the document says", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kindling-"));
  try {
    await linkPackages(folder, ["@types", "onnxruntime-node"]);
    await writeFile(join(folder, "package.json"), JSON.stringify({ type: "module" }));
    await writeFile(join(folder, "program.ts"), blocks("ts"));
    const compiler = join(repository, "node_modules", "typescript", "bin", "tsc");
    const flags = "--target es2023 --module nodenext --types node --strict --noUnusedLocals --skipLibCheck";
    const run = (...args: string[]) => spawnSync(process.execPath, args, { encoding: "utf8", cwd: folder });
    expect(run(compiler, "program.ts", ...flags.split(" ")).stdout).toBe("");
    const { stdout, stderr, status } = run("program.js");
    expect(stderr).toBe("");
    expect(stdout).toBe(blocks("text"));
    expect(status).toBe(0);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("what it points at is there", () => {
  const targets = Array.from(
    document.matchAll(/\]\((\.\.?\/)?([\w./-]+)(?:#[\w-]+)?\)/g),
    ([, up = "", path]) => up + path,
  );
  expect(targets.length).toBeGreaterThan(30);
  expect(targets.filter((path) => !existsSync(join(repository, "docs", path)))).toEqual([]);
});
