import { generationSettingNames } from "./generation-config.ts";

/** Names of the options by which tokens are picked. */
export const pickOptionNames = [
  ...generationSettingNames,
  "seed",
  "stopTokens",
  "onLogits",
  "processors",
  "warpers",
  "topLogprobs",
  "onLogprobs",
  "constraint",
  "signal",
] as const;
/** Those of one of several texts: they are written, and ended, together. */
export const rowOptionNames = pickOptionNames.filter((name) => name !== "signal");
export const placeNames = ["priority", "group"] as const;
