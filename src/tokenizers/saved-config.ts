import type { Json } from "./json-parts.ts";
import type { TokenizerSettings } from "./settings.ts";
import type { KeptFiles } from "./tokenizer-files.ts";

/** Keys that are written anew, stand in another file, or name places of the machine that wrote them. */
const dropped = new Set([
  "added_tokens_decoder", // in tokenizer.json
  "add_bos_token", // in the post-processor of tokenizer.json
  "add_eos_token",
  "additional_special_tokens",
  "chat_template",
  "device_map",
  "fast_tokenizer_files", // the one that was read is saved, as tokenizer.json
  "init_inputs",
  "name_or_path",
  "slow_tokenizer_class",
  "special_tokens_map_file",
  "tokenizer_file",
  "vocab_file",
  "merges_file",
]);

/** Whether the second of two texts gets a type of its own, by the tokens around them. */
const tellsTexts = ({ post_processor: frame }: Json): boolean =>
  /"type_id":1|"BertProcessing"/.test(JSON.stringify(frame ?? null));

/** tokenizer_config.json for a tokenizer that is saved with its tokenizer.json. */
export function savedConfig(
  { json, config = {}, isOriginal = true }: KeptFiles,
  rules: TokenizerSettings,
  named: Readonly<Record<string, string>>,
): Json {
  const kept = Object.entries(config).filter(([key]) => !dropped.has(key));
  const { className, modelMaxLength, paddingSide, truncationSide, givesTypeIds, givesMask, extra } = rules;
  const inputs = ["input_ids", ...(givesTypeIds ? ["token_type_ids"] : []), ...(givesMask ? ["attention_mask"] : [])];
  return {
    clean_up_tokenization_spaces: false,
    ...Object.fromEntries(kept),
    ...named,
    ...(extra.length > 0 && { extra_special_tokens: extra.map(({ content }) => content) }),
    ...(modelMaxLength !== undefined && { model_max_length: modelMaxLength }),
    ...(paddingSide && { padding_side: paddingSide }),
    ...(truncationSide && { truncation_side: truncationSide }),
    // where nothing tells the class, models of texts alone must not be given types that they do not take
    ...((className !== undefined || tellsTexts(json.parts)) && { model_input_names: inputs }),
    // a class would build its own tokenizer of a vocabulary; this one runs the tokenizer.json as it is
    tokenizer_class: isOriginal && className !== undefined ? className : "PreTrainedTokenizerFast",
  };
}
