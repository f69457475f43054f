// @ts-check
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * @typedef {{ version?: string, integrity?: string, optional?: boolean, optionalDependencies?: Record<string, string>
 * }} Entry
 */

/**
 * Whether node_modules has what package-lock.json names, whoever installed it: by npm's own list, which npm writes
 * last. Optional packages of other systems are not needed, those that the root asks for are.
 * @param {string} root
 * @returns {boolean}
 */
export function isInstalled(root) {
  const list = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(list)) return false;
  const [wanted, present] = [join(root, "package-lock.json"), list].map(packagesOf);
  const direct = Object.keys(wanted[""]?.optionalDependencies ?? {}).map((name) => `node_modules/${name}`);
  return Object.entries(wanted).every(([path, { version, integrity, optional }]) => {
    if (path === "") return true;
    const entry = present[path];
    if (entry === undefined) return optional === true && !direct.includes(path);
    return entry.version === version && entry.integrity === integrity && existsSync(join(root, path, "package.json"));
  });
}

/** @param {string} path @returns {Record<string, Entry>} */
function packagesOf(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")).packages ?? {};
  } catch {
    return {}; // written halfway
  }
}
