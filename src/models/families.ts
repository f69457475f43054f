import { OptionError } from "../base/index.ts";
import { decoderFamilies } from "./decoders/families.ts";
import { albert } from "./encoders/albert.ts";
import { bert } from "./encoders/bert.ts";
import { deberta } from "./encoders/deberta.ts";
import { distilbert } from "./encoders/distilbert.ts";
import { electra } from "./encoders/electra.ts";
import { modernbert } from "./encoders/modernbert.ts";
import { roberta, xlmRoberta } from "./encoders/roberta.ts";
import { findFamily } from "./family.ts";
import type { Json } from "./labels.ts";
import type { Family } from "./model.ts";
import { barts } from "./seq2seq/bart.ts";
import { t5s } from "./seq2seq/t5.ts";
import { whisper } from "./seq2seq/whisper.ts";
import { clips } from "./vision/clip.ts";
import { convnet } from "./vision/convnet.ts";
import { convnext } from "./vision/convnext.ts";
import { detr } from "./vision/detr.ts";
import { dinov2 } from "./vision/dinov2.ts";
import { mobilenetV2 } from "./vision/mobilenet-v2.ts";
import { resnet } from "./vision/resnet.ts";
import { segformer } from "./vision/segformer.ts";
import { swin } from "./vision/swin.ts";
import { deit, vit } from "./vision/vit.ts";
import { yolos } from "./vision/yolos.ts";
import { blip } from "./vision-language/blip.ts";
import { llava } from "./vision-language/llava.ts";
import { qwen2Vl } from "./vision-language/qwen2-vl.ts";

/** The families that Kindling brings. */
const builtIn: readonly Family[] = [
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
  convnet,
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

/** Families of models, by the model_type of config.json. */
export class FamilyRegistry implements Iterable<Family> {
  private readonly byModelType = new Map<string, Family>();

  /** @throws OptionError for two families of one name */
  constructor(families: Iterable<Family>) {
    for (const family of families) this.register(family);
  }

  /**
   * Adds a family. It goes before the earlier ones where both match a config.json; the same object may be added again.
   * @throws OptionError where another family has its name, or it has no classes
   */
  register(family: Family): void {
    const { modelType, classes } = family;
    const other = this.byModelType.get(modelType);
    if (other !== undefined && other !== family)
      throw new OptionError({
        where: "registerFamily",
        expected: "a model_type that no other family has",
        received: JSON.stringify(modelType),
        fix: "name the family otherwise, or register it once and share the object",
      });
    if (Object.keys(classes).length === 0)
      throw new OptionError({
        where: `registerFamily, ${modelType}`,
        expected: "at least one class of models",
        received: "none",
        fix: "name them in classes: { MyModelForCausalLM }",
      });
    this.byModelType.set(modelType, family);
  }

  /** The family of a config.json. @throws DataError naming the nearest family where none matches */
  find(path: string, json: Json): Family {
    return findFamily(path, this, json);
  }

  /** All families, the earliest first. */
  [Symbol.iterator](): IterableIterator<Family> {
    return this.byModelType.values();
  }
}

/** The families that `fromPretrained`, and everything that opens models by it, knows. */
export const families = new FamilyRegistry(builtIn);

/**
 * Adds a family to those that `fromPretrained`, pipelines and the server know. A package with an architecture of its
 * own calls it where its module is loaded; see docs/models.md.
 * @throws OptionError where another family has its model_type
 */
export function registerFamily(family: Family): void {
  families.register(family);
}
