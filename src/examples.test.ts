import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { z } from "zod";
import * as advise from "./advise/index.ts";
import * as root from "./index.ts";
import * as metrics from "./metrics/index.ts";
import * as onnx from "./onnx/index.ts";
import * as track from "./track/index.ts";

/*
 * Runs the @example of every docstring. A line that ends in a comment with a value must give that value. Examples that
 * need files or a model of the user's are only checked for the names they use.
 */
const kindling = { ...advise, ...metrics, ...onnx, ...root, z, ...track };
const sources = fileURLToPath(new URL(".", import.meta.url));
const files = (await readdir(sources, { recursive: true })).filter(
  (name) => name.endsWith(".ts") && !name.endsWith(".test.ts"),
);
const examples: [string, string[]][] = [];
for (const file of files) {
  const source = await readFile(`${sources}/${file}`, "utf8");
  for (const [, block] of source.matchAll(/@example\n((?: \* .*\n)+)/g)) {
    examples.push([
      file,
      block
        .split("\n")
        .map((line) => line.replace(/^ \* ?/, ""))
        .filter(Boolean),
    ]);
  }
}

test("there are examples", () => expect(examples.length).toBeGreaterThan(4));

test.each(examples)("%s", async (_, lines) => {
  if (lines.some((line) => line.includes("runs/") || line.includes("generator"))) {
    const [name] = /\w+(?=\()/.exec(lines.join("\n")) as RegExpExecArray;
    expect(kindling).toHaveProperty(name);
    return;
  }
  const expected: unknown[] = [];
  const body = lines.map((line) => {
    const plain = line.replace(/: Tensor<"\w+">/g, "");
    const checked = /^(.*);\s*\/\/ (\[.*\]|-?[\d.]+|".*")$/.exec(plain);
    if (!checked) return plain;
    expected.push(JSON.parse(checked[2]));
    return `results.push(${checked[1]});`;
  });
  const api = Object.entries(kindling);
  const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
  const results: unknown[] = [];
  await new AsyncFunction("results", ...api.map(([name]) => name), body.join("\n"))(
    results,
    ...api.map(([, value]) => value),
  );
  expect(results).toEqual(expected);
});
