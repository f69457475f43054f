/** The thread of `PromptEncoder`: opens the tokenizer that it is started with, and encodes one prompt after another. */
import { parentPort, workerData } from "node:worker_threads";
import { type ErrorParts, KindlingError } from "../ir/index.ts";
import { encodePrompt, Tokenizer } from "../tokenizers/index.ts";

/** A tokenizer, for the thread to open the same: what a tokenizer.json and a tokenizer_config.json hold of it. */
export interface WorkerTokenizer {
  json: Record<string, unknown>;
  config: Record<string, unknown>;
}

export interface EncodeRequest {
  prompt: string;
  addSpecialTokens: boolean;
}

/** The ids; or what the tokenizer refuses the prompt for; or another failure. Errors keep no classes from thread to thread. */
export type EncodeAnswer = { ids: Int32Array } | { refusal: Omit<ErrorParts, "cause"> } | { failure: string };

const { json, config } = workerData as WorkerTokenizer;
const tokenizer = await Tokenizer.fromJson(json, config);
const answer = (message: EncodeAnswer, transfer: ArrayBuffer[] = []) => parentPort?.postMessage(message, transfer);

parentPort?.on("message", async ({ prompt, addSpecialTokens }: EncodeRequest) => {
  try {
    const ids = Int32Array.from(await encodePrompt(tokenizer, prompt, { addSpecialTokens }));
    answer({ ids }, [ids.buffer]);
  } catch (error) {
    if (!(error instanceof KindlingError)) return answer({ failure: String(error) });
    const { where, expected, received, fix } = error;
    answer({ refusal: { where, expected, received, fix } });
  }
});
