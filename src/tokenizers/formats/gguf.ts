import { type GgufValue, readGgufHeader } from "../../files/index.ts";
import { DataError } from "../../ir/index.ts";
import { BytePairTokenizer } from "../bpe.ts";
import type { PromptTokenizer } from "../tokenizer.ts";

/** llama.cpp's number for tokens that stand for no text. */
const CONTROL = 3;
/** How text is cut before merging, by llama.cpp's names: whether digits stand alone. */
const cuts: Readonly<Record<string, { splitsDigits: boolean }>> = { "gpt-2": { splitsDigits: false }, smollm: { splitsDigits: true } };

/**
 * The tokenizer and the chat template inside a GGUF file: byte-level BPE as GPT-2's or SmolLM's.
 * @throws DataError for another kind of tokenizer, or lists that do not fit
 */
export async function loadGgufTokenizer(path: string): Promise<{ tokenizer: PromptTokenizer; chatTemplate: string | undefined }> {
  const { metadata } = await readGgufHeader(path);
  const fail = (key: string, expected: string, received: unknown) =>
    new DataError({ where: `${path}, tokenizer.${key}`, expected, received: String(received), fix: "use the original model's tokenizer.json" });
  const kind = metadata.get("tokenizer.ggml.model");
  if (kind !== "gpt2") throw fail("ggml.model", '"gpt2", byte-level BPE', kind);
  const cut = metadata.get("tokenizer.ggml.pre") ?? "gpt-2";
  if (typeof cut !== "string" || !Object.hasOwn(cuts, cut)) throw fail("ggml.pre", `one of ${Object.keys(cuts).join(", ")}`, cut);
  const listOf = <T extends GgufValue>(key: string, isFine: (value: GgufValue) => value is T): readonly T[] => {
    const values = metadata.get(`tokenizer.${key}`);
    if (Array.isArray(values) && values.every(isFine)) return values;
    throw fail(key, "a list", typeof values);
  };
  const isText = (value: GgufValue): value is string => typeof value === "string";
  const tokens = listOf("ggml.tokens", isText);
  const kinds = listOf("ggml.token_type", (value): value is number => typeof value === "number");
  if (kinds.length !== tokens.length) throw fail("ggml.token_type", `one for each of ${tokens.length} tokens`, kinds.length);
  const merges = listOf("ggml.merges", isText).map((merge) => {
    const [left, right, ...rest] = merge.split(" ");
    if (right === undefined || rest.length > 0) throw fail("ggml.merges", "pairs with a space between", JSON.stringify(merge));
    return [left, right] as const;
  });
  const [vocab, special] = [new Map<string, number>(), new Map<string, number>()];
  for (const [id, token] of tokens.entries()) (kinds[id] === CONTROL ? special : vocab).set(token, id);
  const template = metadata.get("tokenizer.chat_template");
  return { tokenizer: new BytePairTokenizer({ vocab, merges, special, ...cuts[cut] }), chatTemplate: typeof template === "string" ? template : undefined };
}
