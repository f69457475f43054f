/** The methods that there are, by name. */
import { classification } from "./classification.ts";
import { clip } from "./clip.ts";
import { crossEncoder } from "./cross-encoder.ts";
import { distill } from "./distill.ts";
import { embeddings } from "./embeddings.ts";
import { fewShot } from "./few-shot.ts";
import { grpo } from "./grpo.ts";
import { imageClassification } from "./image-classification.ts";
import { llava } from "./llava.ts";
import type { Method } from "./method.ts";
import { objectDetection } from "./object-detection.ts";
import { ppo } from "./ppo.ts";
import { preferenceMethod } from "./preference.ts";
import { pretrain } from "./pretrain.ts";
import { questionAnswering } from "./question-answering.ts";
import { rewardMethod } from "./reward.ts";
import { seq2seq } from "./seq2seq.ts";
import { sft } from "./sft.ts";
import { speech } from "./speech.ts";
import { tokenClassification } from "./token-classification.ts";

const all: readonly Method[] = [
  pretrain,
  sft,
  preferenceMethod,
  rewardMethod,
  grpo,
  ppo,
  classification,
  imageClassification,
  objectDetection,
  tokenClassification,
  questionAnswering,
  seq2seq,
  embeddings,
  crossEncoder,
  distill,
  clip,
  llava,
  speech,
  fewShot,
];

/** All methods, by name. */
export const methods: ReadonlyMap<string, Method> = new Map(all.map((method) => [method.name, method]));
