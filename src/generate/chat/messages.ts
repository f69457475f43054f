/** Messages of OpenAI's chat as the templates of models take them. */
import { exceededJsonLimit, hashBytes, isObject, requestLimits } from "../../base/index.ts";
import type { ChatFormat, MixedMessage } from "../../tokenizers/index.ts";

/** What a chat template asks of messages with calls. */
export interface TemplateTraits {
  /** Whether arguments of calls are objects, or their JSON as text. */
  arguments: "object" | "text";
  /** Whether a message may have several calls. */
  takesSeveralCalls: boolean;
  /** How many letters and digits ids of calls have. @default any number */
  idLength?: number;
  /** Whether there is the role "developer"; it is OpenAI's newer name of "system". */
  knowsDevelopers: boolean;
  /** Whether contents may be texts: templates of models with images may write lists of parts alone. */
  takesTexts: boolean;
}

const PROBE_TOOL = {
  type: "function",
  function: {
    name: "probe_call",
    description: "A function.",
    parameters: { type: "object", properties: { probe_key: { type: "string", description: "A text." } } },
  },
};
const PROBE_VALUES = ["probe_value", "other_value"];

/** A conversation with calls, whose arguments are an object or a text. */
function probe(count: number, asText: boolean): MixedMessage[] {
  const calls = PROBE_VALUES.slice(0, count).map((value, i) => {
    const written = { probe_key: value };
    const called = { name: "probe_call", arguments: asText ? JSON.stringify(written) : written };
    return { id: `probe000${i}`, type: "function", function: called };
  });
  return [
    { role: "user", content: "a" },
    { role: "assistant", content: "", tool_calls: calls },
    ...calls.map(({ id }) => ({ role: "tool", content: "b", tool_call_id: id, name: "probe_call" })),
    { role: "assistant", content: "c" },
    { role: "user", content: "d" },
  ];
}

function rendered({ render }: ChatFormat, messages: MixedMessage[]): string | undefined {
  try {
    return render(messages, { tools: [PROBE_TOOL] });
  } catch {
    return undefined;
  }
}

/**
 * What a model's template asks for, by what it makes of calls in either form. Costs a few renderings: keep it with the
 * model.
 */
export function templateTraits(chatTemplate: string | undefined, format: ChatFormat): TemplateTraits {
  const asObject = rendered(format, probe(1, false));
  const isObject = asObject?.includes("probe_value") && !asObject.includes("'probe_key': ");
  const asText = isObject ? undefined : rendered(format, probe(1, true));
  const isText = (asText?.includes("probe_value") && !asText.includes('\\"probe_key')) ?? false;
  const length = chatTemplate && /\|\s*length\s*!=\s*(\d+)/.exec(chatTemplate)?.[1];
  return {
    arguments: isText ? "text" : "object",
    takesSeveralCalls: !(isObject || isText) || (rendered(format, probe(2, isText))?.includes("other_value") ?? false),
    ...(length && /Tool call id/i.test(chatTemplate) && { idLength: Number(length) }),
    knowsDevelopers: chatTemplate?.includes("developer") ?? false,
    takesTexts: takesTexts(format),
  };
}

/** A template that writes neither form is asked for texts, the usual one. */
function takesTexts(format: ChatFormat): boolean {
  const text = "probe_text";
  const shows = (content: MixedMessage["content"]) => {
    try {
      return format.render([{ role: "user", content }]).includes(text);
    } catch {
      return false;
    }
  };
  return shows(text) || !shows([{ type: "text", text }]);
}

interface FunctionCall {
  id?: string;
  type?: string;
  function?: { name?: string; arguments?: unknown };
}

const isCalls = (value: unknown): value is readonly FunctionCall[] => Array.isArray(value);

/**
 * Messages as a template takes them.
 *
 * - Arguments of calls are objects or text, whichever it writes out; a text that is no JSON of an object stays a text.
 * - A message with calls and no content has the content "", and one with no calls no list of them.
 * - Results have the name of the function that they are of.
 * - Ids have the length that it asks for; several calls are one after the other where it takes one at a time.
 * - Contents that are texts are lists of one part where it writes lists alone.
 * - The older function_call, and its role "function", are calls and results of tools.
 */
export function normalizeMessages(messages: readonly MixedMessage[], traits: TemplateTraits): MixedMessage[] {
  const names = new Map<string, string>();
  let lastId = "";
  const changed = messages.map((message, i): MixedMessage => {
    const { tool_calls: calls, function_call: older, ...rest } = message;
    const role = rest.role === "developer" && !traits.knowsDevelopers ? "system" : rest.role;
    if (role === "tool" || role === "function") {
      const id = typeof rest.tool_call_id === "string" ? rest.tool_call_id : lastId;
      const name = rest.name ?? names.get(id);
      return {
        ...rest,
        role: "tool",
        content: rest.content ?? "",
        ...(id !== "" && { tool_call_id: idOf(id, traits) }),
        ...(name !== undefined && { name }),
      };
    }
    const all: FunctionCall[] = [...(isCalls(calls) ? calls : []), ...(isObject(older) ? [{ function: older }] : [])];
    if (all.length === 0) return { ...rest, role, content: rest.content ?? "" };
    const written = all.map((call, j) => {
      lastId = call.id ?? `call_${i}_${j}`;
      names.set(lastId, String(call.function?.name ?? ""));
      return templateCall(call, lastId, traits);
    });
    return { ...rest, role, content: rest.content ?? "", tool_calls: written };
  });
  const separate = traits.takesSeveralCalls ? changed : oneByOne(changed);
  return traits.takesTexts ? separate : separate.map(inParts);
}

const inParts = (message: MixedMessage): MixedMessage =>
  typeof message.content === "string" ? { ...message, content: [{ type: "text", text: message.content }] } : message;

function templateCall(call: FunctionCall, id: string, traits: TemplateTraits): object {
  const { name, arguments: written } = call.function ?? {};
  const { function: _, ...rest } = call;
  return {
    type: "function",
    ...rest,
    id: idOf(id, traits),
    function: { name, arguments: traits.arguments === "text" ? asText(written) : asObject(written) },
  };
}

const asText = (written: unknown): string =>
  typeof written === "string" ? written.trim() || "{}" : JSON.stringify(written ?? {});

function asObject(written: unknown): unknown {
  if (written === undefined || written === null) return {};
  if (typeof written !== "string") return written;
  if (written.trim() === "") return {};
  if (exceededJsonLimit(written, requestLimits) !== undefined) return written;
  try {
    const value: unknown = JSON.parse(written);
    return isObject(value) ? value : written;
  } catch {
    return written;
  }
}

/** The id itself where it has the length that is asked for; otherwise always the same other one. */
function idOf(id: string, { idLength }: TemplateTraits): string {
  if (idLength === undefined || new RegExp(`^[a-zA-Z0-9]{${idLength}}$`).test(id)) return id;
  return hashBytes(new TextEncoder().encode(id))
    .repeat(Math.ceil(idLength / 16))
    .slice(0, idLength);
}

/** Each call in a message by itself, followed by its result. */
function oneByOne(messages: readonly MixedMessage[]): MixedMessage[] {
  const out: MixedMessage[] = [];
  const placed = new Set<MixedMessage>();
  for (const [i, message] of messages.entries()) {
    if (placed.has(message)) continue;
    const calls = message.tool_calls;
    if (!isCalls(calls) || calls.length < 2) {
      out.push(message);
      continue;
    }
    const end = messages.findIndex(({ role }, j) => j > i && role !== "tool");
    const results = messages.slice(i + 1, end < 0 ? undefined : end);
    for (const [j, call] of calls.entries()) {
      const { reasoning_content: thoughts, ...rest } = message;
      const first = j === 0 && thoughts !== undefined ? { reasoning_content: thoughts } : {};
      out.push({ ...rest, ...first, content: j === 0 ? message.content : "", tool_calls: [call] });
      const result = results.find((candidate) => candidate.tool_call_id === call.id && !placed.has(candidate));
      if (result) out.push(result);
      if (result) placed.add(result);
    }
  }
  return out;
}
