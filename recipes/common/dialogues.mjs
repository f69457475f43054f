/** The English dialogues of chatterbot-corpus (PyPI, BSD-3) as questions with their answers. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { pythonPackage } from "./packages.mjs";

/** The first 32 bits of a sum of a text, as a number from 0 to 1: the same on every machine. */
export const shareOf = (text) => createHash("sha256").update(text).digest().readUInt32BE(0) / 2 ** 32;

/**
 * Questions with an answer, one list for each subject. A question stands once, with its last answer there, in the first
 * subject that has it.
 * @param folder of the packages
 */
export function questionsBySubject(folder) {
  const place = join(pythonPackage("chatterbot-corpus", "1.3.3", folder), "chatterbot_corpus", "data", "english");
  const seen = new Set();
  const lists = readdirSync(place)
    .filter((file) => file.endsWith(".yml"))
    .map((file) => {
      const { conversations } = parse(readFileSync(join(place, file), "utf8"));
      const talks = conversations.filter(Array.isArray); // one is a text alone
      const pairs = talks.map((turns) => turns.slice(0, 2).map((text) => String(text ?? "").trim()));
      const each = [...new Map(pairs.filter(([question, answer]) => question && answer))];
      return [file.replace(".yml", ""), each.filter(([question]) => !seen.has(question) && seen.add(question))];
    });
  return new Map(lists);
}
