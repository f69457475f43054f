import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { expect, test } from "vitest";
import { createProgram } from "./cli/program.ts";
import * as kindling from "./index.ts";
import { kindlingCommands } from "./testing/readme-blocks.ts";

const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
const packageJson = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8"));

test("what the README imports exists", () => {
  const names = [...readme.matchAll(/import \{([^}]+)\} from "kindling"/g)].flatMap(([, list]) =>
    list
      .split(",")
      .map((name) => name.trim())
      .filter((name) => name !== ""),
  );
  expect(names.length).toBeGreaterThan(8);
  for (const name of names) expect(kindling).toHaveProperty(name);
});

test("the README's first program runs and gives what it says", async () => {
  const code = /```ts\n(import \{ compile[\s\S]*?)```/.exec(readme)?.[1] as string;
  const body = code
    .replace(/^import.*$/m, "")
    .replace(/: Tensor<"f32">/g, "")
    .replace(/^ *if .*loss\.item.*$/m, "")
    .replace(/console\.log\(await w\.toArray\(\)\);.*/, "return w.toArray();");
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

test("every command line of kindling is one that the program takes", async () => {
  const commands = await kindlingCommands();
  expect(commands.length).toBeGreaterThan(10);
  for (const words of commands) {
    const program = createProgram();
    let called = "";
    const intercept = (command: Command, name: string) => {
      command.exitOverride().action(() => {
        called = name;
      });
      for (const part of command.commands) intercept(part, name);
    };
    for (const command of program.commands) intercept(command, command.name());
    program.parse(words, { from: "user" });
    expect(called).toBe(words[0]);
  }
});

test("every layer has its subpath", () => {
  for (const name of [
    "ir",
    "ops",
    "tensor",
    "nn",
    "losses",
    "optim",
    "models",
    "train",
    "generate",
    "serve",
    "tokenizers",
    "data",
  ]) {
    expect(packageJson.exports).toHaveProperty([`./${name}`]);
  }
});
