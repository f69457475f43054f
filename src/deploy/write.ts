/** Puts the files of a deployment into a folder, without touching what others wrote there. */
import { createHash } from "node:crypto";
import { chmod, lstat, readdir, readFile, realpath, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { OptionError } from "../base/index.ts";
import { exists, makeFolder, ownerModes, readJson, writeFileAtomic, writeFolderAtomic } from "../files/index.ts";

export interface DeploymentFile {
  /** Inside the folder. */
  path: string;
  content: string;
  /** Filled in by the operator: made once, for its owner alone (0600), and never written again. */
  isSecret?: boolean;
}

export interface WrittenFiles {
  written: string[];
  /** Secrets that were there. */
  kept: string[];
  /** Files of an earlier deployment that this one has not. */
  removed: string[];
}

/** What was written, by hashes: so that the next time it is known what somebody has changed. */
const MANIFEST = ".kindling-deploy.json";

const hashOf = (content: string | Uint8Array) => createHash("sha256").update(content).digest("hex");

/** Hashes by paths: of each file all that may be there, for an update that was killed leaves old and new ones. */
type Manifest = Record<string, string[]>;

async function readManifest(folder: string): Promise<Manifest> {
  if (!(await exists(join(folder, MANIFEST)))) return {};
  const { files } = await readJson(join(folder, MANIFEST));
  if (files === null || typeof files !== "object") return {};
  return Object.fromEntries(
    Object.entries(files)
      .filter(([path]) => /^[\w-][\w.-]*$/.test(path)) // never out of the folder, whoever wrote it
      .map(([path, hashes]) => [path, Array.isArray(hashes) ? hashes.map(String) : []]),
  );
}

const manifestOf = (files: Manifest) => `${JSON.stringify({ writer: "kindling deploy", files }, null, 2)}\n`;

/**
 * A new folder appears whole or not at all. In one that is there each file is replaced whole, and only if it is as an
 * earlier call left it; a call that was killed is completed by the next.
 * @param force replaces files that were changed or come from elsewhere; secrets are kept all the same
 * @throws OptionError naming the files that are not this program's, before anything is written
 */
export async function writeDeployment(
  folder: string,
  files: readonly DeploymentFile[],
  { force = false }: { force?: boolean } = {},
): Promise<WrittenFiles> {
  const target = (await realpath(folder).catch(() => undefined)) ?? resolve(folder);
  const info = await lstat(target).catch(() => undefined);
  if (info && !info.isDirectory()) refuse(folder, "a folder", "a file", "choose another name: --out <folder>");
  if (!info) return writeNew(target, files);
  return update(target, files, force);
}

function refuse(where: string, expected: string, received: string, fix: string): never {
  throw new OptionError({ where: `deploy, ${where}`, expected, received, fix });
}

async function writeNew(target: string, files: readonly DeploymentFile[]): Promise<WrittenFiles> {
  await requireFreeNames(target, files);
  await writeFolderAtomic(target, async (temporary) => {
    for (const file of files) await writeOne(temporary, file);
    await writeFileAtomic(join(temporary, MANIFEST), manifestOf(hashesOf(files)));
  });
  return { written: files.map(({ path }) => path), kept: [], removed: [] };
}

/**
 * Names beside the folder that are needed while it is made; what a killed call left under one is cleared away.
 * @throws OptionError for what is somebody else's
 */
async function requireFreeNames(target: string, files: readonly DeploymentFile[]): Promise<void> {
  const names = new Set([...files.map(({ path }) => path), MANIFEST]);
  const isOfFiles = (name: string) => names.has(name.replace(/\.tmp-\d+$/, ""));
  for (const path of [`${target}.tmp`, `${target}.old`]) {
    const left = await readdir(path).catch(() => undefined);
    const isLeftOver = path.endsWith(".tmp") && left?.every(isOfFiles) === true;
    if (!isLeftOver && (await exists(path)))
      refuse(
        path,
        "nothing of this name, which is needed for a moment",
        "something",
        "move it, or choose another --out",
      );
  }
}

const hashesOf = (files: readonly DeploymentFile[]): Manifest =>
  Object.fromEntries(files.filter(({ isSecret }) => !isSecret).map(({ path, content }) => [path, [hashOf(content)]]));

async function writeOne(folder: string, { path, content, isSecret }: DeploymentFile): Promise<void> {
  await makeFolder(dirname(join(folder, path)));
  await writeFileAtomic(join(folder, path), content);
  if (isSecret) await chmod(join(folder, path), ownerModes.file); // empty until the operator fills it in
}

async function update(target: string, files: readonly DeploymentFile[], force: boolean): Promise<WrittenFiles> {
  const before = await readManifest(target);
  const foreign: string[] = [];
  for (const { path, isSecret } of files)
    if (!isSecret && !force && !(await isOurs(target, path, before))) foreign.push(path);
  if (foreign.length > 0)
    refuse(
      target,
      "files that kindling deploy wrote, unchanged",
      foreign.join(", "),
      "choose another --out, or replace them with --force",
    );
  const after = hashesOf(files);
  const stale: string[] = [];
  for (const path of Object.keys(before))
    if (!(path in after) && (await exists(join(target, path))) && (await isOurs(target, path, before)))
      stale.push(path);
  await clearLeftOvers(target);
  const either = Object.fromEntries(
    [...new Set([...Object.keys(before), ...Object.keys(after)])].map((path) => [
      path,
      [...new Set([...(before[path] ?? []), ...(after[path] ?? [])])],
    ]),
  );
  await writeFileAtomic(join(target, MANIFEST), manifestOf(either));
  const result: WrittenFiles = { written: [], kept: [], removed: stale };
  for (const file of files) {
    const isKept = file.isSecret && (await exists(join(target, file.path)));
    if (!isKept) await writeOne(target, file);
    (isKept ? result.kept : result.written).push(file.path);
  }
  for (const path of stale) await rm(join(target, path));
  await writeFileAtomic(join(target, MANIFEST), manifestOf(after));
  return result;
}

/** Whether nothing is there, or what an earlier call wrote. A link is never ours. */
async function isOurs(folder: string, path: string, manifest: Manifest): Promise<boolean> {
  const info = await lstat(join(folder, path)).catch(() => undefined);
  if (!info) return true;
  if (!info.isFile()) return false;
  return (manifest[path] ?? []).includes(hashOf(await readFile(join(folder, path))));
}

/** Temporary files of a call that was killed. */
async function clearLeftOvers(folder: string): Promise<void> {
  const names = await readdir(folder);
  const ours = names.filter((name) => /^(\.kindling-deploy\.json|[\w.-]+\.yaml|Modelfile|\.env)\.tmp-\d+$/.test(name));
  for (const name of ours) await rm(join(folder, name), { force: true });
}
