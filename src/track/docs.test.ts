/** The programs of docs/monitoring.md give what they say. */
import { transform } from "esbuild";
import { expect, test, vi } from "vitest";
import { blocksOf } from "../testing/readme-blocks.ts";
import * as track from "./index.ts";

const blocks = (await blocksOf("ts")).filter(({ code }) => code.includes('"kindling/track"'));

test.each(blocks)("$name", async ({ code }) => {
  const program = code.replace(/^import .*$/gm, "");
  const { code: body } = await transform(program, { loader: "ts", tsconfigRaw: { compilerOptions: {} } });
  const lines: unknown[] = [];
  const log = vi.spyOn(console, "log").mockImplementation((line) => void lines.push(line));
  try {
    const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
    await new AsyncFunction(...Object.keys(track), body)(...Object.values(track));
  } finally {
    log.mockRestore();
  }
  const expected = /\/\/ (\[.*\])$/m.exec(code)?.[1];
  if (expected) expect(lines).toEqual([JSON.parse(expected.replaceAll("'", '"'))]);
});

test("there are some", () => expect(blocks.length).toBeGreaterThan(4));
