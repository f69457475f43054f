/** Tokenizers: byte-level BPE and characters, their training, and tokenizer.json. Imports files/ and ir/. */
export { BytePairTokenizer } from "./bpe.ts";
export { CharacterTokenizer, CharacterTrainer } from "./char.ts";
export { loadGgufTokenizer } from "./gguf.ts";
export { loadTokenizer, saveTokenizer } from "./load.ts";
export { END_OF_TEXT, type Tokenizer, type TokenStream } from "./tokenizer.ts";
export { BpeTrainer, type BpeTrainerOptions } from "./train-bpe.ts";
