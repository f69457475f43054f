/** Batches on a disk that fails, and on one that is killed with its program, at each of their operations. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { disk, faultAtEach } from "../../testing/dying-disk.ts";
import { DataFolder } from "../data-folder.ts";
import { BatchRunner, type Send } from "./runner.ts";
import { type Batch, isDone } from "./store.ts";

vi.mock("node:fs/promises", async (original) =>
  (await import("../../testing/dying-disk.ts")).disk.wrap(await original()),
);

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(root, { recursive: true }));

const names = ["a", "b", "c", "d"];
const input = names
  .map((name) => JSON.stringify({ custom_id: name, method: "POST", url: "/v1/completions", body: { prompt: name } }))
  .join("\n");
/** "d" is wrong. */
const send: Send = async (_, { customId }) => ({ status: customId === "d" ? 400 : 200, body: { text: customId } });

async function folderWithBatch(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await rm(`${folder}.lock`, { recursive: true, force: true });
  const data = await DataFolder.open(folder);
  const file = { owner: "", filename: "in", purpose: "batch" as const, expiresAt: null };
  const { id } = await data.files.upload(file, new TextEncoder().encode(input));
  await data.batches.create({
    owner: "",
    endpoint: "/v1/completions",
    inputFileId: id,
    metadata: {},
    resultsStayMs: null,
  });
  await data.close();
}

/** Works on the batches of a folder as far as it comes. */
async function work(folder: string, retryMs?: number): Promise<void> {
  const data = await DataFolder.open(folder);
  const runner = new BatchRunner(data, { send, concurrency: 2, retryMs });
  data.onClose(() => runner.close());
  try {
    await runner.idle();
  } finally {
    await data.close();
  }
}

async function resultsOf(folder: string): Promise<{ batch: Batch; lines: Record<string, string[]> }> {
  const data = await DataFolder.open(folder);
  const [batch] = data.batches.list("");
  const read = async (id: string) => {
    const lines = ((await data.files.text(await data.files.get("", id))) as string).trimEnd().split("\n");
    return lines.map((line) => (JSON.parse(line) as { custom_id: string }).custom_id).toSorted();
  };
  const lines = { output: await read(batch.outputFileId), errors: await read(batch.errorFileId) };
  expect(await data.files.list("")).toHaveLength(3);
  await data.close();
  return { batch, lines };
}

const whole = { output: ["a", "b", "c"], errors: ["d"] };

test("a kill at any moment loses no result and doubles none", async () => {
  const folder = join(root, "kill");
  const operations = await faultAtEach(() => work(folder), {
    prepare: () => folderWithBatch(folder),
    check: async () => {
      // the lock of the killed program, which is this one
      await rm(`${folder}.lock`, { recursive: true, force: true });
      await work(folder);
      const { batch, lines } = await resultsOf(folder);
      expect(lines).toEqual(whole);
      expect(batch).toMatchObject({ status: "completed", total: 4, completed: 3, failed: 1 });
      expect(await readdir(join(folder, "batches", batch.id))).toEqual(["batch.json"]);
    },
  });
  expect(operations.length).toBeGreaterThan(25);
});

test("a result that is on the disk is not asked for again", async () => {
  const folder = join(root, "asked");
  await folderWithBatch(folder);
  const data = await DataFolder.open(folder);
  const asked: string[] = [];
  const first = new BatchRunner(data, {
    concurrency: 1,
    send: async (batch, request, signal) => {
      asked.push(request.customId);
      if (asked.length === 3) void first.close();
      return send(batch, request, signal);
    },
  });
  await first.idle();
  await first.close();
  const log = join(data.batches.folderOf(data.batches.list("")[0].id), "output.jsonl");
  expect((await readFile(log, "utf8")).split("\n")).toHaveLength(3);
  const second = new BatchRunner(data, {
    concurrency: 1,
    send: async (batch, request, signal) => {
      asked.push(request.customId);
      return send(batch, request, signal);
    },
  });
  await second.idle();
  expect(asked).toEqual(["a", "b", "c", "c", "d"]);
  expect(data.batches.list("").every(isDone)).toBe(true);
  await data.close();
});

test("what is not answered when the time is over is told of", async () => {
  const folder = join(root, "expired");
  await folderWithBatch(folder);
  const data = await DataFolder.open(folder);
  const [batch] = data.batches.list("");
  batch.expiresAt = Date.now() - 1;
  const late: Send = async (_, { customId }, signal) => {
    if (customId !== "a" && !signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
    return { status: 200, body: {} };
  };
  await new BatchRunner(data, { send: late, concurrency: 2 }).idle();
  expect(batch).toMatchObject({ status: "expired", completed: 1, failed: 3 });
  const text = (await data.files.text(await data.files.get("", batch.errorFileId))) as string;
  const errors = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as object);
  expect(errors).toMatchObject(
    ["b", "c", "d"].map((name) => ({ custom_id: name, response: null, error: { code: "batch_expired" } })),
  );
  await data.close();
});

test.each(["ENOSPC", "EROFS"] as const)("a disk with %s is waited for", async (fault) => {
  const folder = join(root, fault);
  vi.spyOn(process, "emitWarning").mockImplementation(() => disk.reset()); // told of, and there is room again
  await faultAtEach(() => work(folder, 1), {
    fault,
    prepare: () => folderWithBatch(folder),
    check: async (error) => {
      await rm(`${folder}.lock`, { recursive: true, force: true }); // which could not be taken away
      if (error) await work(folder); // the folder could not be opened
      const { batch, lines } = await resultsOf(folder);
      expect(lines).toEqual(whole);
      expect(batch.status).toBe("completed");
    },
  });
  vi.restoreAllMocks();
});
