/** The methods that there are, by name. */

import { classification } from "./classification.ts";
import type { Method } from "./method.ts";
import { questionAnswering } from "./question-answering.ts";
import { seq2seq } from "./seq2seq.ts";
import { sft } from "./sft.ts";
import { tokenClassification } from "./token-classification.ts";

export const methods: ReadonlyMap<string, Method> = new Map(
  [sft, classification, tokenClassification, questionAnswering, seq2seq].map((method) => [method.name, method]),
);
