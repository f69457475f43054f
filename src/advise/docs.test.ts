/** docs/choosing.md: its programs run; and `kindling doctor --model` and `kindling recommend` as users run them. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createProgram } from "../cli/program.ts";
import * as root from "../index.ts";
import { docPage, runBlock } from "../testing/doc-programs.ts";
import * as advise from "./index.ts";

const blocks = (await docPage("choosing.md")).blocks("ts");
const config = {
  ...{ model_type: "llama", architectures: ["LlamaForCausalLM"], hidden_size: 64, intermediate_size: 96 },
  ...{ num_hidden_layers: 2, num_attention_heads: 4, vocab_size: 300, max_position_embeddings: 128 },
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
});
afterAll(() => rm(folder, { recursive: true }));

const runProgram = (code: string) => runBlock(code, { "kindling/advise": advise, kindling: root });

test("the programs run and give what they are for", async () => {
  const [estimates, finders, ...others] = blocks;
  expect(others).toEqual([]);
  const [[name, memory], [total, trained, cache], ...costs] = (await runProgram(
    estimates.replace('"runs/sotu/model"', JSON.stringify(folder)),
  )) as [[string, number], number[], ...[string, number][]];
  expect(name).toBe("zai-org/GLM-4-9B-0414");
  expect(memory).toBeLessThan(8);
  // rank x (inputs + outputs), of q, k, v, o and of gate, up, down
  expect(trained).toBe(2 * 8 * (4 * 128 + 3 * 160));
  expect(total).toBeGreaterThan(130 * 2 ** 20);
  expect(cache).toBe(2 * 2 * 2 * 4 * 16 * 64 * 8);
  expect(costs.length).toBeGreaterThan(10);
  for (const [, dollars] of costs) expect(dollars).toBeGreaterThan(0);
  const [[steepest, tenth, batchSize, trials]] = (await runProgram(finders)) as number[][];
  for (const rate of [steepest, tenth]) {
    expect(rate).toBeGreaterThan(1e-6);
    expect(rate).toBeLessThan(1);
  }
  expect([1, 2, 4, 8]).toContain(batchSize);
  expect(trials).toBeGreaterThan(0);
});

async function run(...words: string[]): Promise<string> {
  const write = vi.spyOn(process.stdout, "write").mockImplementation(() => true);
  try {
    await createProgram().exitOverride().parseAsync(words, { from: "user" });
    return write.mock.calls.map(([part]) => String(part)).join("");
  } finally {
    write.mockRestore();
  }
}

test("kindling doctor --model", async () => {
  const finetune = await run("doctor", "--model", folder, "--batch", "2", "--length", "32", "--rank", "4");
  expect(finetune).toMatch(
    /finetune \(lora\), \d+k parameters, \d+ trained|finetune \(lora\), \d+k parameters, \d+k trained/,
  );
  expect(finetune).toMatch(/^optimizer +[\d.]+ KiB$/m);
  expect(finetune).toMatch(/^together +1\d\d\.\d MiB$/m);
  expect(finetune).toMatch(/^this machine +1 +\S+/m);
  expect(finetune).toMatch(/^H100 80GB +1 .* \$\d/m);
  const serve = await run(
    "doctor",
    "--model",
    join(folder, "config.json"),
    "--task",
    "serve",
    "--concurrency",
    "2",
    "--json",
  );
  expect(JSON.parse(serve)).toMatchObject({
    task: "serve",
    estimate: { weights: "f16", context: 128, concurrency: 2, cacheBytes: 2 * 2 * 2 * 4 * 16 * 128 * 2 },
  });
  await expect(run("doctor", "--model", folder, "--task", "serve", "--batch", "2")).rejects.toThrow(
    "doctor: expected options of --task serve; received --batch",
  );
});

test("kindling recommend", async () => {
  const table = await run("recommend", "--task", "ner", "--language", "zh", "--max-memory", "4", "--limit", "2");
  expect(table).toMatch(/^model +size +memory +licence +year +why\n\S+ .*\n\S+ .*\n\n/);
  const { models } = JSON.parse(await run("recommend", "--task", "speech", "--max-memory", "1", "--json"));
  expect(models[0].name).toBe("openai/whisper-small");
  expect(await run("recommend", "--task", "chat", "--max-memory", "0.1")).toMatch(/^none fits/);
  await expect(run("recommend", "--task", "chatt")).rejects.toThrow('did you mean "chat"?');
});
