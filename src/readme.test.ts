import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import * as kindling from "./index.ts";

const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
const packageJson = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8"));

test("what the README imports exists", () => {
  const names = [...readme.matchAll(/import \{([^}]+)\} from "kindling"/g)].flatMap(([, list]) => list.split(",").map((name) => name.trim()));
  expect(names.length).toBeGreaterThan(8);
  for (const name of names) expect(kindling).toHaveProperty(name);
});

test("the README's first program runs and gives what it says", async () => {
  const code = /```ts\n(import \{ compile[\s\S]*?)```/.exec(readme)?.[1] as string;
  const body = code
    .replace(/^import.*$/m, "")
    .replace(/: Tensor<"f32">/g, "")
    .replace(/console\.log\(await w\.value\.toArray\(\)\);.*/, "return w.value.toArray();");
  const { compile, grad, matmul, mean, square, sub, tensor, Variable } = kindling;
  const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
  const run = new AsyncFunction("compile", "grad", "matmul", "mean", "square", "sub", "tensor", "Variable", body);
  const [[a], [b]] = await run(compile, grad, matmul, mean, square, sub, tensor, Variable);
  expect(a).toBeCloseTo(1, 2);
  expect(b).toBeCloseTo(2, 2);
});

test("the commands of the README exist", () => {
  for (const [, name] of readme.matchAll(/npm run ([\w:]+)/g)) expect(packageJson.scripts).toHaveProperty(name);
});

test("every layer has its subpath", () => {
  for (const name of ["ir", "ops", "tensor", "nn", "optim", "models", "train", "generate", "serve", "tokenizers", "data"]) {
    expect(packageJson.exports).toHaveProperty([`./${name}`]);
  }
});
