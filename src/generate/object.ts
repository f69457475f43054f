import type { Tokenizer } from "../tokenizers/index.ts";
import type { Generator } from "./generator.ts";
import type { JsonSchemaOptions } from "./grammar/json-schema/json-schema.ts";
import { type OutputOf, type StandardSchema, structuredOutput } from "./grammar/structured-output.ts";
import { generateText, type TextOptions } from "./text.ts";

/** How a value is written: as a text is, and how its JSON is laid out. */
export interface ObjectOptions extends Omit<TextOptions, "grammar">, JsonSchemaOptions {}

/** A value, and the text that it was written as. */
export interface GeneratedObject<Output> {
  value: Output;
  text: string;
}

/**
 * Continues a prompt with JSON that a schema of Zod, or of another library that follows Standard Schema, accepts.
 *
 * @example
 * const { value } = await generateObject(generator, tokenizer, "A sailor:", z.object({ name: z.string() }));
 * value.name; // string
 *
 * @throws as `generateText` and `structuredOutput`; DataError when the text is cut off, or does not meet a condition
 *   that only the schema's program knows
 */
export async function generateObject<Schema extends StandardSchema>(
  generator: Generator,
  tokenizer: Tokenizer,
  prompt: string | readonly number[],
  schema: Schema,
  { layout, ...options }: ObjectOptions = {},
): Promise<GeneratedObject<OutputOf<Schema>>> {
  const { grammar, parse } = structuredOutput(schema, { layout });
  let text = "";
  for await (const piece of generateText(generator, tokenizer, prompt, { ...options, grammar })) text += piece.text;
  return { value: await parse(text), text };
}
