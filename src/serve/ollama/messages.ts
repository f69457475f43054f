import { type Fields, invalid, isObject, isText, readFields, rule, text } from "../fields.ts";
import { readBase64 } from "../images/index.ts";

const roles = ["system", "user", "assistant", "tool"] as const;
type Role = (typeof roles)[number];
/** Of base64, as Ollama's clients send files. */
export const imageList = rule<unknown[]>("a list of images in base64", Array.isArray);
const messageFields = {
  role: rule<Role>(`one of ${roles.join(", ")}`, (value) => roles.includes(value as Role)),
  content: text,
  thinking: text,
  images: imageList,
  tool_calls: rule<unknown[]>("a list of calls", Array.isArray),
  tool_name: text,
  tool_call_id: text,
} as const satisfies Fields;
const callFields = {
  id: text,
  type: ["function"],
  function: rule<object>("an object with name and arguments", isObject),
} as const satisfies Fields;
const functionFields = {
  index: "harmless", // calls are in their order
  name: text,
  description: "harmless",
  arguments: rule<object>("an object", isObject),
} as const satisfies Fields;

interface Call {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
}

/** Messages in OpenAI's form. @throws RequestError naming the message and the field that are wrong */
export function chatMessages(messages: readonly unknown[]): object[] {
  /** Calls that have no result yet: Ollama's results say of which tool they are, or nothing. */
  let open: Call[] = [];
  return messages.map((json, i) => {
    const path = `messages[${i}].`;
    const fields = readFields(json, messageFields, path);
    const { role, content, thinking, tool_calls: list, tool_name: name, tool_call_id: id, images = [] } = fields;
    if (role === undefined) throw invalid(`${path}role`, messageFields.role.expected, undefined);
    if (content === undefined && role !== "assistant") throw invalid(`${path}content`, "a text", undefined);
    if (role === "tool") {
      const answered = open.find((call) => (id === undefined ? isNamed(call, name) : call.id === id));
      open = open.filter((call) => call !== answered);
      const toolCallId = id ?? answered?.id;
      if (toolCallId === undefined) throw invalid(`${path}tool_name`, "a tool that was called before", name);
      return { role, content, tool_call_id: toolCallId, ...(name !== undefined && { name }) };
    }
    const calls = (list ?? []).map((call, j) => callOf(call, `${path}tool_calls[${j}].`, `call_${i}_${j}`));
    open.push(...calls);
    if (images.length > 0 && role !== "user") throw invalid(`${path}images`, "none: images are the user's", images);
    return {
      role,
      content: withImages(content ?? "", images, `${path}images`),
      ...(thinking !== undefined && { reasoning_content: thinking }),
      ...(calls.length > 0 && { tool_calls: calls }),
    };
  });
}

/** The content of a message: its images stand before its text, as Ollama has them. @throws RequestError */
export function withImages(content: string, images: readonly unknown[], path: string): string | object[] {
  if (images.length === 0) return content;
  const references = images.map((data, i) =>
    readBase64(isText(data) ? data.replace(/^data:[^,]{0,100},/, "") : undefined, { path: `${path}[${i}]` }),
  );
  return [...references, ...(content === "" ? [] : [{ type: "text", text: content }])];
}

const isNamed = (call: Call, name: string | undefined) => !isText(name) || call.function.name === name;

function callOf(json: unknown, path: string, otherwise: string): Call {
  const { id = otherwise, function: called } = readFields(json, callFields, path);
  if (called === undefined) throw invalid(`${path}function`, callFields.function.expected, undefined);
  const { name, arguments: written = {} } = readFields(called, functionFields, `${path}function.`);
  if (name === undefined) throw invalid(`${path}function.name`, "the name of a function", undefined);
  return { id, type: "function", function: { name, arguments: JSON.stringify(written) } };
}
