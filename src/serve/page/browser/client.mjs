/** Talks with the server: which models there are, and answers as they come. */
import { keep, kept } from "./storage.mjs";

/** @typedef {{ id: string, contextLength?: number, takesImages: boolean }} Model */

/** What the server refuses, or that it does not answer. */
export class ServerError extends Error {
  /**
   * @param {string} message
   * @param {{ status?: number, code?: string }} [parts]
   */
  constructor(message, { status = 0, code = "" } = {}) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const KEY = "kindling.api-key";
/** Kept for as long as the page is open, or in the browser where the reader asks for it. */
let apiKey = kept(KEY);

/** Whether requests have a key. */
export const hasApiKey = () => apiKey !== undefined;

/** @param {string} key @param {boolean} isKept in the browser */
export function setApiKey(key, isKept) {
  apiKey = key || undefined;
  keep(KEY, isKept ? apiKey : undefined);
}

/** @param {string} path @param {{ body?: object, signal?: AbortSignal }} [options] @returns {Promise<Response>} */
async function ask(path, { body, signal } = {}) {
  const response = await fetch(path, {
    method: body ? "POST" : "GET",
    signal,
    headers: {
      ...(body && { "content-type": "application/json" }),
      ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
    },
    body: body && JSON.stringify(body),
  }).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new ServerError(String(error.message ?? error), { code: "unreachable" });
  });
  if (response.ok) return response;
  const json = await response.json().catch(() => ({}));
  throw refusal(json.error ?? json, response.status);
}

/** @param {unknown} error @param {number} status */
function refusal(error, status) {
  const { message = error, code = "" } = /** @type {Record<string, unknown>} */ (
    typeof error === "object" && error !== null ? error : {}
  );
  const text = typeof message === "string" && message !== "" ? message : `HTTP ${status}`;
  return new ServerError(text, { status, code: String(code) });
}

/** @typedef {{ id: string, kind?: string, max_model_len?: number, capabilities?: string[] }} ListedModel */

/** The kind of the models that a page can talk with; a server may have others beside them. */
const WRITES = "text-generation";

/** @returns {Promise<Model[]>} */
export async function listModels() {
  const { data } = await (await ask("/v1/models")).json();
  return /** @type {ListedModel[]} */ (data)
    .filter(({ kind = WRITES }) => kind === WRITES)
    .map(({ id, max_model_len: contextLength, capabilities = [] }) => ({
      id,
      contextLength,
      takesImages: capabilities.includes("vision"),
    }));
}

/**
 * Ids of a text, or of messages by the template, and how many the context holds.
 * @param {object} body
 * @param {AbortSignal} signal
 * @returns {Promise<{ tokens: number[], max_model_len: number }>}
 */
export const tokenized = async (body, signal) => (await ask("/tokenize", { body, signal })).json();

/**
 * The objects of a streamed answer.
 * @param {string} path
 * @param {object} body
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<Record<string, any>, void, void>}
 */
export async function* streamed(path, body, signal) {
  const response = await ask(path, { body, signal });
  let isDone = false;
  for await (const data of eventsOf(/** @type {ReadableStream<Uint8Array>} */ (response.body))) {
    if (data === "[DONE]") {
      isDone = true;
      continue;
    }
    const event = JSON.parse(data);
    if (event.error) throw refusal(event.error, 200);
    yield event;
  }
  if (!isDone) throw new ServerError("the answer was cut off", { code: "unreachable" });
}

/** The data of server-sent events. @param {ReadableStream<Uint8Array>} body */
async function* eventsOf(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read().catch((error) => {
        if (error.name === "AbortError") throw error;
        throw new ServerError(String(error.message), { code: "unreachable" });
      });
      if (done) return;
      const events = (rest + decoder.decode(value, { stream: true })).split(/\r?\n\r?\n/);
      rest = events.pop() ?? "";
      for (const event of events) {
        const lines = event.split(/\r?\n/).filter((line) => line.startsWith("data:"));
        if (lines.length > 0) yield lines.map((line) => line.slice(5).trimStart()).join("\n");
      }
    }
  } finally {
    await reader.cancel().catch(() => {}); // frees the place of the answer on the server
  }
}
