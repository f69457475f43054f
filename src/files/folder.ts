import { dirname, mkdir, mkdirSync, stat, statSync } from "#system";

const isFolder = (path: string) =>
  stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );

/**
 * Makes a folder and those above it; one that is there stays as it is. Node's own `mkdir` with `recursive` tries
 * without end where the disk answers "nothing there" for a new folder in one that is there, as /proc and a mount that
 * has gone do.
 * @param options mode: who may do what with the folder, if it is made. @default the system's
 */
export async function makeFolder(path: string, { mode }: { mode?: number } = {}): Promise<void> {
  if (await isFolder(path)) return;
  const parent = dirname(path);
  if (parent !== path) await makeFolder(parent);
  try {
    await mkdir(path, mode);
  } catch (cause) {
    if (!(await isFolder(path))) throw cause; // another process may have made it in between
  }
}

/** See makeFolder: at once. */
export function makeFolderSync(path: string): void {
  const isThere = () => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  if (isThere()) return;
  const parent = dirname(path);
  if (parent !== path) makeFolderSync(parent);
  try {
    mkdirSync(path);
  } catch (cause) {
    if (!isThere()) throw cause;
  }
}
