import { isObject } from "../../base/index.ts";

/** What a model is asked and answers, and numbers beside it: of a training set, or of a log. */
export interface MonitorRecord {
  /** What the model reads. */
  input: string | undefined;
  /** What it answers, or should. */
  output: string | undefined;
  /** A class. */
  label: string | undefined;
  /** Other numbers, by name. */
  numbers: Readonly<Record<string, number>>;
}

const textOf = (value: unknown): string | undefined => {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  const parts = value.map((part) => (isObject(part) && typeof part.text === "string" ? part.text : ""));
  return parts.some((part) => part !== "") ? parts.join("\n") : undefined;
};

/** Texts of the messages of some roles, one after another. */
function saidBy(messages: unknown, roles: readonly string[]): string | undefined {
  if (!Array.isArray(messages)) return undefined;
  const texts = messages.flatMap((message) => {
    if (!isObject(message)) return [];
    const role = String(message.role ?? message.from ?? "");
    return roles.includes(role) ? (textOf(message.content ?? message.value) ?? []) : [];
  });
  return texts.length > 0 ? texts.join("\n") : undefined;
}

const firstText = (row: Readonly<Record<string, unknown>>, names: readonly string[]): string | undefined => {
  for (const name of names) {
    const text = textOf(row[name]);
    if (text !== undefined) return text;
  }
  return undefined;
};

const USER = ["user", "human"];
const ASSISTANT = ["assistant", "gpt"];
const INPUTS = ["prompt", "instruction", "question", "input", "text", "sentence"];
const OUTPUTS = ["completion", "response", "answer", "output", "expected", "chosen"];

/** What a request or a row asks. */
const inputOf = (row: Readonly<Record<string, unknown>>): string | undefined =>
  saidBy(row.messages ?? row.conversations, USER) ?? firstText(row, INPUTS);

/**
 * A row of a training set: chats (`messages`, `conversations`), `prompt` or `text` and others with `completion` or
 * `answer` and others, `label`, and further numbers.
 */
export function recordOfRow(row: Readonly<Record<string, unknown>>): MonitorRecord {
  const chat = row.messages ?? row.conversations;
  return {
    input: inputOf(row),
    output: saidBy(chat, ASSISTANT) ?? firstText(row, OUTPUTS),
    label: labelOf(row.label),
    numbers: numbersOf(row, ["label"]),
  };
}

const labelOf = (value: unknown): string | undefined =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;

const numbersOf = (row: Readonly<Record<string, unknown>>, besides: readonly string[]): Record<string, number> =>
  Object.fromEntries(
    Object.entries(row).filter(
      (entry): entry is [string, number] => typeof entry[1] === "number" && !besides.includes(entry[0]),
    ),
  );

/** A request of a log, as `kindling serve --log json --log-prompts` writes it. */
export interface LogEntry extends MonitorRecord {
  timeMs: number;
  status: number;
  /** Of the whole answer. */
  latencyMs: number | undefined;
  firstTokenMs: number | undefined;
  outputTokens: number | undefined;
  finishReason: string | undefined;
}

const numberOf = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);

/**
 * A line of a server's log; undefined for a line that is no request to a model: those about the server, other pages,
 * torn ones. Texts are there with `--log-prompts` only.
 */
export function logEntryOf(line: string): LogEntry | undefined {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return undefined; // a line in words, or one that is being written
  }
  if (!isObject(json) || typeof json.status !== "number" || json.method !== "POST") return undefined;
  const request = isObject(json.request) ? json.request : {};
  const answer = typeof json.answer === "string" ? json.answer : undefined;
  return {
    timeMs: Date.parse(String(json.time)) || 0,
    status: json.status,
    latencyMs: numberOf(json.ms),
    firstTokenMs: numberOf(json.ttft_ms),
    outputTokens: numberOf(json.completion_tokens),
    finishReason: typeof json.finish_reason === "string" ? json.finish_reason : undefined,
    input: inputOf(request),
    output: answer === "" ? undefined : answer,
    label: labelOf(json.label) ?? labelOf(request.label) ?? answer?.trim(),
    numbers: numbersOf(request, []),
  };
}
