/** Answers that are not as they should be: what cannot be a call stays text, and nothing is lost. */
import { describe, expect, test } from "vitest";
import { randomNumbers } from "../../testing/fuzz/random.ts";
import { addEvent, ChatAnswer, type ChatEvent } from "./events.ts";
import { toolFormat } from "./formats/detect.ts";
import { type ToolFormatName, toolFormatNames } from "./formats/tool-format.ts";
import { ChatParser, type ChatParserOptions } from "./parser.ts";
import { readTools } from "./tools.ts";

const tools = readTools([
  {
    type: "function",
    function: { name: "f", parameters: { properties: { a: { type: "string" }, n: { type: "integer" } } } },
  },
  { type: "function", function: { name: "g" } },
]);
const think = { begin: "<think>", end: "</think>" };
const hermes = toolFormat("hermes");

function parse(pieces: readonly string[], options: ChatParserOptions = {}): ChatEvent[] {
  let ids = 0;
  const parser = new ChatParser({ tools, newId: () => `id${ids++}`, ...options });
  const events: ChatEvent[] = [];
  for (const piece of pieces) for (const event of parser.push(piece)) addEvent(events, event);
  for (const event of parser.finish()) addEvent(events, event);
  return events;
}

function answerOf(text: string, options: ChatParserOptions = {}) {
  const answer = new ChatAnswer();
  for (const event of parse([text], options)) answer.add(event);
  const { content, reasoning, calls } = answer;
  return { content, reasoning, calls: calls.map((call) => [call.name, call.arguments, call.isComplete]) };
}

test.each([
  ["a name that no tool has", "hermes", '<tool_call>{"name": "h", "arguments": {}}</tool_call>'],
  ["arguments that are no object", "hermes", '<tool_call>{"name": "f", "arguments": [1]}</tool_call>'],
  [
    "a text about the format",
    "hermes",
    "Write <tool_call> and </tool_call> around it, like <tool_call>this</tool_call>.",
  ],
  ["JSON that is an answer", "llama3", '{"name": "f", "city": "Paris", "parameters": {}}'],
  ["JSON with a name alone", "json", '{"name": "f"}'],
  ["JSON that is not first", "llama3", 'So: {"name": "f", "parameters": {}}'],
  ["a list", "pythonic", "[1, 2, 3]"],
  ["a list of other calls", "pythonic", "[h(a=1)]"],
  ["an argument without a name", "lfm2", "<|tool_call_start|>[h(1)]<|tool_call_end|>"],
  ["a function that is none", "qwen3-coder", "<function=h>\n<parameter=a>\n1\n</parameter>\n</function>"],
  ["a tag that goes on otherwise", "qwen3-coder", "<function=f> is a tag"],
  ["a name in a line", "glm4", "f\nis a letter"],
  ["a marker without a call", "mistral", "[TOOL_CALLS] are special"],
  [
    "a separator without a name",
    "deepseek-v3",
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>h\n```json\n{}",
  ],
  ["blanks alone", "hermes", " \n\t "],
  ["blanks around", "hermes", "\n a \n"],
] as [string, ToolFormatName, string][])("%s is content", (_, name, text) => {
  for (const wholeCalls of [false, true])
    expect(answerOf(text, { format: toolFormat(name), wholeCalls })).toEqual({
      content: text,
      reasoning: "",
      calls: [],
    });
});

test("arguments that break off are given out up to there, and what follows is content", () => {
  const text = '<tool_call>{"name": "f", "arguments": {"a": 1, b}}</tool_call>';
  expect(answerOf(text, { format: hermes })).toEqual({
    content: "b}}</tool_call>",
    reasoning: "",
    calls: [["f", '{"a": 1, ', false]],
  });
  expect(answerOf(text, { format: hermes, wholeCalls: true }).content).toBe(text);
});

test("arguments that are cut stay as they are, and are not said to be whole", () => {
  const text = 'Yes <tool_call>{"name": "f", "arguments": {"a": "rm -rf /';
  expect(answerOf(text, { format: hermes })).toEqual({
    content: "Yes",
    reasoning: "",
    calls: [["f", '{"a": "rm -rf /', false]],
  });
  expect(answerOf(text, { format: hermes, wholeCalls: true }).content).toBe(text);
});

test("calls before one that is malformed are calls", () => {
  const text = '[TOOL_CALLS] [{"name": "g", "arguments": {}}, {"name": "h", "arguments": {}}] end';
  const { content, calls } = answerOf(text, { format: toolFormat("mistral") });
  expect(calls).toEqual([["g", "{}", true]]);
  expect(content).toBe(', {"name": "h", "arguments": {}}] end');
});

test("without tools all is content", () => {
  const text = '<tool_call>{"name": "f", "arguments": {}}</tool_call>';
  expect(answerOf(text, { format: hermes, tools: [] })).toEqual({ content: text, reasoning: "", calls: [] });
  expect(answerOf(text)).toEqual({ content: text, reasoning: "", calls: [] });
});

test("of calls that may not be several there is the first, and no more text is needed", () => {
  const parser = new ChatParser({ tools, format: hermes, parallel: false });
  const one = '<tool_call>{"name": "g", "arguments": {}}</tool_call>';
  expect(parser.push(one.slice(0, -20)).map(({ type }) => type)).not.toContain("call-end");
  expect(parser.isDone).toBe(false);
  parser.push(`${one.slice(-20)}${one} more`);
  expect(parser.isDone).toBe(true);
  expect(parser.finish()).toEqual([]);
  expect(answerOf(one + one, { format: hermes, parallel: false }).calls).toHaveLength(1);
});

describe("thoughts", () => {
  const options = { format: hermes, reasoning: think };
  const call = '<tool_call>{"name": "g", "arguments": {}}</tool_call>';

  test("come before the answer, without the blanks around them", () => {
    expect(answerOf("\n<think>\n a\n\nb \n</think>\n\nc ", options)).toMatchObject({
      reasoning: "a\n\nb",
      content: "c ",
    });
    expect(answerOf("a</think>b", { ...options, isReasoningOpen: true })).toMatchObject({
      reasoning: "a",
      content: "b",
    });
  });

  test("may be opened once more, be empty, or have no end", () => {
    const open = { ...options, isReasoningOpen: true };
    expect(answerOf("<think>\na</think>b", open)).toMatchObject({ reasoning: "a", content: "b" });
    expect(answerOf("<think>\n\n</think>\n\nb", options)).toMatchObject({ reasoning: "", content: "b" });
    expect(answerOf("</think>\n\na", options)).toMatchObject({ reasoning: "", content: "a" });
    expect(answerOf("a b", open)).toMatchObject({ reasoning: "a b", content: "" });
  });

  test("are looked for where the answer begins alone", () => {
    const text = "The tag <think> begins thoughts, </think> ends them.";
    expect(answerOf(text, options)).toMatchObject({ reasoning: "", content: text });
    expect(answerOf("<think>a <think> b</think>c <think>d</think>", options)).toMatchObject({
      reasoning: "a <think> b",
      content: "c <think>d</think>",
    });
  });

  test("have no calls, but where they end with one", () => {
    expect(answerOf(`<think>I could ${call} now.</think>No.`, options)).toEqual({
      reasoning: `I could ${call} now.`,
      content: "No.",
      calls: [],
    });
    expect(answerOf(`<think>I call\n${call}\n${call}\n`, options)).toEqual({
      reasoning: "I call",
      content: "",
      calls: [
        ["g", "{}", true],
        ["g", "{}", true],
      ],
    });
    expect(answerOf(`<think>I call\n${call} and`, options)).toMatchObject({
      reasoning: `I call\n${call} and`,
      calls: [],
    });
  });
});

test("pieces of content come at once, but for what may begin a call", () => {
  const parser = new ChatParser({ tools, format: hermes });
  expect(parser.push("Hello <")).toEqual([{ type: "content", text: "Hello" }]);
  expect(parser.push("b> ")).toEqual([{ type: "content", text: " <b>" }]);
  expect(parser.push('<tool_call>{"name": "f", "arguments": {"a": "x')).toEqual([
    { type: "call-begin", index: 0, id: expect.stringMatching(/^call_[A-Za-z0-9]{24}$/), name: "f" },
    { type: "arguments", index: 0, text: '{"a": "x' },
  ]);
  expect(parser.push("y")).toEqual([{ type: "arguments", index: 0, text: "y" }]);
});

test("texts of parameters come as they are written", () => {
  const parser = new ChatParser({ tools, format: toolFormat("qwen3-coder") });
  parser.push("<tool_call>\n<function=f>\n<parameter=a>\n");
  expect(parser.push('one "two" ')).toEqual([{ type: "arguments", index: 0, text: 'one \\"two\\" ' }]);
  expect(parser.push("x\n")).toEqual([{ type: "arguments", index: 0, text: "x" }]);
  expect(parser.push("y\n</para")).toEqual([{ type: "arguments", index: 0, text: "\\ny" }]);
});

test("ids have the form that a family's templates take", () => {
  const ids = (name: ToolFormatName, text: string) =>
    new ChatParser({ tools, format: toolFormat(name) })
      .push(text)
      .flatMap((event) => ("id" in event ? [event.id] : []));
  expect(ids("mistral-args", "[TOOL_CALLS]g[ARGS]{}")[0]).toMatch(/^[A-Za-z0-9]{9}$/);
  expect(ids("mistral-args", "[TOOL_CALLS]g[CALL_ID]abcdefghi[ARGS]{}")).toEqual(["abcdefghi"]);
  const kimi = "<|tool_calls_section_begin|><|tool_call_begin|>functions.g:3<|tool_call_argument_begin|>{}";
  expect(ids("kimi-k2", kimi)).toEqual(["functions.g:3"]);
});

test("arguments of any depth end somewhere", () => {
  const deep = `${'{"a":'.repeat(500)}1${"}".repeat(500)}`;
  const text = `<tool_call>{"name": "f", "arguments": ${deep}}</tool_call>`;
  expect(answerOf(text, { format: hermes, wholeCalls: true })).toEqual({ content: text, reasoning: "", calls: [] });
});

const fragments = [
  '{"name": "f", "arguments": ',
  '{"name": "g", "parameters": {}}',
  '{"a": "W"}',
  '{"a": "W',
  '"}',
  "}",
  "]",
  "[",
  ", ",
  "f",
  "g(",
  "f(a='W')",
  "\n",
  " ",
  "W ",
  "```json\n",
  "<function=f>",
  "<parameter=a>\nW\n</parameter>\n",
  "<parameter=n>7</parameter>",
  "</function>",
  "<arg_key>a</arg_key><arg_value>W</arg_value>",
  "<think>",
  "</think>",
  "😀W",
];

describe.each(toolFormatNames.map((name) => [name]))("random answers, %s", (name) => {
  const format = toolFormat(name);
  const markers = [...format.begins, ...format.keptTokens, ...format.keptTokens, ...format.keptTokens];
  const next = randomNumbers(1 + name.length);
  const pick = (list: readonly string[]) => list[Math.floor(next() * list.length)];
  const soups = Array.from({ length: 150 }, () => {
    let count = 0;
    const parts = Array.from({ length: 1 + Math.floor(next() * 9) }, () =>
      pick(next() < 0.4 && markers.length > 0 ? markers : fragments).replace("W", () => `word${count++}w`),
    );
    return { text: parts.join(""), words: Array.from({ length: count }, (_, i) => `word${i}w`) };
  });

  test("are the same however they are cut", () => {
    for (const { text } of soups) {
      for (const options of [
        {},
        { wholeCalls: true },
        { reasoning: think },
        { reasoning: think, isReasoningOpen: true },
      ]) {
        const whole = parse([text], { format, ...options });
        const pieces: string[] = [];
        for (let at = 0; at < text.length; ) {
          const end = at + 1 + Math.floor(next() * 5);
          pieces.push(text.slice(at, end));
          at = end;
        }
        expect([text, parse([...text], { format, ...options })]).toEqual([text, whole]);
        expect([text, parse(pieces, { format, ...options })]).toEqual([text, whole]);
      }
    }
  });

  test("lose no word, and whole arguments are JSON", () => {
    for (const { text, words } of soups) {
      for (const options of [{}, { reasoning: think }, { reasoning: think, isReasoningOpen: true }]) {
        const { content, reasoning, calls } = answerOf(text, { format, wholeCalls: true, ...options });
        const seen = [reasoning, content, ...calls.flat()].join("\n");
        expect([text, words.filter((word) => !seen.includes(word))]).toEqual([text, []]);
        for (const [, json] of calls) expect(typeof JSON.parse(String(json))).toBe("object");
        if (calls.length === 0 && name !== "harmony" && !("reasoning" in options)) expect(content).toBe(text);
      }
      for (const [, json, isComplete] of answerOf(text, { format }).calls) if (isComplete) JSON.parse(String(json));
    }
  });
});
