import type { Family } from "../model.ts";
import { deepseek } from "./deepseek.ts";
import { gemmas } from "./gemma.ts";
import { glms } from "./glm.ts";
import { gptNeox } from "./gpt-neox.ts";
import { gpt2 } from "./gpt2.ts";
import { llamas } from "./llama-relatives.ts";
import { mixtures } from "./moe.ts";
import { olmo3 } from "./olmo3.ts";
import { phi3 } from "./phi3.ts";

/** All families of decoders: models that write texts, and the text part of models that see images too. */
export const decoderFamilies: readonly Family[] = [
  gpt2,
  gptNeox,
  ...llamas,
  ...gemmas,
  olmo3,
  phi3,
  ...glms,
  ...mixtures,
  deepseek,
];
