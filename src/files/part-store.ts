/** Downloads that stay: files are kept in parts, so that one that was cut goes on with the part that was under way. */
import { DataError, joined, RuntimeError } from "../base/index.ts";
import { type ByteSource, blobSource } from "./source.ts";
import {
  chunksOf,
  contentRange,
  type FileVersion,
  isSameVersion,
  isThere,
  type OpenWeb,
  type Request,
  requireFile,
  versionOf,
} from "./web.ts";

/** Keeps pieces of files by name: a page's private files, its cache, or a map. */
export interface PartStore {
  /** What was put under a name. */
  get(key: string): Promise<Blob | undefined>;
  /** Keeps a piece under a name. @throws what the browser throws where there is no room: QuotaExceededError */
  put(key: string, content: Uint8Array): Promise<void>;
  /** Removes all whose names begin so. */
  remove(prefix: string): Promise<void>;
  /** Bytes that still have room. @returns undefined where nobody tells */
  room(): Promise<number | undefined>;
}

export interface DownloadOptions {
  /** Called as bytes arrive. */
  onProgress?: (progress: { file: string; doneBytes: number; totalBytes: number }) => void;
  signal?: AbortSignal;
  /**
   * Ask the server whether what is stored is still the same; where it does not answer, it is taken so. @default false
   */
  refresh?: boolean;
}

/** What is known of a file: kept beside its parts. */
interface Note extends FileVersion {
  url: string;
  isComplete: boolean;
}

const PART_BYTES = 2 ** 24;
/** How often a download goes on that breaks off. */
const BREAKS = 5;
const PAUSE_MS = 500;

/** Keeps the files that it downloads, and opens those that it has without asking the server. */
export class StoredDownloads {
  private readonly store: PartStore;
  private readonly options: DownloadOptions;
  /** Downloads under way, so that who asks twice waits for the one. */
  private readonly running = new Map<string, Promise<ByteSource>>();

  constructor(store: PartStore, options: DownloadOptions = {}) {
    this.store = store;
    this.options = options;
  }

  /** Opens a file: from the store, or else from the server into the store. */
  readonly open: OpenWeb = async (url, expected, request) => {
    const running = this.running.get(url) ?? this.openOnce(url, expected, request);
    this.running.set(url, running);
    try {
      return await running;
    } finally {
      this.running.delete(url);
    }
  };

  /** Whether there is a file; what the server has said once is kept. */
  readonly has = async (url: string, request: Request): Promise<boolean> => {
    const key = await keyOf(url);
    const isStored = (await this.noteOf(key, url))?.isComplete ?? false;
    const isKnown = isStored || (await this.store.get(`${key}.absent`)) !== undefined;
    if (isKnown && !this.options.refresh) return isStored;
    const isPresent = await isThere(url, request).catch((cause) => {
      if (isKnown && cause instanceof RuntimeError) return isStored; // nobody answers
      throw cause;
    });
    if (isPresent !== isStored) await this.store.remove(key);
    if (!isPresent) await this.put(url, `${key}.absent`, new Uint8Array(0));
    return isPresent;
  };

  /** What was kept under a name, as JSON. */
  async remembered(name: string): Promise<unknown> {
    const kept = await this.store.get(`${await keyOf(name)}.json`);
    return kept && JSON.parse(await kept.text());
  }

  /** Keeps a value that JSON can hold under a name, in place of an earlier one; `remembered` gives it back. */
  async remember(name: string, value: unknown): Promise<void> {
    await this.put(name, `${await keyOf(name)}.json`, utf8(JSON.stringify(value)));
  }

  private async openOnce(url: string, expected: string, request: Request): Promise<ByteSource> {
    const key = await keyOf(url);
    const note = await this.noteOf(key, url);
    const parts = note ? await this.partsOf(key) : [];
    const done = parts.reduce((sum, { size }) => sum + size, 0);
    if (note?.isComplete && done === note.size && (await this.isCurrent(note, request)))
      return blobSource(new Blob(parts));
    const isUsable = note !== undefined && !note.isComplete && parts.every(({ size }) => size === PART_BYTES);
    if (!isUsable) await this.store.remove(key);
    return this.download(key, { url, expected, request }, isUsable ? { note, done } : undefined);
  }

  private async isCurrent(note: Note, request: Request): Promise<boolean> {
    if (!this.options.refresh) return true;
    try {
      const response = await request(note.url, { method: "HEAD" });
      return isSameVersion(note, answerOf(response, 0).version);
    } catch (cause) {
      if (cause instanceof RuntimeError) return true; // nobody answers
      throw cause;
    }
  }

  private async noteOf(key: string, url: string): Promise<Note | undefined> {
    const kept = await this.store.get(`${key}.json`);
    if (!kept) return undefined;
    const note: Note = { modified: null, ...JSON.parse(await kept.text()) }; // earlier notes have no date
    return note.url === url ? note : undefined;
  }

  private async partsOf(key: string): Promise<Blob[]> {
    const parts: Blob[] = [];
    for (;;) {
      const part = await this.store.get(`${key}.${parts.length}`);
      if (part === undefined) return parts;
      parts.push(part);
    }
  }

  /** Downloads a file, on from the parts that there are, and again from where it breaks off. */
  private async download(key: string, place: Place, begun?: { note: Note; done: number }): Promise<ByteSource> {
    const { url, expected, request } = place;
    const writer = new PartWriter(begun?.done ?? 0, (i, bytes) => this.put(url, `${key}.${i}`, bytes));
    let note = begun?.note;
    for (let breaks = 0; ; breaks++) {
      try {
        const asked = writer.done;
        const headers: Record<string, string> = asked > 0 ? { range: `bytes=${asked}-` } : {};
        const response = await request(url, { headers, signal: this.options.signal });
        requireFile(url, expected, response);
        const { version, begin } = answerOf(response, asked);
        const goesOn = note && asked > 0 && response.status === 206 && isSameVersion(note, version) && begin === asked;
        if (!goesOn && asked > 0) {
          await this.store.remove(key);
          writer.restart();
          if (response.status === 206) {
            await response.body?.cancel();
            continue; // another version: all of it is asked for
          }
        }
        if (!goesOn) {
          note = { url, ...version, isComplete: false };
          await this.requireRoom(url, version.size);
          await this.put(url, `${key}.json`, utf8(JSON.stringify(note)));
        }
        await this.receive(place, response, writer, note as Note);
        break;
      } catch (cause) {
        this.options.signal?.throwIfAborted();
        if (!(cause instanceof RuntimeError) || cause instanceof StorageError || breaks >= BREAKS) throw cause;
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * 2 ** breaks));
      }
    }
    await writer.end();
    const complete: Note = { ...(note as Note), size: writer.done, isComplete: true };
    await this.put(url, `${key}.json`, utf8(JSON.stringify(complete)));
    return blobSource(new Blob(await this.partsOf(key)));
  }

  private async receive({ url }: Place, response: Response, writer: PartWriter, note: Note): Promise<void> {
    for await (const chunk of chunksOf(url, response)) {
      await writer.write(chunk);
      this.options.onProgress?.({ file: url, doneBytes: writer.done, totalBytes: note.size ?? writer.done });
    }
    if (note.size === null || writer.done === note.size) return;
    const received = writer.done > note.size ? "more" : `${writer.done}`;
    if (writer.done < note.size) throw cutOff(url, note.size, received);
    await this.store.remove(await keyOf(url));
    const fix = "the server is at fault, or the file has changed: load it again";
    throw new DataError({ where: url, expected: `${note.size} bytes`, received, fix });
  }

  private async requireRoom(url: string, size: number | null): Promise<void> {
    const room = await this.store.room();
    if (size === null || room === undefined || size <= room) return;
    throw noRoom(url, size, room);
  }

  private async put(url: string, key: string, content: Uint8Array): Promise<void> {
    try {
      await this.store.put(key, content);
    } catch (cause) {
      if ((cause as Error).name !== "QuotaExceededError") throw cause;
      throw noRoom(url, content.length, await this.store.room(), cause);
    }
  }
}

interface Place {
  url: string;
  expected: string;
  request: Request;
}

/** The browser has no room for a file. */
class StorageError extends RuntimeError {}

const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
const noRoom = (where: string, bytes: number, room: number | undefined, cause?: unknown) =>
  new StorageError({
    where,
    expected: `room for ${mib(bytes)} in the browser's storage`,
    received: room === undefined ? "less" : mib(room),
    fix: "remove other models (removeDownloads()), or load this one without storing it: { cache: false }",
    cause,
  });

const cutOff = (where: string, size: number, received: string) =>
  new RuntimeError({
    where,
    expected: `${size} bytes`,
    received,
    fix: "check the network, and load it again: it goes on where it broke off",
  });

const utf8 = (text: string) => new TextEncoder().encode(text);

/** A name for an address that every store takes. */
async function keyOf(url: string): Promise<string> {
  const sum = await globalThis.crypto.subtle.digest("SHA-256", utf8(url));
  return Array.from(new Uint8Array(sum), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What an answer says of its file, and where in it it begins. */
function answerOf(response: Response, asked: number): { version: FileVersion; begin: number } {
  const { headers, type } = response;
  const { begin = asked, size } = contentRange(response);
  const length = headers.get("content-length");
  // a compressed answer's length is not the file's, and of another origin a page does not see that it is compressed
  const isPlain = type !== "cors" && headers.get("content-encoding") === null;
  const whole = length !== null && isPlain && response.status === 200 ? Number(length) : undefined;
  return { version: versionOf(response, size ?? whole), begin };
}

/** Cuts a stream into parts. */
class PartWriter {
  /** Bytes that were written or wait to be. */
  done: number;
  private part: number;
  private waiting: Uint8Array[] = [];
  private waitingBytes = 0;
  private readonly put: (part: number, bytes: Uint8Array) => Promise<void>;

  constructor(done: number, put: (part: number, bytes: Uint8Array) => Promise<void>) {
    this.done = done;
    this.part = done / PART_BYTES;
    this.put = put;
  }

  restart(): void {
    this.done = 0;
    this.part = 0;
    this.waiting = [];
    this.waitingBytes = 0;
  }

  async write(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length; ) {
      const piece = chunk.subarray(at, at + PART_BYTES - this.waitingBytes);
      this.waiting.push(piece);
      this.waitingBytes += piece.length;
      this.done += piece.length;
      at += piece.length;
      if (this.waitingBytes === PART_BYTES) await this.flush();
    }
  }

  /** Writes the last part, which may be shorter. */
  async end(): Promise<void> {
    if (this.waitingBytes > 0) await this.flush();
  }

  private async flush(): Promise<void> {
    await this.put(this.part, joined(Uint8Array, this.waiting));
    this.part++;
    this.waiting = [];
    this.waitingBytes = 0;
  }
}
