import { describe, expect, test } from "vitest";
import { addEvent, ChatAnswer, type ChatEvent } from "./events.ts";
import { toolFormat } from "./formats/detect.ts";
import type { ToolFormatName } from "./formats/tool-format.ts";
import { ChatParser, type ChatParserOptions } from "./parser.ts";
import { readTools } from "./tools.ts";

const tools = readTools([
  {
    type: "function",
    function: {
      name: "get_weather",
      parameters: {
        type: "object",
        properties: {
          place: { type: "string" },
          days: { type: "integer" },
          exact: { type: "boolean" },
          tags: { type: "array", items: { type: "string" } },
          options: { type: "object" },
          note: { type: ["string", "null"] },
        },
        required: ["place"],
      },
    },
  },
  { type: "function", function: { name: "now" } },
]);

/** Events of a text that comes in pieces, joined. */
function parse(pieces: readonly string[], options: ChatParserOptions = {}): ChatEvent[] {
  let ids = 0;
  const parser = new ChatParser({ tools, newId: () => `id${ids++}`, ...options });
  const events: ChatEvent[] = [];
  for (const piece of pieces) for (const event of parser.push(piece)) addEvent(events, event);
  for (const event of parser.finish()) addEvent(events, event);
  return events;
}

function answerOf(pieces: readonly string[], options: ChatParserOptions = {}) {
  const answer = new ChatAnswer();
  for (const event of parse(pieces, options)) answer.add(event);
  return answer;
}

const think = { begin: "<think>", end: "</think>" };
const sunny = { place: 'Paris "x" 北京\n', days: 2, exact: true };
const json = JSON.stringify(sunny);

/** name: format, text, content, calls as [name, arguments]. */
const cases: Record<string, [ToolFormatName, string, string, [string, object][]]> = {
  "hermes, two calls after a text": [
    "hermes",
    `Let me see.\n<tool_call>\n{"name": "get_weather", "arguments": ${json}}\n</tool_call>\n<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>`,
    "Let me see.",
    [
      ["get_weather", sunny],
      ["now", {}],
    ],
  ],
  "hermes, arguments before the name, one brace too many": [
    "hermes",
    `<tool_call>{"arguments": ${json}, "name": "get_weather"}}</tool_call>`,
    "",
    [["get_weather", sunny]],
  ],
  "hermes, arguments as a text": [
    "hermes",
    `<tool_call>{"name": "get_weather", "arguments": ${JSON.stringify(json)}}</tool_call>`,
    "",
    [["get_weather", sunny]],
  ],
  "hermes, no arguments, no end": ["hermes", '<tool_call>{"name": "now"}', "", [["now", {}]]],
  "hermes, a brace too few": [
    "hermes",
    `<tool_call>{"name": "get_weather", "arguments": ${json}</tool_call>`,
    "",
    [["get_weather", sunny]],
  ],
  "hermes, several in one tag": [
    "hermes",
    '<tool_call>\n{"name": "now", "arguments": {}}\n{"name": "now", "arguments": null}\n</tool_call>done',
    "done",
    [
      ["now", {}],
      ["now", {}],
    ],
  ],
  "hermes, tags of Qwen3-Coder": [
    "hermes",
    "<tool_call>\n<function=now>\n</function>\n</tool_call>",
    "",
    [["now", {}]],
  ],
  "hermes, a line break in a string": [
    "hermes",
    '<tool_call>{"name": "get_weather", "arguments": {"place": "a\nb\tc"}}</tool_call>',
    "",
    [["get_weather", { place: "a\nb\tc" }]],
  ],
  "qwen3-coder": [
    "qwen3-coder",
    "I look.\n\n<tool_call>\n<function=get_weather>\n<parameter=place>\nParis\n</parameter>\n<parameter=days>\n3\n</parameter>\n<parameter=exact>\nTrue\n</parameter>\n<parameter=tags>\n['a', \"b\"]\n</parameter>\n<parameter=note>\nnull\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=now>\n</function>\n</tool_call>",
    "I look.",
    [
      ["get_weather", { place: "Paris", days: 3, exact: true, tags: ["a", "b"], note: null }],
      ["now", {}],
    ],
  ],
  "qwen3-coder, a value with tags and line breaks": [
    "qwen3-coder",
    "<tool_call>\n<function=get_weather>\n<parameter=place>\n\n<parameter=x>\n</parameter> x </function> y\n\n</parameter>\n</function>\n</tool_call>",
    "",
    [["get_weather", { place: "\n<parameter=x>\n</parameter> x </function> y\n" }]],
  ],
  "qwen3-coder, without the outer tag and an end": [
    "qwen3-coder",
    "<function=get_weather>\n<parameter=place>\nParis\n<parameter=days>\n\n</parameter>\n</function>",
    "",
    [["get_weather", { place: "Paris" }]],
  ],
  "glm4.5": [
    "glm4.5",
    "Hm\n<tool_call>get_weather\n<arg_key>place</arg_key>\n<arg_value>123</arg_value>\n<arg_key>days</arg_key>\n<arg_value>5</arg_value>\n</tool_call>\n<tool_call>now\n</tool_call>",
    "Hm",
    [
      ["get_weather", { place: "123", days: 5 }],
      ["now", {}],
    ],
  ],
  "glm4.7, on one line": [
    "glm4.5",
    '<tool_call>get_weather<arg_key>options</arg_key><arg_value>{"a": [1, {}]}</arg_value><arg_key>place</arg_key><arg_value>x</arg_value></tool_call><tool_call>now</tool_call>',
    "",
    [
      ["get_weather", { options: { a: [1, {}] }, place: "x" }],
      ["now", {}],
    ],
  ],
  glm4: ["glm4", `get_weather\n${json}`, "", [["get_weather", sunny]]],
  llama3: ["llama3", `{"name": "get_weather", "parameters": ${json}}`, "", [["get_weather", sunny]]],
  "llama3, marked, several": [
    "llama3",
    `<|python_tag|>{"type": "function", "name": "get_weather", "parameters": ${json}}; {"name": "now", "parameters": {}}`,
    "",
    [
      ["get_weather", sunny],
      ["now", {}],
    ],
  ],
  pythonic: [
    "pythonic",
    `[get_weather(place='Pa"ris\\n', days=-2, exact=True, options={'a': None, "b": [1, 2.5]}), now()]`,
    "",
    [
      ["get_weather", { place: 'Pa"ris\n', days: -2, exact: true, options: { a: null, b: [1, 2.5] } }],
      ["now", {}],
    ],
  ],
  "pythonic, marked": ["pythonic", "<|python_start|>[now()]<|python_end|>", "", [["now", {}]]],
  "pythonic, in JSON": ["pythonic", '{"name": "now", "parameters": {}}', "", [["now", {}]]],
  lfm2: [
    "lfm2",
    '<|tool_call_start|>[get_weather(place="Paris, (1)")]<|tool_call_end|>Checking.',
    "Checking.",
    [["get_weather", { place: "Paris, (1)" }]],
  ],
  mistral: [
    "mistral",
    `[TOOL_CALLS] [{"name": "get_weather", "arguments": ${json}, "id": "abcdefghi"}, {"name": "now", "arguments": {}}]`,
    "",
    [
      ["get_weather", sunny],
      ["now", {}],
    ],
  ],
  "mistral-args": [
    "mistral-args",
    `Sure[TOOL_CALLS]get_weather[ARGS]${json}[TOOL_CALLS]now[CALL_ID]123456789[ARGS]{}`,
    "Sure",
    [
      ["get_weather", sunny],
      ["now", {}],
    ],
  ],
  "mistral, name and JSON": [
    "mistral-args",
    '[TOOL_CALLS]get_weather{"place": "[ARGS]"}',
    "",
    [["get_weather", { place: "[ARGS]" }]],
  ],
  "deepseek-v3": [
    "deepseek-v3",
    `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n\`\`\`json\n${json}\n\`\`\`<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n\`\`\`json\n{}\n\`\`\`<｜tool▁call▁end｜><｜tool▁calls▁end｜>`,
    "",
    [
      ["get_weather", sunny],
      ["now", {}],
    ],
  ],
  "deepseek-v3.1": [
    "deepseek-v3.1",
    `Yes<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>${json}<｜tool▁call▁end｜><｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>`,
    "Yes",
    [
      ["get_weather", sunny],
      ["now", {}],
    ],
  ],
  "kimi-k2": [
    "kimi-k2",
    `<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>${json}<|tool_call_end|><|tool_call_begin|>functions.now:1<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>`,
    "",
    [
      ["get_weather", sunny],
      ["now", {}],
    ],
  ],
  "minimax-m2": [
    "minimax-m2",
    '<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="place">Paris</parameter>\n<parameter name="days">2</parameter>\n</invoke>\n<invoke name="now">\n</invoke>\n</minimax:tool_call>',
    "",
    [
      ["get_weather", { place: "Paris", days: 2 }],
      ["now", {}],
    ],
  ],
  "seed-oss": [
    "seed-oss",
    "<seed:tool_call>\n<function=get_weather>\n<parameter=place>Paris</parameter>\n</function>\n</seed:tool_call>",
    "",
    [["get_weather", { place: "Paris" }]],
  ],
  gemma4: [
    "gemma4",
    'Yes.<|tool_call>call:get_weather{days:2,exact:true,options:{a:[1,<|"|>x}<|"|>],"b":null},place:<|"|>Paris, "x"\n<|"|>,tags:[]}<tool_call|><|tool_call>call:now{}<tool_call|>',
    "Yes.",
    [
      ["get_weather", { days: 2, exact: true, options: { a: [1, "x}"], b: null }, place: 'Paris, "x"\n', tags: [] }],
      ["now", {}],
    ],
  ],
  llama4: ["llama4", `{"name": "get_weather", "parameters": ${json}}`, "", [["get_weather", sunny]]],
  harmony: [
    "harmony",
    `<|channel|>commentary<|message|>I look.<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>${json}<|call|>`,
    "I look.",
    [["get_weather", sunny]],
  ],
  json: ["json", '```json\n[{"name": "now", "arguments": {}}]\n```', "", [["now", {}]]],
};

/** A text in every two pieces, and in single characters. */
function* cuts(text: string): Generator<string[]> {
  yield Array.from({ length: text.length }, (_, i) => text[i]);
  for (let at = 1; at < text.length; at++) yield [text.slice(0, at), text.slice(at)];
}

describe.each(Object.entries(cases))("%s", (_, [name, text, content, calls]) => {
  const options = { format: toolFormat(name) };

  test("calls and content", () => {
    const answer = answerOf([text], options);
    expect(answer.calls.map((call) => [call.name, JSON.parse(call.arguments)])).toEqual(calls);
    expect(answer.calls.every(({ isComplete }) => isComplete)).toBe(true);
    expect(answer.content).toBe(content);
  });

  test("the same however it is cut", () => {
    for (const wholeCalls of [false, true]) {
      const whole = parse([text], { ...options, wholeCalls });
      for (const pieces of cuts(text)) expect(parse(pieces, { ...options, wholeCalls })).toEqual(whole);
    }
  });

  test("thoughts before it", () => {
    const {
      calls: others,
      reasoning,
      content: rest,
    } = answerOf([`<think>\nA <tool_call> B\n</think>\n\n${text}`], {
      ...options,
      reasoning: think,
    });
    if (name === "harmony") return;
    expect(reasoning).toBe("A <tool_call> B");
    expect(rest).toBe(content);
    expect(others.map((call) => call.name)).toEqual(calls.map(([called]) => called));
  });

  test("every beginning of it loses nothing", () => {
    for (let length = 0; length < text.length; length++) {
      const beginning = text.slice(0, length);
      const whole = answerOf([beginning], { ...options, wholeCalls: true });
      if (whole.calls.length === 0 && name !== "harmony") expect(whole.content).toBe(beginning);
      const streamed = answerOf([beginning], options);
      for (const call of streamed.calls) if (call.isComplete) JSON.parse(call.arguments);
    }
  });
});
