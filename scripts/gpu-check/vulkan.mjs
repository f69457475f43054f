// @ts-check
/**
 * Makes WebGPU find the card where libraries are there and nothing names them: in containers that have CUDA's libraries
 * alone. What is missing is found by the package's own code, which `kindling doctor` uses too.
 */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { findVulkan } from "../../dist/cli/gpu-libraries.js";

/** @typedef {import("../../dist/cli/gpu-libraries.js").System} System */

const LOADER = "libvulkan.so.1";

/** What the loader reads, for a driver that no file names. @param {string} driver its path */
const manifestFor = (driver) =>
  JSON.stringify({ file_format_version: "1.0.0", ICD: { library_path: driver, api_version: "1.3.0" } });

/** The environment in which Vulkan's loader sees one driver alone. @param {string} manifest */
export const onlyDriver = (manifest) => ({ VK_ICD_FILENAMES: manifest, VK_DRIVER_FILES: manifest });

/**
 * Where the libraries are with which WebGPU finds the card, and files that name the driver to Vulkan's loader.
 * @param {System} system @param {{ bundled: string, work: string }} folders with libraries that a system may lack; to
 * write into
 */
export function prepareVulkan(system, { bundled, work }) {
  const parts = findVulkan(system);
  const notes = [];
  mkdirSync(join(work, "lib"), { recursive: true });
  // only what the system lacks: its libraries may be newer
  const lacking = system.list(bundled).filter((name) => !system.known.has(name));
  for (const name of lacking) symlinkSync(join(bundled, name), join(work, "lib", name));
  if (!parts.loader && lacking.includes(LOADER)) notes.push(`${LOADER} is missing here: the archive's is used`);
  const written = parts.drivers.map((driver, i) => {
    const path = join(work, `nvidia_icd_${i}.json`);
    writeFileSync(path, manifestFor(driver));
    return path;
  });
  // the first that works is taken
  const manifests = [...(parts.manifest ? [parts.manifest] : []), ...written];
  const folders = [...(process.env.LD_LIBRARY_PATH ?? "").split(":"), join(work, "lib"), ...parts.drivers.map(dirname)];
  const libraryPath = [...new Set(folders.filter(Boolean))].join(":");
  const isChosen = process.env.VK_ICD_FILENAMES ?? process.env.VK_DRIVER_FILES;
  if (isChosen) notes.push(`the environment names Vulkan's driver: ${isChosen}`);
  return { ...parts, missing: isChosen ? [] : parts.missing, notes, libraryPath, manifests: isChosen ? [] : manifests };
}
