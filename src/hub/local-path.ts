import { DataError, OptionError } from "../base/index.ts";
import { exists } from "../files/index.ts";
import { pull } from "./pull.ts";
import { type HubOptions, isRepositoryId } from "./settings.ts";

/** Endings of files; names of repositories end in numbers of versions too, as "org/model-2.5". */
const FILE_ENDING =
  /\.(gguf|safetensors|onnx|bin|pt|pth|ckpt|h5|msgpack|pb|tflite|model|json|jsonl|txt|md|csv|parquet|zip|tar|gz|ya?ml|toml|m?[jt]s|py)$/i;

export const hasFileEnding = (name: string): boolean => FILE_ENDING.test(name);

/**
 * Whether a name may be asked of a hub: "owner/name" by the hub's rules, that is no file's name, and whose first part
 * is no folder here. Everything else is a path of this machine, which no server gets to see.
 */
export async function isRemoteName(name: string): Promise<boolean> {
  const [owner, repository] = name.split("/");
  return repository !== undefined && isRepositoryId(name) && !hasFileEnding(name) && !(await exists(owner));
}

/**
 * A folder or file on this machine; what is none and may be the id of a repository is pulled.
 * @throws OptionError for what is no name, DataError for a path where there is nothing; nobody is asked for it
 */
export async function localPath(name: string, hub?: HubOptions): Promise<string> {
  if (typeof name !== "string" || name === "") {
    const received = name === undefined ? "nothing" : JSON.stringify(name);
    throw new OptionError({
      where: "model",
      expected: 'a folder, a .gguf file or a repository such as "owner/name"',
      received,
      fix: "pass its name",
    });
  }
  if (await exists(name)) return name;
  if (await isRemoteName(name)) return pull(name, hub);
  throw new DataError({
    where: name,
    expected: 'a folder or file, or a repository such as "owner/name"',
    received: "nothing there",
    fix: "check the path",
  });
}
