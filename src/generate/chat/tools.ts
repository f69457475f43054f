import { isObject, nearest, OptionError } from "../../base/index.ts";

/** A JSON Schema, as tools have it for their parameters. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** A function that a model may call. */
export interface ChatTool {
  name: string;
  /** @default none */
  description?: string;
  /** JSON Schema of an object. */
  parameters: JsonSchema;
  /** Whether the arguments must follow the schema. */
  strict: boolean;
}

/** Whether a model calls tools: as it likes, not at all, at least one, or one of these names and no other. */
export type ToolChoice =
  | "none"
  | "auto"
  | "required"
  | { mode: "auto" | "required"; names: readonly string[]; isSingle?: boolean };

/** OpenAI's limit. */
const MAX_TOOLS = 128;
/** OpenAI's rule for names of functions. */
const NAME = /^[a-zA-Z0-9_-]{1,64}$/;

const SHOWN = 60;
function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (isObject(value)) return `an object with ${Object.keys(value).slice(0, 5).join(", ") || "nothing"}`;
  const text = JSON.stringify(value) ?? String(value);
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}

function refuse(where: string, expected: string, value: unknown, fix: string): never {
  throw new OptionError({ where, expected, received: shown(value), fix });
}

/**
 * Tools in the form of OpenAI's chat completions.
 * @param where of the list, in errors. @default tools
 * @throws OptionError naming the tool and the field that is wrong
 */
export function readTools(tools: unknown, where = "tools"): ChatTool[] {
  if (!Array.isArray(tools))
    refuse(where, "a list of tools", tools, 'write [{ type: "function", function: { name } }]');
  if (tools.length > MAX_TOOLS) refuse(where, `at most ${MAX_TOOLS} tools`, tools, "leave some out");
  const seen = new Map<string, number>();
  return tools.map((tool: unknown, i) => {
    const read = readTool(tool, `${where}[${i}]`);
    const first = seen.get(read.name);
    if (first !== undefined)
      refuse(
        `${where}[${i}].function.name`,
        `another name than ${where}[${first}] has`,
        read.name,
        "rename one of them",
      );
    seen.set(read.name, i);
    return read;
  });
}

function readTool(tool: unknown, where: string): ChatTool {
  if (!isObject(tool)) refuse(where, "an object", tool, 'write { type: "function", function: { name, parameters } }');
  if (tool.type !== "function")
    refuse(
      `${where}.type`,
      '"function"',
      tool.type,
      "other kinds of tools run at OpenAI alone; describe it as a function",
    );
  const called = tool.function;
  const path = `${where}.function`;
  if (!isObject(called)) refuse(path, "an object with the name of a function", called, "add { name, parameters }");
  const { name, description, parameters, strict } = called;
  if (typeof name !== "string" || !NAME.test(name)) {
    const expected = "1 to 64 letters, digits, underscores and dashes";
    refuse(`${path}.name`, expected, name, "choose a name like get_weather");
  }
  if (description !== undefined && description !== null && typeof description !== "string")
    refuse(`${path}.description`, "a text", description, "say in a text what the function does");
  if (strict !== undefined && strict !== null && typeof strict !== "boolean")
    refuse(`${path}.strict`, "true or false", strict, "choose one of them");
  return {
    name,
    ...(typeof description === "string" && { description }),
    parameters: readParameters(parameters, `${path}.parameters`),
    strict: strict === true,
  };
}

/** A function without parameters takes an empty object. */
function readParameters(parameters: unknown, where: string): JsonSchema {
  if (parameters === undefined || parameters === null) return { type: "object", properties: {} };
  const fix = 'write { type: "object", properties: { ... } }';
  if (!isObject(parameters)) refuse(where, "the JSON Schema of an object", parameters, fix);
  const { type, properties, required } = parameters;
  if (type !== undefined && type !== "object") refuse(`${where}.type`, '"object"', type, fix);
  if (properties !== undefined && !isObject(properties))
    refuse(`${where}.properties`, "an object with a schema for each parameter", properties, fix);
  for (const [name, schema] of Object.entries(properties ?? {}))
    if (!isObject(schema) && typeof schema !== "boolean")
      refuse(`${where}.properties.${name}`, "a JSON Schema", schema, 'write { type: "string" }, for example');
  const isNames = Array.isArray(required) && required.every((name) => typeof name === "string");
  if (required !== undefined && !isNames)
    refuse(`${where}.required`, "a list of names of parameters", required, "list the names in quotes");
  return type === undefined ? { type: "object", ...parameters } : parameters;
}

/**
 * What `tool_choice` asks for: "none", "auto", "required", one function, or allowed tools.
 * @param tools those of the request
 * @returns "auto" where nothing is asked for and there are tools, "none" where there are none
 * @throws OptionError for what is no choice, or a function that is not among the tools
 */
export function readToolChoice(choice: unknown, tools: readonly ChatTool[], where = "tool_choice"): ToolChoice {
  const isOpen = choice === undefined || choice === null || choice === "auto" || choice === "none";
  if (tools.length === 0) {
    if (!isOpen) refuse(where, "tools to choose from", choice, "add tools to the request, or leave tool_choice out");
    return "none";
  }
  if (choice === undefined || choice === null) return "auto";
  if (choice === "none" || choice === "auto" || choice === "required") return choice;
  const forms = '"none", "auto", "required", or { type: "function", function: { name } }';
  if (!isObject(choice)) refuse(where, forms, choice, "choose one of them");
  if (choice.type === "function")
    return { mode: "required", names: [chosenName(choice.function, tools, `${where}.function`)], isSingle: true };
  if (choice.type !== "allowed_tools")
    refuse(`${where}.type`, '"function" or "allowed_tools"', choice.type, `use ${forms}`);
  return allowedTools(choice.allowed_tools, tools, `${where}.allowed_tools`);
}

function allowedTools(json: unknown, tools: readonly ChatTool[], where: string): ToolChoice {
  if (!isObject(json)) refuse(where, "an object with mode and tools", json, "add { mode, tools }");
  const { mode, tools: allowed } = json;
  if (mode !== "auto" && mode !== "required")
    refuse(`${where}.mode`, '"auto" or "required"', mode, "choose one of them");
  if (!Array.isArray(allowed) || allowed.length === 0)
    refuse(
      `${where}.tools`,
      "a list of at least one tool",
      allowed,
      'write [{ type: "function", function: { name } }]',
    );
  const names = allowed.map((tool: unknown, i) =>
    chosenName(isObject(tool) ? tool.function : tool, tools, `${where}.tools[${i}].function`),
  );
  return { mode, names: [...new Set(names)] };
}

function chosenName(called: unknown, tools: readonly ChatTool[], where: string): string {
  const name = isObject(called) ? called.name : undefined;
  if (typeof name !== "string") refuse(`${where}.name`, "the name of one of the tools", name, "add the name");
  const names = tools.map((tool) => tool.name);
  if (names.includes(name)) return name;
  const near = nearest(name, names);
  const expected = `one of the tools ${names.slice(0, 10).join(", ")}`;
  return refuse(`${where}.name`, expected, name, near ? `did you mean "${near}"?` : "add it to the tools");
}

/** The tools that a choice leaves. */
export function chosenTools(tools: readonly ChatTool[], choice: ToolChoice): readonly ChatTool[] {
  if (choice === "none") return [];
  return typeof choice === "string" ? tools : tools.filter(({ name }) => choice.names.includes(name));
}

/** Whether a choice asks for at least one call. */
export const requiresCall = (choice: ToolChoice): boolean =>
  choice === "required" || (typeof choice === "object" && choice.mode === "required");
