/** The thread of `PromptEncoder`: opens the tokenizer that it is started with, and encodes one prompt after another. */
import { parentPort, workerData } from "node:worker_threads";
import { type ErrorParts, KindlingError } from "../base/index.ts";
import {
  chatFormat,
  encodePrompt,
  type MixedMessage,
  type PackedJson,
  Tokenizer,
  unpackJson,
} from "../tokenizers/index.ts";
import { leastTokensOf } from "./least-tokens.ts";
import { endOf } from "./prompt-end.ts";

/** A tokenizer, for the thread to open the same: what a tokenizer.json and a tokenizer_config.json hold of it. */
export interface WorkerData {
  json: PackedJson;
  config: Record<string, unknown>;
  chatTemplate: string | undefined;
}

/** What a chat template renders. */
export interface ChatPrompt {
  messages: readonly MixedMessage[];
  variables: Readonly<Record<string, unknown>> | undefined;
  /** In OpenAI's form. */
  tools: readonly object[] | undefined;
}

export interface EncodeRequest {
  /** A text; or a `ChatPrompt` as JSON. */
  prompt: string | { chat: string };
  addSpecialTokens: boolean;
  /** A prompt that is sure to have more tokens is not encoded. */
  maxTokens: number;
}

/**
 * The ids; or how many there are at least, which is too many; or what the tokenizer refuses the prompt for; or why the
 * template cannot render it; or another failure. Errors keep no classes from thread to thread.
 */
export type EncodeAnswer =
  | { ids: Int32Array; end: string }
  | { atLeast: number }
  | { refusal: Omit<ErrorParts, "cause"> }
  | { unrendered: string }
  | { failure: string };

const { json: packed, config, chatTemplate } = workerData as WorkerData;
const json = unpackJson(packed);
const tokenizer = await Tokenizer.fromJson(json, config);
const leastTokens = leastTokensOf(json);
const format = chatFormat(chatTemplate, tokenizer);

parentPort?.on("message", async (request: EncodeRequest) => {
  const answer = await answerTo(request);
  parentPort?.postMessage(answer, "ids" in answer ? [answer.ids.buffer as ArrayBuffer] : []);
});
parentPort?.postMessage("ready");

async function answerTo({ prompt, addSpecialTokens, maxTokens }: EncodeRequest): Promise<EncodeAnswer> {
  const text = typeof prompt === "string" ? { rendered: prompt } : render(JSON.parse(prompt.chat) as ChatPrompt);
  if ("unrendered" in text) return text;
  const atLeast = leastTokens?.(text.rendered) ?? 0;
  if (atLeast > maxTokens) return { atLeast };
  try {
    const ids = Int32Array.from(await encodePrompt(tokenizer, text.rendered, { addSpecialTokens }));
    return { ids, end: endOf(text.rendered) };
  } catch (error) {
    if (!(error instanceof KindlingError)) return { failure: String(error) };
    const { where, expected, received, fix } = error;
    return { refusal: { where, expected, received, fix } };
  }
}

function render({ messages, variables, tools }: ChatPrompt): { rendered: string } | { unrendered: string } {
  try {
    return { rendered: format.render(messages, { variables, tools }) };
  } catch (error) {
    return { unrendered: error instanceof Error ? error.message : String(error) };
  }
}
