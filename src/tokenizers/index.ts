/** Tokenizers of every layout, chat templates, and the training of tokenizers. Imports files/ and ir/. */
export {
  type ChatFormat,
  type ChatMessage,
  type ContentPart,
  chatFormat,
  type MixedMessage,
  type RenderOptions,
} from "./chat-format.ts";
export { type CorpusEncoder, corpusEncoder } from "./corpus-encoder.ts";
export type { EncodeOptions, Encoding, PadOptions, PlainEncodeOptions } from "./encoding.ts";
export { type GgufMetadata, type GgufVocabulary, ggufRoles, ggufVocabulary } from "./formats/gguf-vocabulary.ts";
export { type GgufTokenizerOptions, ggufTokenizer } from "./formats/gguf-writer.ts";
export { type TiktokenOptions, tiktokenPatterns } from "./formats/tiktoken.ts";
export { type PackedJson, unpackJson } from "./packed-json.ts";
export { encodePrompt, startToken, withLiterals } from "./prompt.ts";
export { removeOtherTokenizers, tokenizerPaths } from "./save-files.ts";
export type { SpecialTokens } from "./settings.ts";
export { type TokenBytes, tokenBytes, tokenBytesReader } from "./token-bytes.ts";
export type { TokenStream } from "./token-stream.ts";
export { Tokenizer } from "./tokenizer.ts";
export { BpeTrainer, type BpeTrainerOptions } from "./training/bpe-trainer.ts";
export { CharacterTrainer } from "./training/character-trainer.ts";
export { TokenizerTrainer, type TokenizerTrainerOptions } from "./training/tokenizer-trainer.ts";
