import { readFileSync } from "node:fs";

/** Names of the fields of an interface in a file of types, where they stand on lines of their own. */
export function fieldsOfType(file: string, name: string): string[] {
  const source = readFileSync(file, "utf8");
  const members = new RegExp(`interface ${name}\\b[^{]*{\n([^]*?)\n}`, "m").exec(source)?.[1];
  if (members === undefined) throw new Error(`${file} has no interface ${name}`);
  return [...members.matchAll(/^ {4,8}(\w+)\??:/gm)].map(([, member]) => member);
}
