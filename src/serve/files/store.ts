import { randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import { z } from "zod";
import { copyFile, createReadStream, join, open, readdir, rename, rm } from "#system";
import { KindlingError } from "../../base/index.ts";
import { makeFolder, ownerModes, readBytes, withWriteErrors, writeFileAtomic } from "../../files/index.ts";
import { RequestError } from "../errors.ts";
import { utf8Text } from "../request-body.ts";
import { storedRecord } from "../stored-record.ts";

/** How much of the disk files may take. */
export interface FileLimits {
  /** Most files. @default 1000 */
  maxFiles?: number;
  /** Most bytes of all files together; results of batches that are done count, but are always kept. @default 4 GiB */
  maxBytes?: number;
}

const fileRecord = z.strictObject({
  id: z.string().regex(/^file-[0-9a-f]{32}$/),
  owner: z.string(),
  bytes: z.number(),
  /** Milliseconds. */
  createdAt: z.number(),
  /** What the client calls it; it is shown, and is never the name of anything on the disk. */
  filename: z.string(),
  purpose: z.enum(["batch", "batch_output"]),
  /** Milliseconds, or null for a file that stays. */
  expiresAt: z.number().nullable(),
});
/** What is known of a file. */
export type FileRecord = z.infer<typeof fileRecord>;

/** What a new file is to be. */
export type NewFile = Pick<FileRecord, "owner" | "filename" | "purpose" | "expiresAt"> & { id?: string };

/** A name for a file, which nobody can guess. */
export const freshFileId = (): string => `file-${randomUUID().replaceAll("-", "")}`;

/**
 * Files on a disk, under names that are drawn here: `<id>.bin` and, once that is whole, `<id>.json`, which makes it
 * one. What clients send names no path: ids are looked up in memory.
 */
export class FileStore {
  private readonly folder: string;
  private readonly records = new Map<string, FileRecord>();
  private readonly maxFiles: number;
  private readonly maxBytes: number;
  private bytes = 0;

  private constructor(folder: string, { maxFiles = 1000, maxBytes = 4 * 2 ** 30 }: FileLimits) {
    this.folder = folder;
    this.maxFiles = maxFiles;
    this.maxBytes = maxBytes;
  }

  /** @throws DataError for a damaged record; WriteError when the folder cannot be written */
  static async open(folder: string, limits: FileLimits = {}): Promise<FileStore> {
    const store = new FileStore(folder, limits);
    await makeFolder(folder, { mode: ownerModes.folder });
    const names = await readdir(folder);
    const records = await Promise.all(
      names.filter((name) => /^file-\w+\.json$/.test(name)).map((name) => storedRecord(join(folder, name), fileRecord)),
    );
    for (const record of records.toSorted((a, b) => a.createdAt - b.createdAt)) store.add(record);
    // what a kill left: contents that no record names yet, or no longer
    const kept = new Set(records.flatMap(({ id }) => [`${id}.json`, `${id}.bin`]));
    await withWriteErrors(folder, async () => {
      for (const name of names) if (!kept.has(name)) await rm(join(folder, name), { force: true });
    });
    return store;
  }

  /** The owner's files, the oldest first. */
  async list(owner: string): Promise<FileRecord[]> {
    await this.removeExpired();
    return [...this.records.values()].filter((record) => record.owner === owner);
  }

  /** @throws RequestError 404 where this owner has no such file */
  async get(owner: string, id: string, param: string | null = null): Promise<FileRecord> {
    await this.removeExpired();
    const record = this.records.get(id);
    if (record?.owner === owner) return record;
    throw new RequestError({ status: 404, message: `No such File object: ${id}`, param, code: "not_found" });
  }

  /** The whole text of a file; undefined for one that is not UTF-8. @throws DataError when the disk does not give it */
  async text({ id }: FileRecord): Promise<string | undefined> {
    return utf8Text(await readBytes(this.path(id, "bin"), "the content of a file"));
  }

  /** The bytes of a file, as they are read. */
  stream({ id }: FileRecord): ReadableStream<Uint8Array> {
    return Readable.toWeb(createReadStream(this.path(id, "bin"))) as ReadableStream<Uint8Array>;
  }

  /** @throws RequestError 400 when there is no room; 500 when the disk refuses */
  async upload(file: NewFile, content: Uint8Array): Promise<FileRecord> {
    await this.removeExpired();
    const isFull = this.records.size >= this.maxFiles || this.bytes + content.byteLength > this.maxBytes;
    if (isFull) {
      const message = `file: expected room for it: at most ${this.maxFiles} files and ${this.maxBytes} bytes are kept. Delete some.`;
      throw new RequestError({ status: 400, message, param: "file", code: "storage_full" });
    }
    this.bytes += content.byteLength; // others come while it is written
    try {
      return await this.saved(file, content.byteLength, (path) =>
        writeFileAtomic(path, content, { mode: ownerModes.file }),
      );
    } catch (error) {
      throw storageError(error);
    } finally {
      this.bytes -= content.byteLength;
    }
  }

  /**
   * Makes a file of what was written elsewhere. It may be done again after a kill, with the same id.
   * @throws WriteError when the disk refuses
   */
  async adopt(file: NewFile, from: string, bytes: number): Promise<FileRecord> {
    return this.saved(file, bytes, (path) =>
      withWriteErrors(path, async () => {
        await copyFile(from, `${path}.new`); // with its rights
        const copy = await open(`${path}.new`, "r+");
        await copy.sync().finally(() => copy.close());
        await rename(`${path}.new`, path);
      }),
    );
  }

  private async saved(
    { id = freshFileId(), ...file }: NewFile,
    bytes: number,
    write: (path: string) => Promise<void>,
  ): Promise<FileRecord> {
    const record: FileRecord = { ...file, id, bytes, createdAt: Date.now() };
    await write(this.path(id, "bin"));
    await writeFileAtomic(this.path(id, "json"), JSON.stringify(record), { mode: ownerModes.file });
    this.add(record);
    return record;
  }

  /** @throws RequestError 500 when the disk refuses */
  async delete({ id }: FileRecord): Promise<void> {
    try {
      await this.remove(id);
    } catch (error) {
      throw storageError(error);
    }
  }

  private async remove(id: string): Promise<void> {
    await withWriteErrors(this.folder, async () => {
      for (const part of ["json", "bin"] as const) await rm(this.path(id, part), { force: true });
    });
    this.bytes -= this.records.get(id)?.bytes ?? 0;
    this.records.delete(id);
  }

  private async removeExpired(): Promise<void> {
    const now = Date.now();
    for (const { id, expiresAt } of [...this.records.values()])
      if (expiresAt !== null && expiresAt <= now) await this.remove(id);
  }

  private add(record: FileRecord): void {
    this.bytes += record.bytes - (this.records.get(record.id)?.bytes ?? 0);
    this.records.set(record.id, record);
  }

  private path(id: string, part: "bin" | "json"): string {
    return join(this.folder, `${id}.${part}`);
  }
}

/** The disk's fault is not the client's. */
export function storageError(error: unknown): unknown {
  if (!(error instanceof KindlingError)) return error;
  return new RequestError({ status: 500, message: error.message, code: "storage_error" });
}
