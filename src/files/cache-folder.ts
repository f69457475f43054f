/** Folders for what programs make once and find again at their next start. */
import { environment, homedir, join, readdirSync, rmSync, statSync } from "#system";

/** A folder in the one that KINDLING_CACHE names, otherwise in the user's for caches; undefined when it says "off". */
export function cacheFolder(name: string): string | undefined {
  const { KINDLING_CACHE, XDG_CACHE_HOME } = environment;
  if (KINDLING_CACHE === "off") return undefined;
  return join(KINDLING_CACHE || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "kindling"), name);
}

const AN_HOUR_MS = 3_600_000;

/**
 * Removes what was used least recently of a folder that has become too large. What belongs together begins with the
 * name of a .json file, which is written last and touched with each use; what is left of writing (.tmp) goes after an
 * hour.
 */
export function removeLeastUsed(folder: string, mostBytes: number): void {
  const files = readdirSync(folder).map((name) => {
    const { size, mtimeMs } = statSync(join(folder, name));
    return { name, size, mtimeMs };
  });
  const remove = (name: string) => rmSync(join(folder, name), { force: true });
  for (const { name, mtimeMs } of files) if (name.endsWith(".tmp") && mtimeMs < Date.now() - AN_HOUR_MS) remove(name);
  const heads = files.filter(({ name }) => name.endsWith(".json")).sort((a, b) => b.mtimeMs - a.mtimeMs);
  let kept = 0;
  for (const { name } of heads) {
    const parts = files.filter((file) => file.name.startsWith(name.slice(0, -".json".length)));
    kept += parts.reduce((bytes, { size }) => bytes + size, 0);
    if (kept > mostBytes) for (const part of parts) remove(part.name);
  }
}
