import { type Command, InvalidArgumentError, Option } from "commander";
import { numberRules, OptionError, requireNumbers } from "../base/index.ts";
import { Sampler, settingsOf, type TextOptions } from "../generate/index.ts";
import type { DeviceType } from "../runtime/index.ts";
import type { OpenOptions } from "./models.ts";
import { choice } from "./option-names.ts";
import { collect, integer } from "./parse-values.ts";
import { type SamplingFlag, samplingFlags, samplingValues } from "./sampling-flags.ts";

export function dropUndefined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

export const deviceOption = () =>
  choice("--device <type>", "where to compute; auto takes the best that works", [
    "auto",
    "cpu",
    "webgpu",
    "cuda",
    "coreml",
    "directml",
  ]).default("cpu");

/** Options of the commands that open a model to write texts with it. */
export function withModel(command: Command): Command {
  return command
    .option("--runs <folder>", "folder of all runs", "runs")
    .option(
      "--context <tokens>",
      "most tokens of a prompt and its answer; memory follows the text, not this (default: the model's longest)",
      integer,
    )
    .addOption(
      choice("--cache-dtype <dtype>", "what keys and values are kept in; f16 takes half the memory, int8 a quarter", [
        "f32",
        "f16",
        "int8",
      ]).default("f32"),
    )
    .option(
      "--prompt-lookup <n>",
      "propose up to n tokens that came before in the text, and run them at once: faster where it repeats its prompt",
      integer,
    )
    .option(
      "--assistant <model>",
      "a smaller model with the same tokenizer that proposes tokens; the text is the model's",
    )
    .option("--no-mmap", "read all weights at once, so that the file may be changed while the model runs")
    .addOption(deviceOption())
    .option("--threads <n>", "threads that compute one operation together (default: all cores)", integer);
}

/** What `withModel` has read. */
export interface ModelFlags {
  runs: string;
  context?: number;
  cacheDtype?: "f32" | "f16" | "int8";
  promptLookup?: number;
  assistant?: string;
  mmap?: boolean;
  device?: DeviceType | "auto";
  threads?: number;
  /** Of commands that sample. */
  adapter?: string;
}

/** @throws OptionError for two ways to propose tokens */
export function openOptionsOf({
  context,
  cacheDtype,
  mmap,
  adapter,
  promptLookup,
  assistant,
}: ModelFlags): OpenOptions {
  if (promptLookup !== undefined)
    requireNumbers("options", { "--prompt-lookup": promptLookup }, { "--prompt-lookup": numberRules.positiveInteger });
  if (promptLookup !== undefined && assistant !== undefined) {
    throw new OptionError({
      where: "options",
      expected: "--prompt-lookup or --assistant",
      received: "both",
      fix: "leave one out",
    });
  }
  return dropUndefined({ contextLength: context, cacheDtype, mmap, adapter, promptLookup, assistant });
}

function useTokens(): never {
  throw new InvalidArgumentError("Did you mean --tokens?");
}

/** Options of the commands that sample. */
export function withSampling(command: Command): Command {
  withModel(command)
    .option(
      "--tokens <n>",
      "most tokens to make (default: the model's own limit, or 128; in a talk with a chat template what the context has room for)",
      integer,
    )
    .option("--adapter <folder>", "an adapter that the model is run with: a folder of peft, or of Python's adapters")
    .option("--context-shift", "when the context is full, forget the older half and go on");
  for (const { flags, description, parse } of Object.values<SamplingFlag>(samplingFlags))
    command.option(flags, description, parse as (text: string, before: unknown) => unknown);
  return (
    command
      // what servers and other programs call it
      .addOption(new Option("--max-tokens <n>").hideHelp().argParser(useTokens))
      .option("--seed <n>", "the same seed gives the same text (default: another each time)", integer)
      .option("--stop <text>", "end at this text (may be repeated)", collect)
  );
}

/** What `withSampling` has read; `samplingFlags` has the others. */
export interface SamplingFlags extends Pick<TextOptions, "contextShift" | "seed" | "stop"> {
  tokens?: number;
}

/** @throws OptionError for a value that no model can follow, so that it is said before one is loaded */
export function samplingOf(flags: SamplingFlags): TextOptions {
  const { tokens: maxNewTokens, contextShift, seed, stop } = flags;
  const values = dropUndefined(samplingValues({ ...flags }));
  const options: TextOptions = dropUndefined({ maxNewTokens, contextShift, seed, stop, ...values });
  const { limits } = settingsOf({}, options);
  const asked = Object.fromEntries(Object.entries(values).filter(([name]) => name in limits));
  new Sampler(dropUndefined({ ...asked, seed }));
  return options;
}
