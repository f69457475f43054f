/** What files of tokenizers are called. */

/** Names of the files that a model's folder may have, the best first. */
export const fileNames = [
  "tokenizer.json",
  "tokenizer.model",
  "spiece.model",
  "sentencepiece.bpe.model",
  "spm.model",
  "tiktoken.model",
  "vocab.json",
  "vocab.txt",
];
export const CHAT_TEMPLATE = "chat_template.jinja";
export const MORE_TEMPLATES = "additional_chat_templates";
/** Files beside these that `open` reads. */
export const otherNames = [
  "merges.txt",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  CHAT_TEMPLATE,
  "chat_template.json",
];
export const versionedName = /^tokenizer\.([\d.]+)\.json$/;
