import { exceededJsonLimit, isObject, nextTurn, requestLimits } from "../../base/index.ts";
import { isText } from "../fields.ts";
import type { InputError } from "./store.ts";

/** One request of a batch. */
export interface BatchRequest {
  customId: string;
  /** The line of the input file, which is JSON. */
  line: string;
}

/** OpenAI's most requests of a batch. */
const MAX_REQUESTS = 50_000;
/** Errors that are told; a file of another kind has one in each line. */
const MAX_ERRORS = 100;
/** Lines that are read before others have their turn. */
const LINES_PER_TURN = 200;

/** The requests of an input file, or what is wrong with it: then none of them is sent. */
export async function readBatchInput(
  text: string,
  endpoint: string,
): Promise<{ requests: BatchRequest[]; errors: InputError[] }> {
  const requests: BatchRequest[] = [];
  const errors: InputError[] = [];
  const seen = new Set<string>();
  let number = 0;
  for (const line of linesOf(text)) {
    number++;
    if (number % LINES_PER_TURN === 0) await nextTurn();
    if (line.trim() === "") continue;
    const request = requestOf(line, endpoint, seen);
    if ("code" in request) errors.push({ ...request, line: number });
    else requests.push(request);
    if (errors.length === MAX_ERRORS) return { requests, errors };
    if (requests.length > MAX_REQUESTS) {
      const message = `A batch has at most ${MAX_REQUESTS} requests.`;
      return { requests, errors: [{ code: "too_many_tasks", message, line: null, param: null }] };
    }
  }
  if (number === 0 || (requests.length === 0 && errors.length === 0))
    errors.push({ code: "empty_file", message: "The input file has no requests.", line: null, param: null });
  return { requests, errors };
}

function* linesOf(text: string): Generator<string, void, void> {
  for (let start = text.charCodeAt(0) === 0xfeff ? 1 : 0; start < text.length; ) {
    const end = text.indexOf("\n", start);
    yield text.slice(start, end === -1 ? undefined : end);
    start = end === -1 ? text.length : end + 1;
  }
}

/** What is wrong with the body of a request, only its endpoint knows. */
function requestOf(line: string, endpoint: string, seen: Set<string>): BatchRequest | Omit<InputError, "line"> {
  const json = parsed(line);
  if (!isObject(json)) return wrong("invalid_json_line", null, "This line is not a JSON object.");
  const { custom_id: customId, method, url, body } = json;
  if (!isText(customId) || customId === "") return missing("custom_id", "a text that names the request");
  if (seen.has(customId))
    return wrong(
      "duplicate_custom_id",
      "custom_id",
      `The custom_id ${JSON.stringify(customId.slice(0, 60))} is there twice.`,
    );
  seen.add(customId);
  if (method !== "POST") return wrong("invalid_method", "method", 'The method has to be "POST".');
  if (url !== endpoint) return wrong("invalid_url", "url", `The url has to be that of the batch, "${endpoint}".`);
  if (!isObject(body)) return missing("body", "an object");
  return { customId, line };
}

function parsed(line: string): unknown {
  if (exceededJsonLimit(line, requestLimits) !== undefined) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

const wrong = (code: string, param: string | null, message: string) => ({ code, param, message });
const missing = (param: string, expected: string) =>
  wrong("missing_required_parameter", param, `${param}: expected ${expected}.`);
