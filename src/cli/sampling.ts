import { type Command, InvalidArgumentError, Option } from "commander";
import { Sampler, settingsOf, type TextOptions } from "../generate/index.ts";
import type { DeviceType } from "../runtime/index.ts";
import type { OpenOptions } from "./models.ts";
import { choice } from "./option-names.ts";

export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("it is not a number.");
  return value;
}

export function integer(text: string): number {
  const value = number(text);
  if (!Number.isInteger(value)) throw new InvalidArgumentError("it is not a whole number.");
  return value;
}

export const collect = (text: string, before: string[] | undefined) => [...(before ?? []), text];

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
      choice("--cache-dtype <dtype>", "what keys and values are kept in; f16 takes half the memory", [
        "f32",
        "f16",
      ]).default("f32"),
    )
    .option("--no-mmap", "read all weights at once, so that the file may be changed while the model runs")
    .addOption(deviceOption())
    .option("--threads <n>", "threads that compute one operation together (default: all cores)", integer);
}

/** What `withModel` has read. */
export interface ModelFlags {
  runs: string;
  context?: number;
  cacheDtype?: "f32" | "f16";
  mmap?: boolean;
  device?: DeviceType | "auto";
  threads?: number;
}

export const openOptionsOf = ({ context, cacheDtype, mmap }: ModelFlags): OpenOptions =>
  dropUndefined({ contextLength: context, cacheDtype, mmap });

function useTokens(): never {
  throw new InvalidArgumentError("Did you mean --tokens?");
}

/** Options of the commands that sample. */
export function withSampling(command: Command): Command {
  return (
    withModel(command)
      .option(
        "--tokens <n>",
        "most tokens to make (default: the model's own limit, or 128; in a talk with a chat template what the context has room for)",
        integer,
      )
      .option("--context-shift", "when the context is full, forget the older half and go on")
      .option(
        "--temperature <t>",
        "0 takes the likeliest token, higher is more varied (default: the model's own, or 0)",
        number,
      )
      .option("--top-k <k>", "only the k likeliest tokens; 0 is all (default: the model's own, or 50)", integer)
      .option(
        "--top-p <p>",
        "only the likeliest tokens of total probability p (default: the model's own, or 1)",
        number,
      )
      .option(
        "--min-p <p>",
        "only tokens at least p times as probable as the likeliest (default: the model's own, or 0)",
        number,
      )
      .option(
        "--repetition-penalty <x>",
        "above 1 makes tokens that there are already less likely (default: the model's own, or 1)",
        number,
      )
      // what servers and other programs call it
      .addOption(new Option("--max-tokens <n>").hideHelp().argParser(useTokens))
      .option("--seed <n>", "the same seed gives the same text (default: another each time)", integer)
      .option("--stop <text>", "end at this text (may be repeated)", collect)
  );
}

/** What `withSampling` has read. */
export interface SamplingFlags
  extends Pick<
    TextOptions,
    "contextShift" | "temperature" | "topK" | "topP" | "minP" | "repetitionPenalty" | "seed" | "stop"
  > {
  tokens?: number;
}

/** @throws OptionError for a value that no model can follow, so that it is said before one is loaded */
export function samplingOf(flags: SamplingFlags): TextOptions {
  const { tokens: maxNewTokens, contextShift, temperature, topK, topP, minP, repetitionPenalty, seed, stop } = flags;
  const options = dropUndefined({
    maxNewTokens,
    contextShift,
    temperature,
    topK,
    topP,
    minP,
    repetitionPenalty,
    seed,
    stop,
  });
  settingsOf({}, options);
  new Sampler(dropUndefined({ temperature, topK, topP, minP, seed }));
  return options;
}
