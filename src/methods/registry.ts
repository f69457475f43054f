/** The methods that there are, by name. */
import { classification } from "./classification.ts";
import { crossEncoder } from "./cross-encoder.ts";
import { distill } from "./distill.ts";
import { embeddings } from "./embeddings.ts";
import type { Method } from "./method.ts";
import { preferenceMethod } from "./preference.ts";
import { pretrain } from "./pretrain.ts";
import { questionAnswering } from "./question-answering.ts";
import { rewardMethod } from "./reward.ts";
import { seq2seq } from "./seq2seq.ts";
import { sft } from "./sft.ts";
import { tokenClassification } from "./token-classification.ts";

const all: readonly Method[] = [
  pretrain,
  sft,
  preferenceMethod,
  rewardMethod,
  classification,
  tokenClassification,
  questionAnswering,
  seq2seq,
  embeddings,
  crossEncoder,
  distill,
];

export const methods: ReadonlyMap<string, Method> = new Map(all.map((method) => [method.name, method]));
