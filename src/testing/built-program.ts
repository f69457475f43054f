/** What tests of the command line run, and what they train on. */
import { fileURLToPath } from "node:url";

/** The built program, as users run it; `npm test` builds it first. */
export const program = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** A text that a tiny model learns in seconds. */
export const TALE = "It was the best of times, it was the worst of times, it was the age of wisdom.\n".repeat(120);

/** Options of a model that trains in seconds. */
export const tinyModel = ["--width", "32", "--layers", "1", "--heads", "2", "--batch", "4"];
/** Options of one that reads characters. */
export const tinyCharacterModel = (contextLength: number) => {
  return ["--tokenizer", "char", "--context", String(contextLength), ...tinyModel];
};
