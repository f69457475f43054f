/**
 * Every golden model from files with more and with fewer tensors than it has: the same numbers, and the warnings of
 * transformers (golden/make_checkpoints.py).
 */
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import golden from "../../golden/checkpoints.json" with { type: "json" };
import { readSafetensors, type StoredTensor, writeSafetensors } from "../files/index.ts";
import { fromPretrained, type LoadOptions, type LoadWarning, type PretrainedModel } from "./index.ts";

interface Expected {
  base: string;
  prefix: string;
  silent: string[];
  known: string[];
  mayLack: string[];
  refused: string[];
  withPrefix: boolean;
  withoutPrefix: boolean;
}

const folderOf = (name: string) => fileURLToPath(new URL(`../../golden/${name}`, import.meta.url));
let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(scratch, { recursive: true }));

type Tensors = ReadonlyMap<string, StoredTensor>;

/** A golden model with other tensors in its file, and what is warned of. */
async function load(name: string, tensors: Tensors, options: LoadOptions = {}) {
  await copyFile(join(folderOf(name), "config.json"), join(scratch, "config.json"));
  await writeSafetensors(join(scratch, "model.safetensors"), tensors);
  const warnings: LoadWarning[] = [];
  const model = await fromPretrained(scratch, { onWarning: (warning) => warnings.push(warning), ...options });
  expect(warnings.length).toBeLessThan(2);
  const [{ unused, initialized } = { unused: [], initialized: [] }] = warnings;
  return { model, unused, initialized };
}

async function numbersOf(model: PretrainedModel, without: readonly string[] = []): Promise<Map<string, unknown>> {
  const numbers = new Map<string, unknown>();
  for (const [key, variable] of model.namedState()) if (!without.includes(key)) numbers.set(key, await variable.read());
  model.dispose();
  return numbers;
}

const one: StoredTensor = { dtype: "f32", shape: [2], data: Float32Array.of(1, 2) };
const isCount = (name: string) => name.endsWith("num_batches_tracked");
/** ResNets are read from timm's files too, under names that transformers does not know. */
const timm = /resnet/;
const timmNames = ["bn1.num_batches_tracked", "fc.weight"];
/** LLaVA's published files have a level more than what version 5 of transformers makes. */
const published = (name: string) => name.replace(/^vision_tower\.(?!vision_model)/, "vision_tower.vision_model.");

describe.each(Object.entries(golden.models as unknown as Record<string, Expected>))(
  "%s",
  (name, { base, prefix, silent, known, mayLack, refused, withPrefix, withoutPrefix }) => {
    const read = async () => (await readSafetensors(join(folderOf(name), "model.safetensors"))).tensors;
    const original = async (without?: readonly string[]) => numbersOf(await fromPretrained(folderOf(name)), without);

    test("with leftovers", async () => {
      const leftovers = [...new Set(golden.leftovers.map((leftover) => leftover.replace("{base}", base)))].filter(
        (leftover) => !known.includes(leftover) && !(timm.test(name) && timmNames.includes(leftover)),
      );
      const tensors = new Map([...leftovers.map((leftover) => [leftover, one] as const), ...(await read())]);
      const { model, unused, initialized } = await load(name, tensors);
      expect([...unused].sort()).toEqual(leftovers.filter((leftover) => !silent.includes(leftover)).sort());
      expect(initialized).toEqual([]);
      expect(await numbersOf(model)).toEqual(await original());
    });

    test("without some tensors", async () => {
      const tensors = new Map(await read());
      const others = [...tensors.keys()].filter(
        (key) => !mayLack.includes(key) && !refused.includes(key) && !isCount(key) && tensors.size > 1,
      );
      const removed = [...new Set([others[0], others[others.length >> 1], others[others.length - 1]])];
      for (const key of [...removed, ...mayLack.slice(0, 1)]) tensors.delete(key);
      const { model, unused, initialized } = await load(name, tensors);
      expect([...initialized].sort()).toEqual(removed.map(published).sort());
      expect(unused).toEqual([]);
      const changed = [...removed.map(published), ...mayLack];
      expect(await numbersOf(model, changed)).toEqual(await original(changed));
    });

    test.runIf(withPrefix || withoutPrefix)("with the base model's name in front, or without it", async () => {
      const rename = (key: string) =>
        withPrefix ? `${prefix}${key}` : key.startsWith(base) ? key.slice(base.length) : key;
      const { model, unused, initialized } = await load(
        name,
        new Map([...(await read())].map(([key, tensor]) => [rename(key), tensor])),
      );
      expect([unused, initialized]).toEqual([[], []]);
      expect(await numbersOf(model)).toEqual(await original());
    });
  },
);
