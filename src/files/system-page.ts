/**
 * A page has no file system, no environment and no processes: paths are cut and joined as text, and whoever calls
 * anything else learns what there is in its place.
 */
import { joined, RuntimeError } from "../base/index.ts";

const absent = (where: string): RuntimeError =>
  new RuntimeError({
    where,
    expected: "a file system",
    received: "a page",
    fix: 'name an address ("https://...", "./folder"), a repository ("owner/name"), or give a memoryFolder',
  });
const never =
  (name: string) =>
  async (path?: unknown): Promise<never> => {
    throw absent(typeof path === "string" ? `${name} ${path}` : name);
  };
const neverSync =
  (name: string) =>
  (path?: unknown): never => {
    throw absent(typeof path === "string" ? `${name} ${path}` : name);
  };

export const codeIdentity = neverSync("codeIdentity");
export const closeSync = neverSync("closeSync");
export const createHash = neverSync("createHash");
export const createReadStream = neverSync("createReadStream");
export const mkdirSync = neverSync("mkdirSync");
export const openSync = neverSync("openSync");
export const randomUUID = neverSync("randomUUID");
export const readdirSync = neverSync("readdirSync");
export const readFileSync = neverSync("readFileSync");
export const readSync = neverSync("readSync");
export const renameSync = neverSync("renameSync");
export const rmSync = neverSync("rmSync");
export const statfsSync = neverSync("statfsSync");
export const statSync = neverSync("statSync");
export const tmpdir = neverSync("tmpdir");
export const unlinkSync = neverSync("unlinkSync");
export const utimesSync = neverSync("utimesSync");
export const writeFileSync = neverSync("writeFileSync");
export const writeSync = neverSync("writeSync");
export const createRequire = neverSync("createRequire");
export const homedir = neverSync("homedir");
export const hostname = neverSync("hostname");
export const runProgram = never("runProgram");
export const copyFile = never("copyFile");
export const cp = never("cp");
export const lstat = never("lstat");
export const mkdir = never("mkdir");
export const open = never("open");
export const readdir = never("readdir");
export const readFile = never("readFile");
export const realpath = never("realpath");
export const rename = never("rename");
export const rm = never("rm");
export const rmdir = never("rmdir");
export const stat = never("stat");
export const symlink = never("symlink");
export const writeFile = never("writeFile");

export const sep = "/";
/** Parts of a path, one after another; "." and ".." are followed. */
export function join(...parts: readonly string[]): string {
  const path = parts.filter((part) => part !== "").join("/");
  const out: string[] = [];
  for (const part of path.split("/")) {
    if (part === ".." && out.length > 0 && out.at(-1) !== "..") out.pop();
    else if (part !== "." && part !== "") out.push(part);
  }
  return (path.startsWith("/") ? "/" : "") + out.join("/") || ".";
}
export const dirname = (path: string): string => {
  const at = path.replace(/\/+$/, "").lastIndexOf("/");
  return at > 0 ? path.slice(0, at) : at === 0 ? "/" : ".";
};
export const basename = (path: string): string => path.replace(/\/+$/, "").split("/").at(-1) as string;
export const relative = neverSync("relative");
export const resolve = neverSync("resolve");

export const isMainThread = true;
export const isPage = true;
export const environment: Readonly<Record<string, string | undefined>> = {};
export const [mostBytes, mostBytesReason] = [2 ** 31 - 1, "a page"];

/** Unpacks what "deflate" packed. @throws Error for damaged bytes, and for more than `most` that come of them */
export async function inflate(packed: Uint8Array, most: number): Promise<Uint8Array> {
  const stream = new Blob([packed as Uint8Array<ArrayBuffer>])
    .stream()
    .pipeThrough(new DecompressionStream("deflate-raw"));
  const reader = stream.getReader();
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    pieces.push(value);
    if (length <= most) continue;
    await reader.cancel();
    throw new RangeError(`more than ${most} bytes`);
  }
  return joined(Uint8Array, pieces);
}
