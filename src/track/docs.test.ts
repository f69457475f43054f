/** The programs of docs/monitoring.md give what they say. */
import { expect, test } from "vitest";
import { runBlock } from "../testing/doc-programs.ts";
import { blocksOf } from "../testing/readme-blocks.ts";
import * as track from "./index.ts";

const blocks = (await blocksOf("ts")).filter(({ code }) => code.includes('"kindling/track"'));

test.each(blocks)("$name", async ({ code }) => {
  const lines = (await runBlock(code, { "kindling/track": track })).map(([line]) => line);
  const expected = /\/\/ (\[.*\])$/m.exec(code)?.[1];
  if (expected) expect(lines).toEqual([JSON.parse(expected.replaceAll("'", '"'))]);
});

test("there are some", () => expect(blocks.length).toBeGreaterThan(4));
