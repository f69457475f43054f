import { basename, extname, join, resolve } from "node:path";
import { OptionError } from "../base/index.ts";

/** What Windows, macOS or Linux does not take in a file's name. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are among them
const unsafe = /[\u0000-\u001f\u007f<>:"/\\|?*\ud800-\udfff]/u;
/** Devices of Windows, with whatever extension. */
const device = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)/i;
/** Endings of the folders that Kindling makes beside a run. */
const reserved = /\.(lock|before-restart|tmp|old)$/i;
/** Disks take 255; the endings need some. */
const MOST_BYTES = 200;

/** Why a text cannot be the name of a run on every system, or undefined when it can. */
function faultOf(name: string): string | undefined {
  if (name === "") return "an empty one";
  if (name === "." || name === "..") return "one that stands for another folder";
  if (unsafe.test(name)) return "one with a character that not every system allows";
  if (/^[\s-]/.test(name)) return "one that begins with a space or a dash";
  if (/[\s.]$/.test(name)) return "one that ends with a space or a dot";
  if (device.test(name)) return "one that is a device on Windows";
  if (reserved.test(name)) return "one with an ending that Kindling uses itself";
  if (new TextEncoder().encode(name).length > MOST_BYTES) return `one of more than ${MOST_BYTES} bytes`;
  return undefined;
}

/**
 * The folder of a run. Its name is one path segment in any script, so that the folder lies directly in the folder of
 * all runs.
 * @throws OptionError for a name that is not usable on every system
 */
export function runFolder(runs: string, name: string): string {
  const fault = faultOf(name);
  if (!fault) return join(runs, name);
  throw new OptionError({
    where: "the name of a run",
    expected: "a file's name without folders",
    received: `${fault}: ${JSON.stringify(name)}`,
    fix: "for example --name my-model",
  });
}

/**
 * A name for the run on a text: that of the file or folder, with what is unsafe replaced. @throws OptionError where
 * nothing is left of it
 */
export function defaultRunName(text: string): string {
  const path = resolve(text); // "." and ".." are folders with names, too
  const stem = basename(path, extname(path));
  const safe = stem
    .split(unsafe)
    .join("-")
    .replace(/^[\s-]+|[\s.]+$/g, "");
  const name = [stem, safe, safe && `${safe}-run`].find((candidate) => !faultOf(candidate));
  if (name !== undefined) return name;
  throw new OptionError({
    where: "train",
    expected: "a --name",
    received: `none, and none follows from ${JSON.stringify(text)}`,
    fix: "for example --name my-model",
  });
}
