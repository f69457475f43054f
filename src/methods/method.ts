/** What a method of training is, and what it makes of a config. */
import { z } from "zod";
import type { OnWarning } from "../base/index.ts";
import type { Source } from "../data/index.ts";
import type { Module } from "../nn/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import type { Objective } from "../train/index.ts";
import { type SharedConfig, type SharedInput, sharedSections } from "./config/schema.ts";
import type { AskedClassifier } from "./parts/class-answers.ts";
import { requireTrainable } from "./parts/trainable.ts";

/** Where a method is prepared. */
export interface MethodContext {
  /** The run's folder, for what is made of the data. */
  folder: string;
  /** The run begins anew: what an earlier one kept of its data may be replaced. @default false */
  isAnew?: boolean;
  signal?: AbortSignal;
  /** Hears what is skipped, cut and guessed. */
  onWarning: OnWarning;
  /** Called with what is being done, in words, and the share of it that is done. */
  onProgress?: (stage: string, fraction: number) => void;
  /** Takes what closes files that were opened, for when the method cannot be prepared. Given by `defineMethod`. */
  onOpened?: (close: () => Promise<void>) => void;
}

/** What is ready to be trained. */
export interface PreparedMethod<B> {
  /** What is trained. */
  model: Module;
  tokenizer?: Tokenizer;
  objective: Objective<B>;
  trainData: Source<B>;
  /** Batches in which each training example comes once. */
  batchesPerEpoch: number;
  validationData?: Source<B>;
  /** What is known of the data, for the plan and the card: "rows", "tokens", "longest". */
  facts: Readonly<Record<string, string | number>>;
  /** Some examples as they are learned, for people. */
  preview?(count: number): Promise<string>;
  /** Sums of what is trained on, by name. */
  fingerprint: Readonly<Record<string, string>>;
  /** Texts for prompts, by the model as it is now. */
  sample?(prompt: string, options: { maxNewTokens: number; temperature: number; seed: number }): Promise<string>;
  /** Of a classifier: what it answers in the end on the validation data is part of the report and the card. */
  classifier?: AskedClassifier<B>;
  /** Closes the files that are read. */
  close(): Promise<void>;
}

/** A prepared method, whatever its batches are. */
// biome-ignore lint/suspicious/noExplicitAny: what a batch is, is between a method's source and its objective
export type AnyPreparedMethod = PreparedMethod<any>;

/** The config of a method after defaults: `method` has its name and its own settings. */
export type MethodConfig<S extends z.ZodRawShape> = SharedConfig & {
  method: z.output<z.ZodObject<S>> & { name: string };
};

/** A method of training, as it is found by its name. */
export interface Method {
  readonly name: string;
  /** In a line, for people. */
  readonly summary: string;
  /** The whole config, for checks, types and editors. */
  readonly schema: z.ZodType<SharedConfig & { method: { name: string } }, unknown>;
  /** The same for editors, as JSON Schema. */
  jsonSchema(): Record<string, unknown>;
  /** A config with comments, as `kindling init` writes it. */
  readonly template: string;
  /** Opens model and data. */
  prepare(config: SharedConfig & { method: { name: string } }, context: MethodContext): Promise<AnyPreparedMethod>;
}

/** What a method says of itself. */
export interface MethodDefinition<S extends z.ZodRawShape> {
  name: string;
  summary: string;
  /** Its own settings, which stand beside its name in `method`. */
  settings: S;
  template: string;
  /** Shared sections of which the method takes more than others. */
  sections?: { model?: z.ZodType };
  /** Settings of shared sections that the method has otherwise. */
  defaults?: {
    optimizer?: SharedInput["optimizer"];
    training?: SharedInput["training"];
    data?: Partial<NonNullable<SharedInput["data"]>>;
    evaluation?: SharedInput["evaluation"];
  };
  /** Opens model and data, and says how one is trained on the other. */
  prepare(config: MethodConfig<S>, context: MethodContext): Promise<AnyPreparedMethod>;
}

/** Makes a method: `method: name` stands for its name without settings. */
export function defineMethod<S extends z.ZodRawShape>(definition: MethodDefinition<S>): Method {
  const { name, summary, settings, template, defaults = {}, sections } = definition;
  const shared = { ...sharedSections, ...sections };
  const named = z.strictObject({ name: z.literal(name), ...settings });
  const method = z
    .preprocess((value) => (typeof value === "string" ? { name: value } : value), named)
    .describe(summary);
  const whole = z.strictObject({ method, ...shared });
  return {
    name,
    summary,
    template,
    jsonSchema: () =>
      z.toJSONSchema(z.strictObject({ method: z.union([z.literal(name), named]), ...shared }), {
        io: "input",
      }) as Record<string, unknown>,
    schema: z.preprocess((value) => withDefaults(value, defaults), whole) as unknown as Method["schema"],
    prepare: (config, context) =>
      closingOnFailure(context, async (watched) => {
        const prepared = await definition.prepare(config as unknown as MethodConfig<S>, watched);
        requireTrainable(prepared.model, config);
        return prepared;
      }),
  };
}

/** Closes all that was opened for a method that cannot be prepared. */
async function closingOnFailure<T>(
  context: MethodContext,
  prepare: (context: MethodContext) => Promise<T>,
): Promise<T> {
  const closers: (() => Promise<void>)[] = [];
  try {
    return await prepare({ ...context, onOpened: (close) => closers.push(close) });
  } catch (error) {
    for (const close of closers) await close();
    throw error;
  }
}

/** What a config leaves out, by the method's defaults: of sections each field for itself. */
function withDefaults(value: unknown, defaults: Readonly<Record<string, object | undefined>>): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const config: Record<string, unknown> = { ...value };
  for (const [section, fields] of Object.entries(defaults)) {
    const stated = config[section];
    if (stated === undefined || (typeof stated === "object" && stated !== null && !Array.isArray(stated)))
      config[section] = { ...fields, ...(stated as object) };
  }
  return config;
}
