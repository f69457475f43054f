import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { hostileNames } from "../testing/hostile-names.ts";
import { commandLine } from "./index.ts";

test("words in quotes where they need them", () => {
  expect(commandLine("kindling", "generate", "runs/my little story", "--top-p", "0.5")).toBe(
    'kindling generate "runs/my little story" --top-p 0.5',
  );
  expect(commandLine("kindling", "chat", "故事")).toBe("kindling chat 故事");
  expect(commandLine("a", "")).toBe('a ""');
});

test.skipIf(process.platform === "win32")("a shell reads the words that were meant", () => {
  const names = [
    ...hostileNames,
    "it's",
    "$HOME",
    "`ls`",
    'say "a"',
    "a;b",
    "a&b",
    "~",
    "(x)",
    "#x",
    "a{1,2}",
    "100%",
    "!x",
  ];
  for (const name of names.filter((name) => !name.includes("\0") && !name.includes("\ud800"))) {
    expect(execFileSync("sh", ["-c", commandLine("printf", "%s", name)], { encoding: "utf8" })).toBe(name);
  }
});
