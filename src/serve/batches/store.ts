import { randomUUID } from "node:crypto";
import { z } from "zod";
import { join, readdir, rm } from "#system";
import { makeFolder, ownerModes, withWriteErrors, writeFileAtomic } from "../../files/index.ts";
import { RequestError } from "../errors.ts";
import { freshFileId } from "../files/store.ts";
import { storedRecord } from "../stored-record.ts";

const statuses = [
  "validating",
  "failed",
  "in_progress",
  "finalizing",
  "completed",
  "expired",
  "cancelling",
  "cancelled",
] as const;
export type BatchStatus = (typeof statuses)[number];
const doneStatuses: readonly BatchStatus[] = ["failed", "completed", "expired", "cancelled"];

const inputError = z.strictObject({
  code: z.string(),
  line: z.number().nullable(),
  message: z.string(),
  param: z.string().nullable(),
});
/** What is wrong with an input file. */
export type InputError = z.infer<typeof inputError>;

const batchRecord = z.strictObject({
  id: z.string().regex(/^batch_[0-9a-f]{32}$/),
  owner: z.string(),
  endpoint: z.string(),
  inputFileId: z.string(),
  metadata: z.record(z.string(), z.string()),
  status: z.enum(statuses),
  /** What it ends as, once it is known: kills come between. */
  ending: z.enum(["completed", "expired", "cancelled"]).nullable(),
  /** When each status came, in milliseconds. */
  times: z.partialRecord(z.enum(statuses), z.number()),
  /** Milliseconds. */
  expiresAt: z.number(),
  /** How long its results stay, in milliseconds, or null for ever. */
  resultsStayMs: z.number().nullable(),
  /** Names of the files of results, drawn before there are any, so that a kill leaves no second ones. */
  outputFileId: z.string(),
  errorFileId: z.string(),
  errors: z.array(inputError),
  total: z.number(),
  completed: z.number(),
  failed: z.number(),
});
/** A batch and how far it is. */
export type Batch = z.infer<typeof batchRecord>;

export type NewBatch = Pick<Batch, "owner" | "endpoint" | "inputFileId" | "metadata" | "resultsStayMs">;

/** OpenAI's window. */
const WINDOW_MS = 24 * 3600 * 1000;
/** Most batches that are not done. */
const MAX_UNFINISHED = 100;
/** Most batches that are done; the oldest are forgotten. */
const MAX_FINISHED = 1000;

/** Batches on a disk: each has a folder with its record and, until it is done, its results. */
export class BatchStore {
  private readonly folder: string;
  private readonly records = new Map<string, Batch>();
  /** Writes of records, one after another. */
  private saving: Promise<void> = Promise.resolve();

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** @throws DataError for a damaged record; WriteError when the folder cannot be written */
  static async open(folder: string): Promise<BatchStore> {
    const store = new BatchStore(folder);
    await makeFolder(folder, { mode: ownerModes.folder });
    const records: Batch[] = [];
    for (const id of await readdir(folder)) {
      const place = store.folderOf(id);
      const names = await readdir(place);
      // a batch is there when its record is; one that is done has nothing else
      const batch = names.includes("batch.json") && (await storedRecord(join(place, "batch.json"), batchRecord));
      if (batch) records.push(batch);
      const left = batch ? (isDone(batch) ? names.filter((name) => name !== "batch.json") : []) : [""];
      for (const name of left)
        await withWriteErrors(folder, () => rm(join(place, name), { recursive: true, force: true }));
    }
    const created = (batch: Batch) => batch.times.validating ?? 0;
    for (const batch of records.toSorted((a, b) => created(a) - created(b))) store.records.set(batch.id, batch);
    return store;
  }

  /** The owner's batches, the oldest first. */
  list(owner: string): Batch[] {
    return [...this.records.values()].filter((batch) => batch.owner === owner);
  }

  /** Batches of all owners that are not done, the oldest first. */
  unfinished(): Batch[] {
    return [...this.records.values()].filter((batch) => !isDone(batch));
  }

  /** @throws RequestError 404 where this owner has no such batch */
  get(owner: string, id: string): Batch {
    const batch = this.records.get(id);
    if (batch?.owner === owner) return batch;
    throw new RequestError({ status: 404, message: `No batch found with id '${id}'.`, code: "not_found" });
  }

  /** @throws RequestError 429 when too many are not done; WriteError when the disk refuses */
  async create(fresh: NewBatch): Promise<Batch> {
    if (this.unfinished().length >= MAX_UNFINISHED) {
      const message = `At most ${MAX_UNFINISHED} batches may be under way. Wait until one is done, or cancel one.`;
      throw new RequestError({ status: 429, message, code: "rate_limit_exceeded", headers: { "retry-after": "59" } });
    }
    const now = Date.now();
    const batch: Batch = {
      ...fresh,
      id: `batch_${randomUUID().replaceAll("-", "")}`,
      status: "validating",
      ending: null,
      times: { validating: now },
      expiresAt: now + WINDOW_MS,
      outputFileId: freshFileId(),
      errorFileId: freshFileId(),
      errors: [],
      total: 0,
      completed: 0,
      failed: 0,
    };
    await makeFolder(this.folderOf(batch.id), { mode: ownerModes.folder });
    await this.inTurn(() => this.write(batch));
    this.records.set(batch.id, batch);
    await this.forgetOldest();
    return batch;
  }

  /**
   * Writes what a batch is from now on; that is seen only when it is written, since a kill would undo it.
   * @param next what changes, decided when all earlier changes are written; undefined for nothing
   */
  change(batch: Batch, next: (now: Batch) => Partial<Batch> | undefined): Promise<void> {
    return this.inTurn(async () => {
      const change = next(batch);
      if (!change) return;
      const times = change.status ? { ...batch.times, [change.status]: Date.now() } : batch.times;
      const changed = { ...batch, ...change, times };
      await this.write(changed);
      Object.assign(batch, changed);
    });
  }

  /** Where the results of a batch are until it is done. */
  folderOf(id: string): string {
    return join(this.folder, id);
  }

  private write(batch: Batch): Promise<void> {
    const path = join(this.folderOf(batch.id), "batch.json");
    return writeFileAtomic(path, JSON.stringify(batch), { mode: ownerModes.file });
  }

  private async inTurn(work: () => Promise<void>): Promise<void> {
    const saved = this.saving.then(work);
    this.saving = saved.catch(() => {});
    await saved;
  }

  private async forgetOldest(): Promise<void> {
    const done = [...this.records.values()].filter(isDone);
    for (const { id } of done.slice(0, Math.max(0, done.length - MAX_FINISHED))) {
      this.records.delete(id);
      await withWriteErrors(this.folder, () => rm(this.folderOf(id), { recursive: true, force: true }));
    }
  }
}

/** Whether nothing more happens with a batch. */
export const isDone = ({ status }: Batch): boolean => doneStatuses.includes(status);
