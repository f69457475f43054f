import { rm } from "#system";
import { KindlingError } from "../../base/index.ts";
import type { DataFolder } from "../data-folder.ts";
import { asRequestError } from "../errors.ts";
import { type BatchRequest, readBatchInput } from "./input.ts";
import { BatchResults, kinds, type Outcome } from "./results.ts";
import { type Batch, isDone } from "./store.ts";

/** Asks an endpoint, as a client would. */
export type Send = (batch: Batch, request: BatchRequest, signal: AbortSignal) => Promise<Outcome>;

export interface RunnerOptions {
  send: Send;
  /** Requests that are under way at a time. */
  concurrency: number;
  /** How long to wait before going on when the disk refuses, in milliseconds. @default 30000 */
  retryMs?: number;
}

/**
 * Works on the batches of a folder, one after another. What it does may be cut off at any moment, by a kill or a disk
 * that refuses, and is gone on with from what is on the disk.
 */
export class BatchRunner {
  private readonly data: DataFolder;
  private readonly options: RunnerOptions;
  /** Looking at input files, one at a time. */
  private validations: Promise<void> = Promise.resolve();
  /** Answering requests, one batch at a time. */
  private runs: Promise<void> = Promise.resolve();
  /** Batches that are worked on, and what ends their requests. */
  private readonly running = new Map<Batch, AbortController>();
  private readonly closing = new AbortController();

  constructor(data: DataFolder, options: RunnerOptions) {
    this.data = data;
    this.options = options;
    for (const batch of data.batches.unfinished()) this.start(batch);
  }

  /** Begins with a batch, or goes on with it. */
  start(batch: Batch): void {
    this.validations = this.validations.then(() => this.persistently(() => this.validate(batch)));
    const validated = this.validations;
    this.runs = this.runs.then(() => validated).then(() => this.persistently(() => this.run(batch)));
    this.runs.catch(() => {}); // `idle` tells of it
  }

  /** Ends a batch with the results that it has. */
  async cancel(batch: Batch): Promise<void> {
    await this.data.batches.change(batch, (now) =>
      isDone(now) || now.ending ? undefined : { status: "cancelling", ending: "cancelled" },
    );
    if (batch.status !== "cancelling") return;
    const running = this.running.get(batch);
    if (running) running.abort();
    // it need not wait for those before it
    else this.validations = this.validations.then(() => this.persistently(() => this.run(batch)));
  }

  /** Resolves when no batch is left to work on. @throws what has ended the work, but for a disk that refuses */
  async idle(): Promise<void> {
    await this.runs;
  }

  /** Stops; results that are not written yet are lost, and made again by the next server. */
  async close(): Promise<void> {
    this.closing.abort();
    await Promise.allSettled([this.runs, this.validations]);
  }

  /** Does it, again and again while the disk refuses. */
  private async persistently(work: () => Promise<void>): Promise<void> {
    while (!this.closing.signal.aborted) {
      try {
        await work();
        return;
      } catch (error) {
        if (this.closing.signal.aborted) return;
        if (!(error instanceof KindlingError)) throw error;
        process.emitWarning(`A batch waits: ${error.message}`);
        await this.pause();
      }
    }
  }

  private pause(): Promise<void> {
    const { signal } = this.closing;
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, this.options.retryMs ?? 30_000);
      signal.addEventListener("abort", end);
    });
  }

  private async validate(batch: Batch): Promise<void> {
    if (batch.status !== "validating") return;
    const { requests, errors } = await this.input(batch);
    await this.data.batches.change(batch, ({ status }) => {
      if (status !== "validating") return undefined; // cancelled in the meantime
      return errors.length > 0 ? { status: "failed", errors } : { status: "in_progress", total: requests.length };
    });
  }

  private async input(batch: Batch) {
    const file = await this.data.files.get(batch.owner, batch.inputFileId).catch((error) => {
      const { message } = asRequestError(error);
      return { code: "invalid_file", message, line: null, param: "input_file_id" };
    });
    if ("code" in file) return { requests: [], errors: [file] };
    const text = await this.data.files.text(file);
    if (text !== undefined) return readBatchInput(text, batch.endpoint);
    const message = "The input file is not UTF-8.";
    return { requests: [], errors: [{ code: "invalid_encoding", message, line: null, param: "input_file_id" }] };
  }

  private async run(batch: Batch): Promise<void> {
    if (isDone(batch) || this.running.has(batch)) return;
    const stopping = new AbortController();
    this.running.set(batch, stopping);
    try {
      const results = await BatchResults.open(this.data.batches.folderOf(batch.id));
      try {
        if (batch.status === "in_progress") await this.answer(batch, results, stopping);
        if (!this.closing.signal.aborted) await this.finish(batch, results);
      } finally {
        await results.close();
      }
    } finally {
      this.running.delete(batch);
    }
  }

  /** Answers what has no result yet, until the batch is cancelled or its time is over. */
  private async answer(batch: Batch, results: BatchResults, stopping: AbortController): Promise<void> {
    const { requests } = await this.input(batch);
    const left = requests.filter(({ customId }) => !results.done.has(customId));
    const deadline = setTimeout(() => stopping.abort(), Math.max(0, batch.expiresAt - Date.now()));
    const signal = AbortSignal.any([stopping.signal, this.closing.signal]);
    const count = () => Object.assign(batch, { completed: results.counts.output, failed: results.counts.errors });
    count();
    const next = left.values();
    const worker = async () => {
      for (const request of next) {
        if (signal.aborted) return;
        const outcome = await this.options.send(batch, request, signal);
        if (signal.aborted) return; // it was cut off
        await results.add(request.customId, outcome);
        count();
      }
    };
    try {
      await allSettled(Array.from({ length: this.options.concurrency }, worker), () => stopping.abort());
    } finally {
      clearTimeout(deadline);
    }
    if (this.closing.signal.aborted) return;
    const ending = results.done.size < batch.total ? "expired" : "completed";
    await this.data.batches.change(batch, (now) => (now.ending ? undefined : { status: "finalizing", ending }));
  }

  /** Makes files of the results. */
  private async finish(batch: Batch, results: BatchResults): Promise<void> {
    const ending = batch.ending ?? "completed";
    if (ending === "expired") await this.tellExpired(batch, results);
    const { owner, resultsStayMs } = batch;
    for (const kind of kinds) {
      const id = kind === "output" ? batch.outputFileId : batch.errorFileId;
      const { path, bytes } = results.file(kind);
      if (bytes === 0) continue;
      const expiresAt = resultsStayMs === null ? null : Date.now() + resultsStayMs;
      const filename = `${batch.id}_${kind === "output" ? "output" : "error"}.jsonl`;
      await this.data.files.adopt({ id, owner, filename, purpose: "batch_output", expiresAt }, path, bytes);
    }
    const { output: completed, errors: failed } = results.counts;
    await this.data.batches.change(batch, () => ({ status: ending, completed, failed }));
    // copies of what the files have
    for (const kind of kinds) await rm(results.file(kind).path, { force: true }).catch(() => {});
  }

  private async tellExpired(batch: Batch, results: BatchResults): Promise<void> {
    const { requests } = await this.input(batch);
    const error = { code: "batch_expired", message: "This request could not be answered before the batch expired." };
    const left = requests.filter(({ customId }) => !results.done.has(customId));
    await Promise.all(left.map(({ customId }) => results.add(customId, error)));
  }
}

/** Waits for all, after the first error too, which is told then. @param onError ends the others */
async function allSettled(work: readonly Promise<void>[], onError: () => void): Promise<void> {
  const guarded = work.map((each) =>
    each.catch((error) => {
      onError();
      throw error;
    }),
  );
  const failed = (await Promise.allSettled(guarded)).find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
}
