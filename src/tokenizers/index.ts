/** Tokenizers: those of tokenizer.json, our own byte-level BPE and characters, and their training. Imports files/ and ir/. */
export { BytePairTokenizer } from "./bpe.ts";
export { CharacterTokenizer, CharacterTrainer } from "./char.ts";
export { type ChatFormat, type ChatMessage, type ContentPart, chatFormat, type MixedMessage, type RenderOptions, readChatTemplate } from "./chat-format.ts";
export type { EncodeOptions, Encoding, PadOptions } from "./encoding.ts";
export { ggufTokenizer, loadGgufTokenizer } from "./formats/gguf.ts";
export { sentencePieceJson } from "./formats/sentencepiece.ts";
export { type TiktokenOptions, tiktokenJson, tiktokenPatterns } from "./formats/tiktoken.ts";
export { loadTokenizer, openTokenizer, promptTokenizerFromJson, saveTokenizer } from "./load.ts";
export { encodePrompt, withLiterals } from "./prompt.ts";
export type { SpecialTokens } from "./settings.ts";
export { TextTokenizer } from "./text-tokenizer.ts";
export type { TokenStream } from "./token-stream.ts";
export { END_OF_TEXT, type PlainEncodeOptions, type PromptTokenizer, type Tokenizer } from "./tokenizer.ts";
export { BpeTrainer, type BpeTrainerOptions } from "./training/bpe-trainer.ts";
export { TokenizerTrainer, type TokenizerTrainerOptions } from "./training/tokenizer-trainer.ts";
