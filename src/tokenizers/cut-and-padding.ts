import type { EncodeOptions, PadOptions } from "./encoding.ts";
import type { Json } from "./json-parts.ts";
import type { TokenizerSettings } from "./settings.ts";

interface Truncation {
  max_length: number;
  strategy?: string;
  stride?: number;
  direction?: string;
}

interface Padding {
  strategy?: unknown;
  direction?: string;
  pad_to_multiple_of?: number | null;
  pad_id: number;
  pad_type_id: number;
  pad_token: string;
}

const strategies = { LongestFirst: "longest_first", OnlyFirst: "only_first", OnlySecond: "only_second" } as const;
const sideOf = (direction: string | undefined) => (direction === "Left" ? "left" : "right");

/** How a tokenizer.json cuts and pads; the sides are those of tokenizer_config.json, where it says them. */
export function cutAndPadding(
  json: Json,
  rules: TokenizerSettings,
  padToken: string | undefined,
): EncodeOptions & PadOptions {
  const { truncation, padding } = json as { truncation?: Truncation | null; padding?: Padding | null };
  const { modelMaxLength, paddingSide, truncationSide } = rules;
  const fixed = (padding?.strategy as { Fixed?: number } | undefined)?.Fixed;
  return {
    ...(modelMaxLength !== undefined && { maxLength: modelMaxLength }),
    ...(truncation && {
      maxLength: truncation.max_length,
      truncation: strategies[truncation.strategy as keyof typeof strategies] ?? "longest_first",
      truncationSide: sideOf(truncation.direction),
      stride: truncation.stride ?? 0,
    }),
    ...(truncationSide && { truncationSide }),
    ...(padding && {
      padTo: fixed ?? "longest",
      paddingSide: sideOf(padding.direction),
      padId: padding.pad_id,
      padTypeId: padding.pad_type_id,
      ...(padding.pad_to_multiple_of && { padToMultipleOf: padding.pad_to_multiple_of }),
    }),
    ...(paddingSide && { paddingSide }),
    ...(padToken !== undefined && { padToken }),
  };
}
