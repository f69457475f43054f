// Fetches a package of the npm registry by its name and version, checks its sum, and unpacks it.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/**
 * Puts the files of a package into a folder, unless they are there: through npm, as it is configured.
 * @param {{ name: string, version: string, sha256: string }} package_
 * @param {string} folder
 * @returns {Promise<string>} the folder with the package's files
 */
export async function npmPackage({ name, version, sha256 }, folder) {
  const target = join(folder, `${name}-${version}`);
  if (await exists(target)) return target;
  await mkdir(folder, { recursive: true });
  const { stdout } = await run("npm", ["pack", "--silent", `${name}@${version}`], { cwd: folder });
  const archive = join(folder, stdout.trim().split("\n").at(-1));
  const sum = createHash("sha256")
    .update(await readFile(archive))
    .digest("hex");
  if (sum !== sha256)
    throw new Error(
      `${name}@${version}: expected the sha256 ${sha256}; received ${sum}. Fix: fetch it again, or do not use it`,
    );
  await run("tar", ["xzf", archive], { cwd: folder });
  await rename(join(folder, "package"), target);
  await rm(archive);
  return target;
}

const exists = (path) =>
  access(path).then(
    () => true,
    () => false,
  );
