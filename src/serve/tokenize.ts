import { nextTurn } from "../base/index.ts";
import { normalizeMessages } from "../generate/index.ts";
import type { MixedMessage, Tokenizer } from "../tokenizers/index.ts";
import { type Fields, flag, invalid, isObject, isText, list, object, readFields, rule, text } from "./fields.ts";
import { templateMessages } from "./messages.ts";
import type { Service } from "./service.ts";

/** Every field of POST /tokenize. */
export const tokenizeFields = {
  model: text,
  prompt: text,
  messages: rule<unknown[]>(
    "a list of at least one message",
    (value) => Array.isArray(value) && value.length > 0,
    list,
  ),
  add_special_tokens: flag,
  return_token_strs: flag,
  tools: rule<object[]>("a list of tools", (value) => Array.isArray(value) && value.every(isObject), list),
  chat_template_kwargs: rule<Readonly<Record<string, unknown>>>(
    "an object: variables of the chat template",
    isObject,
    object,
  ),
} as const satisfies Fields;
/** Every field of POST /detokenize. */
export const detokenizeFields = {
  model: text,
  tokens: rule<number[]>("a list of token ids", (value) => Array.isArray(value) && value.every(Number.isInteger), {
    ...list,
    items: { type: "integer" },
  }),
} as const satisfies Fields;

/** POST /tokenize, as vLLM's: the ids of a text, or of messages by the template. @throws RequestError */
export async function tokenized(service: Service, json: unknown, signal: AbortSignal): Promise<object> {
  const request = readFields(json, tokenizeFields);
  const { prompt, messages, tools, add_special_tokens: adds, chat_template_kwargs: variables } = request;
  if ((prompt === undefined) === (messages === undefined))
    throw invalid("prompt", "either a prompt or messages", prompt);
  const { traits, format } = service;
  const source = isText(prompt)
    ? prompt
    : {
        messages: normalizeMessages(textMessages(service, messages ?? []), traits),
        variables,
        tools,
      };
  const encoded = await service.encoder.encode(source, {
    addSpecialTokens: adds ?? (isText(prompt) || format.addSpecialTokens),
    maxTokens: Number.POSITIVE_INFINITY,
    signal,
  });
  const tokens = Array.from("ids" in encoded ? encoded.ids : []);
  const { tokenizer } = service.model;
  return {
    tokens,
    count: tokens.length,
    max_model_len: service.contextLength,
    ...(request.return_token_strs && { token_strs: await tokenTexts(tokenizer, tokens, signal) }),
  };
}

/** Tokens that are decoded at a time. */
const TOKENS_AT_A_TIME = 256;

/** The text of each token. What answers others need has its turn in between. */
async function tokenTexts(tokenizer: Tokenizer, ids: readonly number[], signal: AbortSignal): Promise<string[]> {
  const different = [...new Set(ids)];
  const texts = new Map<number, string>();
  for (let from = 0; from < different.length; from += TOKENS_AT_A_TIME) {
    signal.throwIfAborted();
    const part = different.slice(from, from + TOKENS_AT_A_TIME);
    const decoded = await Promise.all(part.map((id) => tokenizer.decode([id])));
    for (const [i, id] of part.entries()) texts.set(id, decoded[i]);
    await nextTurn();
  }
  return ids.map((id) => texts.get(id) as string);
}

/** Which tokens an image becomes shows when it is looked at, and of those there is one. */
function textMessages({ traits }: Service, list: readonly unknown[]): MixedMessage[] {
  const { messages, images } = templateMessages(list, traits);
  if (images.length > 0) throw invalid(images[0].path, "no image: they have one token, as often as needed", "an image");
  return messages;
}

/** POST /detokenize, as vLLM's: the text of ids. @throws RequestError */
export async function detokenized(service: Service, json: unknown): Promise<object> {
  const { tokens } = readFields(json, detokenizeFields);
  if (!tokens) throw invalid("tokens", detokenizeFields.tokens.expected, undefined);
  return { prompt: await service.model.tokenizer.decode(service.checkedIds(tokens, "tokens")) };
}
