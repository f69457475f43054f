/** Where the result of a run lies. */
import { cp, readdir } from "node:fs/promises";
import { join } from "node:path";
import { completeFolder, writeFolderAtomic } from "../files/index.ts";

const WEIGHTS = /^(model|adapter_model).*\.safetensors(\.index\.json)?$/;

/**
 * Replaces folder/model at once by what `write` writes. What somebody else put there, such as a GGUF file made of it,
 * stays.
 * @returns its path
 */
export async function writeModelFolder(folder: string, write: (temporary: string) => Promise<void>): Promise<string> {
  const path = join(folder, "model");
  await writeFolderAtomic(path, async (temporary) => {
    await write(temporary);
    const earlier = await completeFolder(path);
    const names = earlier ? await readdir(earlier) : [];
    const written = new Set(await readdir(temporary));
    for (const name of names) {
      if (!written.has(name) && !WEIGHTS.test(name))
        await cp(join(earlier as string, name), join(temporary, name), { recursive: true });
    }
  });
  return path;
}
