import { isObject } from "../base/index.ts";
import { RequestError } from "../serve/index.ts";
import type { Call } from "./attempt.ts";
import { estimatedTokens } from "./usage.ts";

/** Routes whose requests are passed on by their model, behind "/v1". */
export const routes = [
  "/chat/completions",
  "/completions",
  "/embeddings",
  "/responses",
  "/messages",
  "/moderations",
  "/rerank",
  "/score",
  "/images/generations",
  "/audio/speech",
] as const;

/** Those whose streams end with "[DONE]" and can be asked to count tokens. */
const choiceRoutes: readonly string[] = ["/chat/completions", "/completions"];

/** A request of a client. */
export interface GatewayRequest extends Call {
  model: string;
  wantsUsage: boolean;
  /** Tokens of the prompt, which nobody has counted yet. */
  estimatedInput: number;
  /** Most tokens of an answer; undefined where the request does not say. */
  maxOutput: number | undefined;
  /** Answers that are asked for. */
  answers: number;
}

/** @throws RequestError 400 for what no upstream can be chosen by */
export function readRequest(path: string, json: unknown): GatewayRequest {
  if (!isObject(json)) throw invalid(null, "a JSON object");
  const beyond = Object.keys(json).find((name) => !isInRange(json[name]));
  if (beyond !== undefined) throw invalid(beyond, "numbers that are in range"); // passed on they would be null
  const { model, stream, n, stream_options: options } = json;
  if (typeof model !== "string" || model === "") throw invalid("model", "the name of a model");
  if (stream !== undefined && stream !== null && typeof stream !== "boolean") throw invalid("stream", "true or false");
  if (options !== undefined && options !== null && !isObject(options)) throw invalid("stream_options", "an object");
  const most = json.max_completion_tokens ?? json.max_tokens ?? json.max_output_tokens;
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  const hasNoOutput = path === "/embeddings" || path === "/moderations" || path === "/rerank" || path === "/score";
  return {
    path,
    body: json,
    model,
    isStreamed: stream === true,
    countsStreams: choiceRoutes.includes(path),
    wantsUsage: isObject(options) && options.include_usage === true,
    estimatedInput: estimatedTokens(charactersOf(json)),
    maxOutput: hasNoOutput ? 0 : isCount(most) ? most : undefined,
    answers: isCount(n) && n > 1 ? n : 1,
  };
}

const invalid = (param: string | null, expected: string) =>
  new RequestError({ status: 400, message: `${param ?? "body"}: expected ${expected}`, param, code: "invalid_value" });

/** Whether all numbers of a value are: JSON's 1e400 is infinite. */
function isInRange(value: unknown): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  if (Array.isArray(value)) return value.every(isInRange);
  return !isObject(value) || Object.values(value).every(isInRange);
}

/** A picture or a sound in base64 counts as so many characters: models count them by their size, not their bytes. */
const MEDIA_CHARACTERS = 4500;
/** A token id of a prompt. */
const NUMBER_CHARACTERS = 3;

/** Characters of all texts of a request. */
function charactersOf(value: unknown): number {
  if (typeof value === "string") return value.startsWith("data:") ? MEDIA_CHARACTERS : value.length;
  if (typeof value === "number") return NUMBER_CHARACTERS;
  if (Array.isArray(value)) return value.reduce<number>((sum, part) => sum + charactersOf(part), 0);
  if (!isObject(value)) return 0;
  // sounds stand in base64 without a beginning that says so
  if (typeof value.data === "string" && typeof value.format === "string") return MEDIA_CHARACTERS;
  return Object.values(value).reduce<number>((sum, part) => sum + charactersOf(part), 0);
}
