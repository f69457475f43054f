import { join } from "node:path";
import { expect, test } from "vitest";
import { hostileNames } from "../testing/hostile-names.ts";
import { defaultRunName, runFolder } from "./index.ts";

test.each(hostileNames)("%j is no name of a run", (name) => {
  expect(() => runFolder("runs", name)).toThrow(/the name of a run: expected a file's name without folders/);
});

test.each(["my", "红楼梦", "my text", "a.b", "...a", "Émile", "I, Robot (1950)", "100%", "~", "con1", "_", "old"])(
  "%j is",
  (name) => {
    expect(runFolder("runs", name)).toBe(join("runs", name));
  },
);

test.each([
  ["红楼梦.txt", "红楼梦"],
  ["my text.txt", "my text"],
  ["poems/", "poems"],
  ["deep/folder/a.b.txt", "a.b"],
  [".txt", ".txt"],
  ["a: b?.txt", "a- b-"],
  [" a .txt", "a"],
  ["nul.txt", "nul-run"],
  ["-n.txt", "n"],
  ["notes.old.txt", "notes.old-run"],
])("the text %j gives the run %j", (text, name) => {
  expect(defaultRunName(text)).toBe(name);
  runFolder("runs", name);
});

test("folders without a name of their own take the one they have, or ask for one", () => {
  expect(defaultRunName("/home/someone/poems/..")).toBe("someone");
  expect(() => defaultRunName("/")).toThrow(/a --name/);
});
