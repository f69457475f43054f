import { hostname, join, open, readdir, realpath, rm, rmdir, stat, writeFile } from "#system";
import { DataError } from "../base/index.ts";
import { makeFolder } from "./folder.ts";
import { isSameStart, processStart, startOfThisProcess } from "./process-start.ts";
import { withWriteErrors } from "./system-errors.ts";

const ATTEMPTS = 4;
/** More than others could take the folder away in a row; a disk that has gone answers so for ever. */
const ENTRY_ATTEMPTS = 100;
const PAUSE_MS = 50;
/** A holder says so often that it lives, for processes that cannot look: on other machines, in other containers. */
const HEARTBEAT_MS = 10_000;
/** Silent for so long, such a holder is taken to be gone. */
const SILENCE_MS = 120_000;

interface Holder {
  pid: number;
  start: string;
  host: string;
}

/** What a folder is used for, in the words of the error for who comes second. */
export interface LockUse {
  /** What the folder should be: "a run that no other process trains". */
  expected: string;
  /** What the holder does: "trains in it". */
  doing: string;
  /** What else there is to do: "choose another --name". */
  otherwise: string;
}

const training: LockUse = {
  expected: "a run that no other process trains",
  doing: "trains in it",
  otherwise: "choose another --name",
};

/** An entry's name says all, so that there is no content that a kill could leave half written. */
const nameOf = ({ pid, start, host }: Holder) => `${pid}-${start}@${host}`;

const thisHost = () => hostname().replace(/[^\w.-]/g, "");
const wordsOf = ({ pid, host }: Holder, here: string) => `process ${pid}${host === here ? "" : ` on ${host}`}`;

function holderOf(name: string): Holder | undefined {
  const [, pid, start, host] = /^(\d+)-([^@]+)@(.*)$/.exec(name) ?? [];
  return pid ? { pid: Number(pid), start, host } : undefined;
}

/**
 * The right to write to a folder, for one process at a time. Each process that wants it puts an entry into the folder
 * `<folder>.lock`; who then sees no entry of a living process but its own has the lock, and who sees one takes its own
 * away again. So two never have it at once, and what a killed process leaves holds nobody up: its id and start are in
 * the entry's name.
 */
export class FolderLock {
  private readonly path: string;
  private readonly entry: string;
  private readonly heartbeat: NodeJS.Timeout;

  private constructor(path: string, entry: string) {
    this.path = path;
    this.entry = entry;
    this.heartbeat = setInterval(() => writeFile(entry, ".", { flag: "r+" }).catch(() => {}), HEARTBEAT_MS);
    this.heartbeat.unref();
  }

  /**
   * @param use @default training
   * @throws DataError when a process holds it; WriteError when the place of the folder cannot be written
   */
  static async acquire(folder: string, use: LockUse = training): Promise<FolderLock> {
    const path = `${await realpath(folder).catch(() => folder)}.lock`;
    const self: Holder = { pid: process.pid, start: startOfThisProcess(), host: thisHost() };
    const entry = join(path, nameOf(self));
    let living: string | undefined;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const isNew = await withWriteErrors(folder, () => createEntry(path, entry));
      if (!isNew) throw heldBy("this process", { folder, path, use });
      living = await livingHolder(path, self, entry);
      if (!living) return new FolderLock(path, entry);
      await remove(path, entry);
      // both of two that came at once have stepped back
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * (1 + Math.random())));
    }
    throw heldBy(living as string, { folder, path, use });
  }

  /** Who holds it now, in words such as "process 12", or undefined. Looks, and changes nothing. */
  static async holder(folder: string): Promise<string | undefined> {
    const path = `${await realpath(folder).catch(() => folder)}.lock`;
    const host = thisHost();
    for (const name of await readdir(path).catch(() => [])) {
      const holder = holderOf(name);
      if (holder && (await isAlive(holder, host, { other: join(path, name), now: async () => Date.now() })))
        return wordsOf(holder, host);
    }
    return undefined;
  }

  /** Lets others in: takes away the entry of this process. */
  async release(): Promise<void> {
    clearInterval(this.heartbeat);
    await remove(this.path, this.entry);
  }
}

/** False when it is there already: this process has the lock. */
async function createEntry(path: string, entry: string): Promise<boolean> {
  for (let attempt = 1; ; attempt++) {
    await makeFolder(path);
    try {
      const file = await open(entry, "wx");
      await file.close();
      return true;
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === "EEXIST") return false;
      // another's `remove` took the folder away in between
      if (code !== "ENOENT" || attempt === ENTRY_ATTEMPTS) throw cause;
    }
  }
}

/** Where the disk refuses, the entry stays, and counts as long as this process lives. */
async function remove(path: string, entry: string): Promise<void> {
  await rm(entry, { force: true }).catch(() => {});
  await rmdir(path).catch(() => {}); // others have entries there
}

/** Who else holds or wants the lock, in words. Entries of processes that are gone are removed. */
async function livingHolder(path: string, self: Holder, entry: string): Promise<string | undefined> {
  for (const name of await readdir(path)) {
    const holder = holderOf(name);
    if (!holder || name === nameOf(self)) continue;
    const other = join(path, name);
    // both by the clock of the disk
    const now = async () => (await stat(entry)).mtimeMs;
    if (await isAlive(holder, self.host, { other, now })) return wordsOf(holder, self.host);
    await rm(other, { force: true });
  }
  return undefined;
}

async function isAlive(
  holder: Holder,
  host: string,
  { other, now }: { other: string; now: () => Promise<number> },
): Promise<boolean> {
  const start = holder.host === host ? await processStart(holder.pid) : undefined;
  if (start === "gone") return false;
  if (start !== undefined) return isSameStart(start, holder.start);
  const lastSign = await stat(other).catch(() => undefined);
  return lastSign !== undefined && (await now()) - lastSign.mtimeMs < SILENCE_MS;
}

function heldBy(holder: string, { folder, path, use }: { folder: string; path: string; use: LockUse }): DataError {
  return new DataError({
    where: folder,
    expected: use.expected,
    received: `${holder}, which ${use.doing}`,
    fix: `wait until it ends, or ${use.otherwise} (the lock is ${path})`,
  });
}
