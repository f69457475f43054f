/**
 * What Kindling takes of Node beside the runtime: files, paths, hashes. Every room reaches them by "#system", for which
 * a page gets system-page.ts (package.json, "imports").
 */
import { constants } from "node:buffer";
import { readdirSync, statSync } from "node:fs";
import { promisify } from "node:util";

export { createHash, randomUUID } from "node:crypto";
export {
  closeSync,
  createReadStream,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
export {
  copyFile,
  cp,
  type FileHandle,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  rmdir,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
export { createRequire } from "node:module";
export { homedir, hostname, tmpdir } from "node:os";
export { basename, dirname, join, relative, resolve, sep } from "node:path";
export { isMainThread } from "node:worker_threads";

/** Whether this is a page or a web worker, which has no disk. */
export const isPage = false;

/** Variables of the environment. */
export const environment: Readonly<Record<string, string | undefined>> = process.env;

const codeTimes = new Map<string, string>();

/** Another text when a file of these rooms has changed. */
export function codeIdentity(rooms: readonly string[]): string {
  const times = rooms.map((room) => {
    const folder = new URL(`../${room}/`, import.meta.url);
    const known =
      codeTimes.get(room) ??
      readdirSync(folder, { recursive: true })
        .map((name) => statSync(new URL(String(name), folder)).mtimeMs)
        .join(" ");
    codeTimes.set(room, known);
    return known;
  });
  return times.join("\n");
}

/** Bytes that one array can hold, and what sets that limit. */
export const [mostBytes, mostBytesReason] = [constants.MAX_LENGTH, `Node.js ${process.versions.node}`];

/** Runs a program to its end, and gives what it wrote. */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv } = {},
): Promise<{ stdout: string }> {
  const { execFile } = await import("node:child_process");
  return promisify(execFile)(program, args, options);
}

/** Unpacks what "deflate" packed. @throws Error for damaged bytes, and for more than `most` that come of them */
export async function inflate(packed: Uint8Array, most: number): Promise<Uint8Array> {
  const { inflateRaw } = await import("node:zlib");
  return promisify(inflateRaw)(packed, { maxOutputLength: most });
}
