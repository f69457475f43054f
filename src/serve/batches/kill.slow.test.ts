/** A server that is killed in the middle of a batch, again and again, and a batch that loses nothing by it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI, { toFile } from "openai";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { savePretrained } from "../../models/index.ts";
import { program } from "../../testing/built-program.ts";
import { tinyServedModel } from "../../testing/served-model.ts";

let root: string;
let child: ChildProcess | undefined;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
  const { generator, tokenizer } = tinyServedModel({ contextLength: 512 });
  await savePretrained(generator.model, join(root, "model"), { tokenizer });
});
afterEach(() => child?.kill("SIGKILL"));
afterAll(() => rm(root, { recursive: true }));

/** Starts the server as users do. */
async function started(data: string): Promise<OpenAI> {
  const args = ["serve", join(root, "model"), "--port", "0", "--data", data, "--max-sequences", "2"];
  child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout?.on("data", (text: Buffer) => (output += text));
  const url = await vi.waitUntil(() => /at (http:\S+)/.exec(output)?.[1], { timeout: 60_000 });
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
}

const TOTAL = 60;

test("a batch goes on after each kill, and has each result once", async () => {
  const data = join(root, "data");
  let client = await started(data);
  const lines = Array.from({ length: TOTAL }, (_, i) => {
    const body = i % 10 === 3 ? { prompt: "x", max_tokens: 9999 } : { prompt: `${i}`, max_tokens: 150 };
    return JSON.stringify({ custom_id: `n${i}`, method: "POST", url: "/v1/completions", body });
  });
  const file = await client.files.create({ file: await toFile(Buffer.from(lines.join("\n")), "in"), purpose: "batch" });
  const endpoint = "/v1/completions";
  const { id } = await client.batches.create({ input_file_id: file.id, endpoint, completion_window: "24h" });
  const counted = async () => {
    const { request_counts: counts, status } = await client.batches.retrieve(id);
    return { status, count: (counts?.completed ?? 0) + (counts?.failed ?? 0) };
  };
  let kills = 0;
  for (let wanted = 1; ; wanted += 7) {
    const { status } = await vi.waitUntil(
      async () => {
        const now = await counted();
        return (now.count >= wanted || now.status === "completed") && now;
      },
      { timeout: 60_000, interval: 5 },
    );
    if (status === "completed") break;
    child?.kill("SIGKILL");
    if (child) await once(child, "exit");
    kills++;
    client = await started(data);
  }
  expect(kills).toBeGreaterThan(3);
  const { output_file_id: output, error_file_id: errors, request_counts: counts } = await client.batches.retrieve(id);
  expect(counts).toEqual({ total: TOTAL, completed: TOTAL - 6, failed: 6 });
  const read = async (name: string | undefined) =>
    (await (await client.files.content(name as string)).text()).trimEnd();
  const results = [...(await read(output)).split("\n"), ...(await read(errors)).split("\n")];
  const names = results.map((line) => (JSON.parse(line) as { custom_id: string }).custom_id);
  expect(names.toSorted()).toEqual(lines.map((_, i) => `n${i}`).toSorted());
}, 300_000);
