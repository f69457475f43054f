import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { KindlingError, OptionError } from "../base/index.ts";
import { ContextLengthError, Generator, Sampler, settingsOf } from "../generate/index.ts";
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
  [
    "train: expected --context to be a positive integer; received 0. Fix: correct the option.",
    run({ contextLength: 0 }),
  ],
  ["train: expected --lr above 0; received 0. Fix: correct the option.", run({ learningRate: 0 })],
  [
    "train: expected --width to be a multiple of --heads; received 30 and 4. Fix: use --width 32.",
    run({ hiddenSize: 30, numHeads: 4 }),
  ],
  ["train: expected --dropout from 0 to below 1; received 1. Fix: correct the option.", run({ dropout: 1 })],
  ["train: expected --steps to be a positive integer; received 0. Fix: correct the option.", run({ steps: 0 })],
  [
    "sampling: expected --top-p above 0 and at most 1; received 3. Fix: choose a value in the range.",
    () => new Sampler({ topP: 3 }),
  ],
  [
    "sampling: expected a --seed that is a whole number; received 0.5. Fix: choose a value in the range.",
    () => new Sampler({ seed: 0.5 }),
  ],
  [
    "generate: expected --tokens to be a number of tokens of at least 0; received -1. Fix: correct it.",
    () => settingsOf({}, { maxNewTokens: -1 }),
  ],
])("%s", (message, act) => {
  expect(said(act)).toBe(message);
});

test("of a context that is too long or full", () => {
  const { generator } = tinyServedModel({ contextLength: 64 });
  expect(said(() => new Generator(generator.model, { contextLength: 65 }))).toMatch(
    /expected a --context from 1 to 64; received 65/,
  );
  expect(messageOf(new ContextLengthError({ promptTokens: 60, maxNewTokens: 10, contextLength: 64 }))).toMatch(
    /received 60 of the prompt and --tokens 10\. Fix: .*with --context-shift\.$/,
  );
  generator.dispose();
});

describe("what serve refuses is said of its option", () => {
  const model = fileURLToPath(new URL("../../golden/pipelines/models/gpt2", import.meta.url));
  /** Values that cannot be, and what of the message must be in the words of the command line. */
  const wrong: Readonly<Record<string, readonly (readonly [value: string, message: RegExp])[]>> = {
    "--port": [
      ["70000", /expected a port from 0 to 65535; received 70000. Fix: choose another --port/],
      ["x", /'--port <n>' argument 'x'/],
    ],
    "--host": [["192.0.2.1", /expected an address of this machine; received .*Fix: choose another --host/]],
    "--allowed-hosts": [["box:80", /expected --allowed-hosts: a name without a port/]],
    "--cors-origin": [["ftp", /expected --cors-origin: an origin/]],
    "--image-hosts": [["https://example.org", /expected --image-hosts: a host, as/]],
    "--image-private-hosts": [["*", /expected --image-private-hosts: a host, as/]],
    "--max-images": [["-1", /expected --max-images from 0/]],
    "--max-queue": [
      ["-1", /expected --max-queue from 0 to/],
      ["1.5", /'--max-queue <n>'/],
    ],
    "--queue-timeout": [
      ["0", /'--queue-timeout <seconds>'/],
      ["99999999", /'--queue-timeout <seconds>' .*at most 2147483/],
    ],
    "--timeout": [["99999999", /'--timeout <seconds>' .*at most 2147483/]],
    "--memory": [
      ["0", /'--memory <GiB>'/],
      ["0.000001", /expected models that each fit into --memory, 0.000001 GiB; received gpt2, whose weights take/],
    ],
    "--keep-alive": [
      ["soon", /'--keep-alive <seconds>'/],
      ["99999999", /'--keep-alive <seconds>' .*at most 2147483/],
    ],
    "--context": [["0", /expected a --context from 1 to 96/]],
    "--max-sequences": [["0", /expected --max-sequences that is a whole number from 1 to 4096/]],
    "--cache-tokens": [["0", /expected --cache-tokens that is a whole number of at least 1/]],
    "--prefix-tokens": [["-1", /expected --prefix-tokens that is a whole number of at least 0/]],
    "--threads": [["0", /expected --threads to be an integer of at least 1/]],
    "--prompt-lookup": [["0", /expected --prompt-lookup/]],
    "--assistant": [["none", /received "none"/]],
    "--cache-dtype": [["f64", /'--cache-dtype <dtype>'/]],
    "--adapter": [
      ["adapter", /it is not name=folder/],
      ["a=none", /none\/adapter_config\.json: expected a file/],
    ],
    "--max-adapters": [["-1", /expected --max-adapters that is a whole number/]],
    "--api-key": [["a b", /expected an --api-key of printable ASCII/]],
    "--keys": [["none.json", /none\.json/]],
    "--log": [["xml", /'--log \[format\]' argument 'xml'/]],
    "--tls-cert": [["none.pem", /expected --tls-cert and --tls-key; received --tls-cert alone/]],
    "--tls-key": [["none.pem", /expected --tls-cert and --tls-key; received --tls-key alone/]],
    "--drain-timeout": [["-1", /'--drain-timeout <seconds>'/]],
    "--max-connections": [["0", /expected --max-connections from 1 to/]],
    "--headers-timeout": [["0", /'--headers-timeout <seconds>'/]],
    "--body-timeout": [["99999999", /'--body-timeout <seconds>' .*at most 2147483/]],
    "--keep-alive-timeout": [["x", /'--keep-alive-timeout <seconds>'/]],
    "--config": [["none.yaml", /none\.yaml: expected a YAML file of options/]],
    "--device": [["cup", /'--device <type>'/]],
  };
  /** Any folder is one, though none of its models is named; the others take no value. */
  const withoutWrong = [
    "--runs",
    "--no-mmap",
    "--metrics-open",
    "--log-prompts",
    "--audit",
    "--adapter-folder",
    "--data",
  ];

  test("its options are all here", () => {
    const serve = createProgram().commands.find((command) => command.name() === "serve");
    expect(serve?.options.map(({ long }) => long).sort()).toEqual([...Object.keys(wrong), ...withoutWrong].sort());
  });
  test.each(
    Object.entries(wrong).flatMap(([option, cases]) =>
      cases.map(([value, message]) => [option, value, message] as const),
    ),
  )("%s %s", async (option, value, message) => {
    let written = "";
    const program = createProgram();
    for (const command of program.commands)
      command.exitOverride().configureOutput({ writeErr: (text) => (written += text) });
    const error = await program
      .parseAsync(["node", "kindling", "serve", model, "--port", "0", option, value])
      .catch((cause) => cause);
    expect(error instanceof KindlingError ? messageOf(error) : written).toMatch(message);
  });
});

test("a word of prose that is an option's name too stays as it is", () => {
  const error = new ContextLengthError({ promptTokens: 1, contextLength: 1 });
  expect(messageOf(error)).toContain("shorten the prompt, ask for fewer tokens");
});

test("an option's value that is near a choice is asked about", () => {
  const errors: string[] = [];
  const program = createProgram();
  for (const command of program.commands)
    command.exitOverride().configureOutput({ writeErr: (text) => errors.push(text) });
  expect(() => program.parse(["node", "kindling", "train", "--text", "x", "--tokenizer", "bep"])).toThrow(
    /Did you mean bpe\?/,
  );
  expect(() => program.parse(["node", "kindling", "convert", "a", "b", "--type", "q8"])).toThrow(/Did you mean q8_0\?/);
  expect(() => program.parse(["node", "kindling", "convert", "a", "b", "--to", "zzzzzzzz"])).toThrow(
    /Allowed choices are/,
  );
});

test("what is wrong in a file is said in the words of the file", () => {
  const parts = { expected: "one of maxQueue, allowedHosts", received: '"maxQueu"', fix: 'did you mean "maxQueue"?' };
  expect(messageOf(new OptionError({ where: "gw.yaml, server", ...parts }))).toContain("maxQueue, allowedHosts");
  expect(messageOf(new OptionError({ where: "serve", ...parts }))).toContain("--max-queue, --allowed-hosts");
});
