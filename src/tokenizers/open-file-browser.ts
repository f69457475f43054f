import { RuntimeError } from "../base/index.ts";

const fileSystem = (path: string, fix: string) =>
  new RuntimeError({ where: path, expected: "a file system", received: "a page", fix });

/** A page has no files. @throws RuntimeError always */
export async function readTokenizerFiles(path: string): Promise<never> {
  throw fileSystem(path, "fetch tokenizer.json and tokenizer_config.json, and give what they hold to fromJson");
}

/** A page has no files. @throws RuntimeError always */
export async function writeTokenizerFiles(folder: string): Promise<never> {
  throw fileSystem(folder, "store what toJson and configToJson give");
}

/** A page has no files. @throws RuntimeError always */
export async function tokenizerPaths(folder: string): Promise<never> {
  throw fileSystem(folder, "fetch the files by their names");
}

/** A page has no files. @throws RuntimeError always */
export async function removeOtherTokenizers(folder: string): Promise<never> {
  throw fileSystem(folder, "store what toJson and configToJson give");
}
