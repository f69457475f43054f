// Writes data/: the base emoji of Twitter's set as pictures of 64 x 64, with their names in English and Chinese.
//   node recipes/clip-emoji/data.mjs
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { npmPackage } from "../common/packages.mjs";

/** Pictures: CC-BY 4.0, Twitter, Inc and other contributors. Names: MIT, of Unicode's CLDR. */
const pictures = {
  name: "emoji-datasource-twitter",
  version: "16.0.0",
  sha256: "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
};
const names = {
  name: "emojibase-data",
  version: "17.0.0",
  sha256: "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a",
};
/** Each tenth emoji is measured and not learned. */
const MEASURED_EACH = 10;

const folder = fileURLToPath(new URL("data/", import.meta.url));
await mkdir(folder, { recursive: true });
const [images, texts] = [
  npmPackage(pictures.name, pictures.version, folder, pictures.sha256),
  npmPackage(names.name, names.version, folder, names.sha256),
];
const read = async (path) => JSON.parse(await readFile(path, "utf8"));
const byCode = (list) => new Map(list.map((each) => [plain(each.hexcode), each]));
/** Without the selectors of a picture, which the two packages write in different places. */
const plain = (code) => code.toUpperCase().replace(/-FE0F/g, "");
const [english, chinese] = [
  byCode(await read(join(texts, "en", "data.json"))),
  byCode(await read(join(texts, "zh", "data.json"))),
];

const rows = [];
for (const { unified, image, has_img_twitter: isThere } of await read(join(images, "emoji.json"))) {
  const [en, zh] = [english.get(plain(unified)), chinese.get(plain(unified))];
  if (!isThere || !en || !zh) continue;
  rows.push({ image: relative(folder, join(images, "img", "twitter", "64", image)), en, zh });
}
const row = ({ image, en, zh }, languages) => {
  const named = { en: [en.label, ...(en.tags ?? [])], zh: [zh.label, ...(zh.tags ?? [])] };
  // in training a name with its tags too, as "cat face: animal, pet"
  const long = (list) => (list.length > 1 ? [list[0], `${list[0]}: ${list.slice(1, 5).join(", ")}`] : list);
  return JSON.stringify({ image, text: languages.flatMap((language) => long(named[language])) });
};
const label = ({ image, en, zh }, language) => JSON.stringify({ image, text: { en, zh }[language].label });
const measured = rows.filter((_, i) => i % MEASURED_EACH === 0);
const learned = rows.filter((_, i) => i % MEASURED_EACH !== 0);
const write = (name, lines) => writeFile(join(folder, name), `${lines.join("\n")}\n`);
await write(
  "train.jsonl",
  learned.map((each) => row(each, ["en", "zh"])),
);
for (const language of ["en", "zh"]) {
  await write(
    `known-${language}.jsonl`,
    learned.slice(0, 400).map((each) => label(each, language)),
  );
  await write(
    `validation-${language}.jsonl`,
    measured.map((each) => label(each, language)),
  );
}
console.log(`${learned.length} emoji to learn from, ${measured.length} to measure on`);
