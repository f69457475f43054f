import { DataError, nearest } from "../base/index.ts";
import { decoderFamilies } from "./decoders/families.ts";
import { albert } from "./encoders/albert.ts";
import { bert, electra, roberta, xlmRoberta } from "./encoders/bert.ts";
import { deberta } from "./encoders/deberta.ts";
import { distilbert } from "./encoders/distilbert.ts";
import { modernbert } from "./encoders/modernbert.ts";
import { type Family, findFamily } from "./family.ts";
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
import { blip } from "./vision-language/blip.ts";
import { llava } from "./vision-language/llava.ts";
import { qwen2Vl } from "./vision-language/qwen2-vl.ts";

/** All families. Adding one takes its file and a name here. */
const all: readonly Family[] = [
  ...decoderFamilies,
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
  llava,
  qwen2Vl,
  blip,
];

/** The families, by the model_type of config.json. */
export const families: ReadonlyMap<string, Family> = new Map(all.map((family) => [family.modelType, family]));

/** @throws DataError naming the nearest family for one that is not known */
export const familyOf = (path: string, modelType: unknown): Family => findFamily(path, all, modelType);

/**
 * The class to make: the one for a task, or else the one that config.json names.
 * @throws DataError naming the nearest class, or the tasks of the family
 */
export function architectureFor(
  path: string,
  { architectures }: Json,
  { modelType, tasks }: Family,
  task?: Task,
): string {
  const names = Object.keys(tasks);
  if (task !== undefined) {
    const found = names.find((name) => tasks[name] === task);
    if (found) return found;
    const known = [...new Set(Object.values(tasks))].join(", ");
    throw new DataError({
      where: path,
      expected: `a task of ${modelType}: ${known}`,
      received: task,
      fix: "choose one of them, or another model",
    });
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
