import { DataError, nearest } from "../ir/index.ts";
import { deepseek } from "./decoders/deepseek.ts";
import { gemmas } from "./decoders/gemma.ts";
import { glms } from "./decoders/glm.ts";
import { gptNeox } from "./decoders/gpt-neox.ts";
import { gpt2 } from "./decoders/gpt2.ts";
import { llamas } from "./decoders/llama.ts";
import { mixtures } from "./decoders/moe.ts";
import { phi3 } from "./decoders/phi3.ts";
import { albert } from "./encoders/albert.ts";
import { bert, electra, roberta, xlmRoberta } from "./encoders/bert.ts";
import { deberta } from "./encoders/deberta.ts";
import { distilbert } from "./encoders/distilbert.ts";
import { modernbert } from "./encoders/modernbert.ts";
import type { Family } from "./family.ts";
import type { Json } from "./labels.ts";
import type { Task } from "./model.ts";
import { barts } from "./seq2seq/bart.ts";
import { t5s } from "./seq2seq/t5.ts";
import { whisper } from "./seq2seq/whisper.ts";
import { clips } from "./vision/clip.ts";
import { convnext } from "./vision/convnext.ts";
import { detr } from "./vision/detr.ts";
import { mobilenetV2 } from "./vision/mobilenet-v2.ts";
import { resnet } from "./vision/resnet.ts";
import { segformer } from "./vision/segformer.ts";
import { swin } from "./vision/swin.ts";
import { deit, dinov2, vit } from "./vision/vit.ts";
import { yolos } from "./vision/yolos.ts";

/** All families. Adding one takes its file and a name here. */
const all: readonly Family[] = [
  gpt2,
  gptNeox,
  ...llamas,
  ...gemmas,
  phi3,
  ...glms,
  ...mixtures,
  deepseek,
  bert,
  roberta,
  xlmRoberta,
  distilbert,
  albert,
  electra,
  deberta,
  modernbert,
  ...t5s,
  ...barts,
  whisper,
  resnet,
  convnext,
  mobilenetV2,
  vit,
  deit,
  dinov2,
  swin,
  segformer,
  ...clips,
  yolos,
  detr,
];

/** The families, by the model_type of config.json. */
export const families: ReadonlyMap<string, Family> = new Map(all.map((family) => [family.modelType, family]));

/** @throws DataError naming the nearest family for one that is not known */
export function familyOf(path: string, modelType: unknown): Family {
  const family = families.get(String(modelType));
  if (family) return family;
  const names = [...families.keys()];
  const near = nearest(String(modelType), names);
  throw new DataError({
    where: `${path}, model_type`,
    expected: `a supported architecture: ${names.join(", ")}`,
    received: JSON.stringify(modelType) ?? "none",
    fix: near ? `did you mean "${near}"?` : "convert the model, or use another",
  });
}

/**
 * The class to make: the one for a task, or else the one that config.json names.
 * @throws DataError naming the nearest class, or the tasks of the family
 */
export function architectureFor(path: string, { architectures }: Json, { modelType, tasks }: Family, task?: Task): string {
  const names = Object.keys(tasks);
  if (task !== undefined) {
    const found = names.find((name) => tasks[name] === task);
    if (found) return found;
    const known = [...new Set(Object.values(tasks))].join(", ");
    throw new DataError({ where: path, expected: `a task of ${modelType}: ${known}`, received: task, fix: "choose one of them, or another model" });
  }
  const [named] = Array.isArray(architectures) ? architectures : [];
  if (named === undefined) return names[names.length - 1];
  if (names.includes(named)) return named;
  const near = nearest(String(named), names);
  throw new DataError({
    where: `${path}, architectures`,
    expected: `one of ${names.join(", ")}`,
    received: JSON.stringify(named),
    fix: near ? `did you mean "${near}"?` : `name the task: fromPretrained(path, { task: "${tasks[names[0]]}" })`,
  });
}
