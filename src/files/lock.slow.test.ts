import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(root, { recursive: true }));

test("of eight that come at once never two have it", async () => {
  const folder = join(root, "crowd");
  const program = `
    import { FolderLock } from ${JSON.stringify(new URL("../../dist/files/index.js", import.meta.url).href)};
    const lock = await FolderLock.acquire(${JSON.stringify(folder)}).catch(() => undefined);
    if (lock) { console.log(Date.now()); await new Promise((r) => setTimeout(r, 300)); console.log(Date.now()); await lock.release(); }`;
  const outputs = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      let output = "";
      child.stdout.on("data", (data) => (output += data));
      await once(child, "close");
      return output;
    }),
  );
  const held = outputs.filter(Boolean).map((output) => output.trim().split("\n").map(Number));
  for (const [i, [start]] of held.entries())
    for (const [j, [from, to]] of held.entries()) expect(i !== j && start > from && start < to).toBe(false);
});
