import { expect, test } from "vitest";
import { ContextLengthError, Generator, Sampler, settingsOf } from "../generate/index.ts";
import { KindlingError } from "../ir/index.ts";
import { tinyServedModel } from "../testing/served-model.ts";
import { checkRunConfig, defaultRunConfig } from "../train/index.ts";
import { messageOf, propertyOf, trainingOptions } from "./option-names.ts";
import { createProgram } from "./program.ts";

/** What the command says of an error that the library throws. */
function said(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof KindlingError) return messageOf(error);
    throw error;
  }
  throw new Error("nothing was thrown");
}
const run = (changes: object) => () => checkRunConfig({ ...defaultRunConfig, ...changes });

test("each setting of a run has an option of train", () => {
  const train = createProgram().commands.find((command) => command.name() === "train");
  const options = train?.options.map(({ long }) => long);
  for (const [name, option] of Object.entries(trainingOptions)) expect(options, name).toContain(option);
  expect(Object.keys(trainingOptions).sort()).toEqual([...Object.keys(defaultRunConfig), "text"].sort());
  expect(propertyOf("--weight-decay")).toBe("weightDecay");
});

test.each<[string, () => unknown]>([
  ["train: expected --context to be a positive integer; received 0. Fix: correct the option.", run({ contextLength: 0 })],
  ["train: expected --lr above 0; received 0. Fix: correct the option.", run({ learningRate: 0 })],
  ["train: expected --width to be a multiple of --heads; received 30 and 4. Fix: use --width 32.", run({ hiddenSize: 30, numHeads: 4 })],
  ["train: expected --dropout from 0 to below 1; received 1. Fix: correct the option.", run({ dropout: 1 })],
  ["train: expected --steps to be a positive integer; received 0. Fix: correct the option.", run({ steps: 0 })],
  ["sampling: expected --top-p above 0 and at most 1; received 3. Fix: choose a value in the range.", () => new Sampler({ topP: 3 })],
  ["sampling: expected a --seed that is a whole number; received 0.5. Fix: choose a value in the range.", () => new Sampler({ seed: 0.5 })],
  ["generate: expected --tokens to be a number of tokens of at least 0; received -1. Fix: correct it.", () => settingsOf({}, { maxNewTokens: -1 })],
])("%s", (message, act) => {
  expect(said(act)).toBe(message);
});

test("of a context that is too long or full", () => {
  const { generator } = tinyServedModel({ contextLength: 64 });
  expect(said(() => new Generator(generator.model, { contextLength: 65 }))).toMatch(/expected a --context from 1 to 64; received 65/);
  expect(messageOf(new ContextLengthError({ promptTokens: 60, maxNewTokens: 10, contextLength: 64 }))).toMatch(
    /received 60 of the prompt and --tokens 10\. Fix: .*with --context-shift\.$/,
  );
  generator.dispose();
});

test("a word of prose that is an option's name too stays as it is", () => {
  const error = new ContextLengthError({ promptTokens: 1, contextLength: 1 });
  expect(messageOf(error)).toContain("shorten the prompt, ask for fewer tokens");
});

test("an option's value that is near a choice is asked about", () => {
  const errors: string[] = [];
  const program = createProgram();
  for (const command of program.commands) command.exitOverride().configureOutput({ writeErr: (text) => errors.push(text) });
  expect(() => program.parse(["node", "kindling", "train", "--text", "x", "--tokenizer", "bep"])).toThrow(/Did you mean bpe\?/);
  expect(() => program.parse(["node", "kindling", "convert", "a", "b", "--type", "q8"])).toThrow(/Did you mean q8_0\?/);
  expect(() => program.parse(["node", "kindling", "convert", "a", "b", "--to", "zzzzzzzz"])).toThrow(/Allowed choices are/);
});
