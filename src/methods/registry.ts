/** The methods that there are, by name. */
import { clip } from "./clip.ts";
import { fewShot } from "./few-shot.ts";
import { imageClassification } from "./image-classification.ts";
import type { Method } from "./method.ts";
import { sft } from "./sft.ts";
import { speech } from "./speech.ts";

const all: readonly Method[] = [sft, imageClassification, clip, fewShot, speech];

export const methods: ReadonlyMap<string, Method> = new Map(all.map((method) => [method.name, method]));
