/** Where bytes are: on a disk, behind an address, in memory. Readers of formats know nothing else. */
import { DataError } from "../base/index.ts";

/** Bytes that can be read from any place. */
export interface ByteSource {
  /** Bytes in all. */
  readonly size: number;
  /** Exactly `length` bytes from `offset` on. @throws DataError naming the file, where it ends before */
  read(offset: number, length: number): Promise<Uint8Array>;
  /**
   * The same bytes as pages of the file in memory (see mapped.ts): of files on a disk.
   * @returns undefined where they cannot be mapped, or are too few to be worth it
   */
  map?(offset: number, length: number): Uint8Array | undefined;
  /** Gives back what reading takes; maps stay. */
  close(): Promise<void>;
}

/** A file that can be opened. A path stands for one on this machine's disk wherever a file is asked for. */
export interface StoredFile {
  /** Its path or address, by which messages name it. */
  readonly name: string;
  /** Its name in its folder. */
  readonly base: string;
  /** @param expected what the file should be, for the message. @throws DataError where it is not there */
  open(expected?: string): Promise<ByteSource>;
  /** The folder that it is in. */
  folder(): Folder;
}

/** A model's files by their names: a folder on a disk, a repository or an address, files in memory. */
export interface Folder {
  /** Its path or address, by which messages name it. */
  readonly name: string;
  /**
   * Names of the files, those in folders inside with "/".
   * @returns undefined where nobody tells, as behind most addresses
   */
  list(): Promise<readonly string[] | undefined>;
  /** Whether there is a file of this name. */
  has(name: string): Promise<boolean>;
  /** A file by its name, whether it is there or not. */
  file(name: string): StoredFile;
  /** A folder inside. */
  folder(name: string): Folder;
}

/** Whether it is one file that was named, and not a folder. */
export const isFile = (place: Folder | StoredFile): place is StoredFile => "open" in place;

/** A file in memory: bytes, or what a user has chosen in a page (File is a Blob), which is read part by part. */
export function memoryFile(name: string, content: Uint8Array | Blob): StoredFile {
  const base = name.slice(name.lastIndexOf("/") + 1);
  return {
    name,
    base,
    open: async () => (content instanceof Uint8Array ? bytesSource(content) : blobSource(content)),
    folder: () => listedFolder("memory", [base], () => memoryFile(name, content)),
  };
}

/** Bytes in memory; what is read of them is a copy, as of every source. */
export const bytesSource = (bytes: Uint8Array): ByteSource => ({
  size: bytes.length,
  read: async (offset, length) => bytes.slice(offset, offset + length),
  close: async () => {},
});

export const blobSource = (blob: Blob): ByteSource => ({
  size: blob.size,
  read: async (offset, length) => new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer()),
  close: async () => {},
});

/**
 * Files in memory as a model's folder.
 *
 * @example
 * // const folder = memoryFolder({ "config.json": config, "model.safetensors": weights, "tokenizer.json": tokenizer });
 * // const model = await fromPretrained(folder, { task: "causal-lm" });
 */
export function memoryFolder(
  files: Readonly<Record<string, Uint8Array | Blob | string>>,
  name = "files in memory",
): Folder {
  return listedFolder(name, Object.keys(files), (path) => {
    const content = files[path];
    return memoryFile(`${name}/${path}`, typeof content === "string" ? new TextEncoder().encode(content) : content);
  });
}

/** A folder whose files are known by their paths. */
export function listedFolder(name: string, paths: readonly string[], fileOf: (path: string) => StoredFile): Folder {
  const known = new Set(paths);
  const inside = (prefix: string): Folder => ({
    name: name + prefix.slice(0, -1).replace(/^(?=.)/, "/"),
    list: async () => paths.filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length)),
    has: async (path) => known.has(prefix + path),
    file: (path) => file(prefix + path),
    folder: (path) => inside(`${prefix}${path}/`),
  });
  const file = (path: string): StoredFile => {
    const base = path.slice(parentOf(path).length);
    const missing = `${name}/${path}`;
    const { name: whole, open } = known.has(path) ? fileOf(path) : { name: missing, open: noFile(missing) };
    return { name: whole, base, open, folder: () => inside(parentOf(path)) };
  };
  return inside("");
}

/** "a/b/c" -> "a/b/", "c" -> "" */
const parentOf = (path: string) => path.slice(0, path.lastIndexOf("/") + 1);

/** Opens a file that is not there: says so. */
const noFile =
  (where: string) =>
  async (expected = "a file"): Promise<never> => {
    throw new DataError({ where, expected, received: "no such file", fix: "add it to the files" });
  };
