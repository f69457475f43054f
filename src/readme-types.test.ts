/** Every TypeScript block of the documents compiles in a user's project. */
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { blocksOf, makeProject, repository } from "./testing/readme-blocks.ts";

test("the blocks compile under strict against the built package", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kindling-"));
  try {
    await makeProject(folder);
    const blocks = await blocksOf("ts");
    expect(blocks.length).toBeGreaterThan(8);
    for (const { name, code } of blocks) await writeFile(join(folder, `${name}.ts`), `${code}\nexport {};\n`);
    const compiler = join(repository, "node_modules", "typescript", "bin", "tsc");
    const { stdout, status } = spawnSync(process.execPath, [compiler, "-p", folder], { encoding: "utf8", cwd: folder });
    expect(stdout).toBe("");
    expect(status).toBe(0);
  } finally {
    await rm(folder, { recursive: true });
  }
});
