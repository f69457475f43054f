import type * as fs from "node:fs/promises";
import { join } from "node:path";

/**
 * What a program that was killed does no more. It has no code, so that nothing takes it for an answer of the system.
 */
export class Killed extends Error {}

type Fs = typeof fs;
type FileHandle = fs.FileHandle;

/**
 * What goes wrong: the program is killed, or the disk is full (then files can still be removed and renamed), or it can
 * no longer be written.
 */
export type Fault = "kill" | "ENOSPC" | "EROFS";
const needsSpace = /^(mkdir|open|write|copyFile) /;

/**
 * node:fs/promises with a kill -9 in it: operations that change the disk are counted, and from number `dieAt` on none
 * reaches it. The first write to a file is two operations, one for each half, and the removal of a folder one for each
 * file in it. Use it by `vi.mock("node:fs/promises", async (original) => (await
 * import("../testing/dying-disk.ts")).disk.wrap(await original()))`.
 */
class DyingDisk {
  /** Operations since the last `reset`, as "rename a -> b". */
  operations: string[] = [];
  private dieAt = Number.POSITIVE_INFINITY;
  private fault: Fault = "kill";
  private real!: Fs;

  /** Works again, until operation number `dieAt`. */
  reset(dieAt = Number.POSITIVE_INFINITY, fault: Fault = "kill"): void {
    this.operations = [];
    this.dieAt = dieAt;
    this.fault = fault;
  }

  private count(operation: string): void {
    const { fault } = this;
    this.operations.push(operation);
    if (this.operations.length <= this.dieAt || (fault === "ENOSPC" && !needsSpace.test(operation))) return;
    throw fault === "kill"
      ? new Killed(operation)
      : Object.assign(new Error(`${fault}, ${operation}`), { code: fault, syscall: operation.split(" ")[0] });
  }

  wrap(real: Fs): Fs {
    this.real = real;
    const counted =
      <A extends unknown[], R>(name: string, call: (...args: A) => Promise<R>) =>
      async (...args: A): Promise<R> => {
        this.count(`${name} ${args.filter((arg) => typeof arg === "string").join(" -> ")}`);
        return call(...args);
      };
    const changed = {
      mkdir: counted("mkdir", real.mkdir as (...args: unknown[]) => Promise<unknown>),
      rename: counted("rename", real.rename),
      rmdir: counted("rmdir", real.rmdir),
      unlink: counted("unlink", real.unlink),
      copyFile: counted("copyFile", real.copyFile),
      rm: (path: string, options: { recursive?: boolean; force?: boolean }) => this.remove(path, options),
      open: (path: string, flags = "r") => this.open(path, flags),
      writeFile: async (path: string, data: string | Uint8Array, options?: { flag?: string }) => {
        const file = await this.open(path, options?.flag ?? "w");
        await file.writeFile(data).finally(() => file.close());
      },
    };
    return { ...real, ...changed } as Fs;
  }

  private async remove(
    path: string,
    { recursive = false, force = false }: { recursive?: boolean; force?: boolean } = {},
  ): Promise<void> {
    const info = await this.real.lstat(path).catch(() => undefined);
    if (!info && force) return;
    if (!info?.isDirectory() || !recursive) {
      this.count(`rm ${path}`);
      return this.real.rm(path, { force });
    }
    for (const name of await this.real.readdir(path)) await this.remove(join(path, name), { recursive, force });
    this.count(`rmdir ${path}`);
    await this.real.rmdir(path);
  }

  private async open(path: string, flags: string): Promise<FileHandle> {
    if (flags !== "r") this.count(`open ${path} ${flags}`);
    const file = await this.real.open(path, flags);
    let isFirst = !flags.startsWith("a"); // further pieces of a file are no other case; lines that are added to it are
    const write = async (data: string | Uint8Array) => {
      const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
      const half = bytes.byteLength >> 1;
      for (const [which, part] of [bytes.subarray(0, half), bytes.subarray(half)].entries()) {
        if (isFirst) this.count(`write ${which === 0 ? "half" : "rest"} ${path}`);
        await file.writeFile(part);
      }
      isFirst = false;
    };
    const truncate = async (length: number) => {
      this.count(`truncate ${path}`);
      await file.truncate(length);
    };
    const sync = async () => {}; // a kill takes nothing that was written; only a power cut does
    const methods: Record<string, unknown> = { writeFile: write, appendFile: write, truncate, sync };
    return new Proxy(file, {
      get: (target, key) => {
        const value = methods[key as string] ?? Reflect.get(target, key, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }
}

/** One for all modules of a test file, since it stands for the disk. */
export const disk = new DyingDisk();

interface Sweep {
  /** Makes the disk as it is before `work`. */
  prepare: () => Promise<unknown>;
  /** Looks at the disk that a fault left, and works on. `error` is what `work` ended with. */
  check: (error: unknown) => Promise<unknown>;
  fault?: Fault;
}

/**
 * Runs `work` once to the end, and then once for each of its operations on the disk, with a fault from that one on.
 * Gives the operations.
 */
export async function faultAtEach(
  work: () => Promise<unknown>,
  { prepare, check, fault = "kill" }: Sweep,
): Promise<string[]> {
  disk.reset();
  await prepare();
  disk.reset();
  await work();
  const { operations } = disk;
  for (const [dieAt, operation] of operations.entries()) {
    disk.reset();
    await prepare();
    disk.reset(dieAt, fault);
    const error = await work().then(
      () => undefined,
      (cause) => cause,
    );
    disk.reset();
    try {
      if (fault === "kill" && error && !(error instanceof Killed)) throw error;
      await check(error);
    } catch (cause) {
      throw new Error(`${fault} at operation ${dieAt}, ${operation}: ${(cause as Error).message}`, { cause });
    }
  }
  return operations;
}
