/** docs/tuning.md: its programs run, and its study is one. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ts from "typescript";
import { expect, test, vi } from "vitest";
import * as tune from "./index.ts";

const text = await readFile(new URL("../../docs/tuning.md", import.meta.url), "utf8");
const blocks = (language: string) =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm"))].map(([, code]) => code);

/** Runs a block as a module would be, and gives what it wrote to the console. */
async function run(code: string): Promise<unknown[][]> {
  const imports = /^import \{([^}]*)\} from "([^"]*)";$/gm;
  const names: Record<string, unknown> = {};
  for (const [, list, from] of code.matchAll(imports)) {
    const module = from === "kindling/tune" ? tune : await import(from);
    for (const name of list.split(",").map((word) => word.trim())) {
      expect(module, name).toHaveProperty(name);
      names[name] = module[name as never];
    }
  }
  const { outputText } = ts.transpileModule(code.replace(imports, ""), {
    compilerOptions: { target: ts.ScriptTarget.ES2022 },
  });
  const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  await new AsyncFunction(...Object.keys(names), outputText)(...Object.values(names));
  const written = log.mock.calls;
  log.mockRestore();
  return written;
}

test("the programs run and give what they are for", async () => {
  const [search, processes, validation, ...others] = blocks("ts");
  expect(others).toEqual([]);
  const [[optimizer, value, stopReason]] = await run(search);
  expect(["adamw", "sgd"]).toContain(optimizer);
  expect(value).toBeLessThan(1.5);
  expect(stopReason).toBe("trials");
  const [[values]] = (await run(processes)) as [number[]][];
  expect(values).toHaveLength(4);
  expect(Math.max(...values)).toBeLessThanOrEqual(1);
  const [[mean, interval, predictions]] = (await run(validation)) as [number, number[], string[]][];
  expect(mean).toBe(1);
  expect(interval).toEqual([1, 1]);
  expect(predictions).toEqual(["ham", "ham", "ham", "spam", "spam", "spam", "ham", "ham", "spam", "spam"]);
});

test("the study is read, and its first trial is the one that it says", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kindling-"));
  try {
    const [study] = blocks("yaml");
    await writeFile(join(folder, "study.yaml"), study);
    const { name, options, example } = await tune.readStudyFile(join(folder, "study.yaml"));
    expect(name).toBe("study");
    expect(options).toMatchObject({ trials: 40, concurrency: 2, trialTimeoutMs: 3_600_000, direction: "minimize" });
    const words = example({ folder: "x", threads: 1 });
    expect(words.slice(0, 3)).toEqual(["kindling", "train", join(folder, "train.yaml")]);
    for (const word of words.slice(3, -4)) expect(word).toMatch(/^(learningRate|layers|optimizer|momentum)=/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
