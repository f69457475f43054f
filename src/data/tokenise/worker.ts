/** A thread of `tokeniseRows`: opens the tokenizer that it is started with, and encodes what it is sent. */
import { parentPort, workerData } from "node:worker_threads";
import { type PackedJson, Tokenizer, unpackJson } from "../../tokenizers/index.ts";
import { type EncodedTexts, type EncodeTextsOptions, textsEncoder } from "./encode-texts.ts";

/** What a thread is started with. */
export interface WorkerData {
  json: PackedJson;
  config: Record<string, unknown>;
  options: EncodeTextsOptions;
}

/** Tokens, or why there are none. Errors keep no classes from thread to thread. */
export type WorkerAnswer = EncodedTexts | { failure: string };

const { json, config, options } = workerData as WorkerData;
const encode = textsEncoder(await Tokenizer.fromJson(unpackJson(json), config), options);

parentPort?.on("message", async (texts: readonly string[]) => {
  const answer = await encode(texts).catch((error): WorkerAnswer => ({ failure: String(error) }));
  const arrays = "ids" in answer ? [answer.ids.buffer as ArrayBuffer, answer.lengths.buffer as ArrayBuffer] : [];
  parentPort?.postMessage(answer, arrays);
});
