import { RuntimeError } from "../ir/index.ts";

/** A page has no files. @throws RuntimeError always */
export async function readTokenizerFiles(path: string): Promise<never> {
  const fix = "fetch tokenizer.json, and give what it holds to TextTokenizer.fromJson";
  throw new RuntimeError({ where: path, expected: "a file system", received: "a page", fix });
}
