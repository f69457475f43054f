/** The programs of docs/augmentation.md and docs/meta-learning.md run. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { transform } from "esbuild";
import { expect, test } from "vitest";
import * as kindling from "../index.ts";
import { blocksOf } from "../testing/readme-blocks.ts";

const blocks = (await blocksOf("ts")).filter(({ name }) => /^docs-(augmentation|meta-learning)/.test(name));
/** Those that download models are compiled alone, with the blocks of the README. */
const programs = blocks.filter(({ code }) => !code.includes("pipeline("));

test("there are programs", () => expect(programs.length).toBeGreaterThanOrEqual(7));

test.each(programs)("$name", async ({ code }) => {
  const folder = await mkdtemp(`${tmpdir()}/kindling-`);
  try {
    const { code: plain } = await transform(code.replaceAll('"runs/', `"${folder}/`), { loader: "ts" });
    const body = plain.replace(/import \{([^}]+)\} from "kindling";/g, "const {$1} = kindling;");
    const lines: string[] = [];
    const output = { log: (...values: unknown[]) => lines.push(values.join(" ")) };
    const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
    await new AsyncFunction("kindling", "console", body)(kindling, output);
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.join()).not.toMatch(/undefined|NaN/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
