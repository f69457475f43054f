/** Changes of sound files: a few at a time, so that most of what is behind them is still reached. */
import type { Random } from "./random.ts";

const words = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

/** A file with some of its bytes changed, cut, doubled or put elsewhere. */
export function mutateBytes(original: Uint8Array, random: Random): Uint8Array {
  let bytes = Buffer.from(original);
  for (let left = 1 + random.below(4); left > 0 && bytes.length > 8; left--) {
    // headers are in front: half of the changes
    const at = random.below(random.below(2) ? bytes.length : Math.min(bytes.length, 512));
    const length = 1 + random.below(Math.min(64, bytes.length - at));
    const part = bytes.subarray(at, at + length);
    switch (random.below(8)) {
      case 0:
        bytes[at] ^= 1 << random.below(8);
        break;
      case 1:
        bytes[at] = random.below(256);
        break;
      case 2:
        if (at + 4 <= bytes.length) bytes.writeUInt32LE(random.pick(words), at);
        break;
      case 3:
        if (at + 8 <= bytes.length) bytes.writeBigUInt64LE(BigInt(random.pick(words)) << BigInt(random.below(33)), at);
        break;
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
        break;
      case 5:
        bytes = Buffer.concat([bytes.subarray(0, at), part, part, bytes.subarray(at + length)]);
        break;
      case 6:
        part.fill(random.pick([0, 0xff, 0x20, 0x5b]));
        break;
      default:
        if (random.below(4) === 0) bytes = bytes.subarray(0, at);
        else bytes.copy(bytes, at, random.below(bytes.length - length + 1));
    }
  }
  return bytes;
}

const odd: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  3,
  1e9,
  2 ** 31,
  2 ** 53,
  1e308,
  "",
  "a",
  "x".repeat(1000),
  "\ud800",
  "__proto__",
  "(a+)+$",
  "[",
  "\\p{L}+|\\s+(?!\\S)",
  "IQAAAAAAAAAA",
  [],
  {},
  [[]],
  [null],
  ["a", "b"],
  { type: "Sequence" },
];

type Holder = Record<string, unknown>;
const isHolder = (value: unknown): value is Holder => value !== null && typeof value === "object";

/** A JSON value with some of its parts replaced by odd ones or by each other, taken out or wrapped. */
export function mutateJson(original: unknown, random: Random): unknown {
  const copy = structuredClone(original) as Holder;
  for (let left = 1 + random.below(3); left > 0; left--) {
    let holder = copy;
    let key = random.pick(Object.keys(holder));
    for (let depth = random.below(8); depth > 0 && key !== undefined; depth--) {
      const child = holder[key];
      if (!isHolder(child) || Object.keys(child).length === 0) break;
      holder = child;
      key = random.pick(Object.keys(holder));
    }
    if (key === undefined) continue;
    const old = holder[key];
    const choice = random.below(10);
    if (choice < 5) holder[key] = structuredClone(random.pick(odd));
    else if (choice === 5) delete holder[key];
    else if (choice === 6) holder[key] = [old];
    else if (choice === 7) holder[key] = structuredClone(holder[random.pick(Object.keys(holder))]);
    else if (choice === 8 && typeof old === "number")
      holder[key] = random.pick([-old, old * 1e6, old + 1, old - 1, old / 2]);
    else if (typeof old === "string") holder[key] = mutateText(old, random, [old]);
  }
  return copy;
}

/** A text with parts taken out, doubled, or put in from others. */
export function mutateText(original: string, random: Random, others: readonly string[]): string {
  let text = original;
  for (let left = 1 + random.below(4); left > 0; left--) {
    const at = random.below(text.length + 1);
    const length = random.below(20);
    const other = random.pick(others);
    const from = random.below(other.length + 1);
    const part = other.slice(from, from + 1 + random.below(40));
    const middle = random.pick([
      part,
      "",
      text.slice(at, at + length).repeat(2),
      String.fromCharCode(random.below(0x300)),
      "\ud800",
      "9".repeat(random.below(30)),
      "[".repeat(20),
    ]);
    text = text.slice(0, at) + middle + text.slice(at + length);
  }
  return text;
}
