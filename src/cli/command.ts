import { relative, sep } from "node:path";
import { commandLine } from "../files/index.ts";

/** A command of this program, as it is typed here: in a clone there is no `kindling`, and node runs the file. */
export function typed(...words: readonly string[]): string {
  const file = process.argv[1] ?? "";
  const isFile = file.endsWith(`${sep}main.js`) && !file.includes(`${sep}node_modules${sep}`);
  return commandLine(...(isFile ? ["node", relative(process.cwd(), file)] : ["kindling"]), ...words);
}
