import { sep } from "#system";

/** What no shell takes for anything else. Of Windows the separator of folders is among it. */
const plain = sep === "\\" ? /^[\p{L}\p{N}_./:=@+,\\-]+$/u : /^[\p{L}\p{N}_./:=@+,-]+$/u;

/** A word as it is typed in a shell: in quotes where it needs them. */
function quoted(word: string): string {
  if (plain.test(word)) return word;
  const needsSingle = /["$`!\n]/.test(word) || (sep === "/" && word.includes("\\"));
  return needsSingle ? `'${word.replaceAll("'", "'\\''")}'` : `"${word}"`;
}

/** A command for users to type: every command that is printed with a name or a path in it goes through here. */
export const commandLine = (...words: readonly string[]): string => words.map(quoted).join(" ");
