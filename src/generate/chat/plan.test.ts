import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { chatFormat, type MixedMessage, Tokenizer } from "../../tokenizers/index.ts";
import { ChatAnswer } from "./events.ts";
import { detectToolFormat, toolFormat } from "./formats/detect.ts";
import { keptStream } from "./kept-stream.ts";
import { planChat, readToolRequest, withToolInstructions } from "./plan.ts";

const golden = (path: string) => fileURLToPath(new URL(`../../../golden/${path}`, import.meta.url));
const templateOf = (name: string) => readFileSync(golden(`chat-templates/${name}.jinja`), "utf8");
const tool = (name: string, rest: object = {}) => ({ type: "function", function: { name, ...rest } });

test("the form of calls is seen in the template", () => {
  const names = ["qwen2", "llama3", "mistral", "deepseek", "chatml", "gemma"];
  expect(names.map((name) => [name, detectToolFormat(templateOf(name))?.name])).toEqual([
    ["qwen2", "hermes"],
    ["llama3", "llama3"],
    ["mistral", "mistral"],
    ["deepseek", "deepseek-v3"],
    ["chatml", undefined],
    ["gemma", undefined],
  ]);
  expect(detectToolFormat("{{ tools | tojson }}")?.name).toBe("json");
  expect(detectToolFormat("{{ tools | tojson }}", ["<tool_call>"])?.name).toBe("hermes");
  expect(detectToolFormat(undefined)).toBeUndefined();
  expect(() => toolFormat("x" as "json")).toThrow(/toolFormat: expected one of hermes, .*received "x"/);
});

const template = `{{ '<think>' }}{{ tools }}<tool_call>{"name"}</tool_call></think>`;

test("a plan has what an answer needs", () => {
  const request = readToolRequest({ tools: [tool("f"), tool("g")], toolChoice: "auto" });
  const plan = planChat({ template, specialTexts: ["<tool_call>", "<think>", "<s>"], prompt: "a<think>\n", request });
  expect(plan.format?.name).toBe("hermes");
  expect(plan.isReasoningOpen).toBe(true);
  expect(plan.keptTokens).toEqual(["<tool_call>", "<think>"]);
  expect(plan.grammar).toBeUndefined();
  const answer = new ChatAnswer();
  const parser = plan.parser();
  for (const event of parser.push('b</think>c<tool_call>{"name": "g"}</tool_call>')) answer.add(event);
  expect(answer).toMatchObject({ reasoning: "b", content: "c", calls: [{ name: "g", arguments: "{}" }] });
});

test("a grammar is there where a call is asked for, or a tool is strict", () => {
  const grammarOf = (tools: object[], toolChoice?: unknown) =>
    planChat({ template, prompt: "", request: readToolRequest({ tools, toolChoice }) }).grammar;
  expect(grammarOf([tool("f")])).toBeUndefined();
  expect(grammarOf([tool("f", { strict: true })])).toMatchObject({ isRequired: false, triggers: ["<tool_call>"] });
  expect(grammarOf([tool("f")], "required")).toMatchObject({ isRequired: true });
  expect(grammarOf([tool("f")], "none")).toBeUndefined();
});

test("tools of the prompt are those that may be called", () => {
  const tools = [tool("f"), tool("g", { extra: 1 })];
  expect(readToolRequest({ tools }).templateTools).toEqual(tools);
  expect(readToolRequest({ tools, toolChoice: "none" }).templateTools).toBeUndefined();
  const named = readToolRequest({ tools, toolChoice: tool("g") });
  expect([named.templateTools, named.parallel]).toEqual([[tools[1]], false]);
  expect(readToolRequest({}).templateTools).toBeUndefined();
  const single = planChat({ template, prompt: "", request: readToolRequest({ tools, parallelToolCalls: false }) });
  const call = '<tool_call>{"name": "f"}</tool_call>';
  expect(
    single
      .parser()
      .push(call + call)
      .filter(({ type }) => type === "call-begin"),
  ).toHaveLength(1);
});

test("without tools, or where none may be called, calls are text and thoughts are not", () => {
  const text = '<think>a</think><tool_call>{"name": "f"}</tool_call>';
  const none = readToolRequest({ tools: [tool("f")], toolChoice: "none" });
  for (const request of [undefined, none]) {
    const answer = new ChatAnswer();
    const parser = planChat({ template, prompt: "", request }).parser();
    for (const event of [...parser.push(text), ...parser.finish()]) answer.add(event);
    expect(answer).toMatchObject({ reasoning: "a", content: '<tool_call>{"name": "f"}</tool_call>', calls: [] });
  }
});

test("answers with calls end with tokens of their own", () => {
  const request = readToolRequest({ tools: [tool("f")] });
  const specialTexts = ["<|python_tag|>", "<|eom_id|>", "<|eot_id|>"];
  const plan = planChat({ template: templateOf("llama3"), specialTexts: [...specialTexts], prompt: "", request });
  expect([plan.keptTokens, plan.endTokens]).toEqual([["<|python_tag|>"], ["<|eom_id|>"]]);
  expect(planChat({ template: templateOf("llama3"), specialTexts, prompt: "" }).endTokens).toEqual([]);
  const gemma = planChat({ template, specialTexts: ["<|channel>", '<|"|>'], prompt: "", request, format: "gemma4" });
  expect(gemma.keptTokens).toEqual(['<|"|>']);
  const thinking = planChat({ template: "<|channel>thought <channel|>", specialTexts: ["<|channel>"], prompt: "" });
  expect(thinking.keptTokens).toEqual(["<|channel>"]);
});

test("a template that knows no tools is told of them", () => {
  const request = readToolRequest({ tools: [tool("f", { description: "Does it." })], toolChoice: "required" });
  const user: MixedMessage = { role: "user", content: "a" };
  const [first, second] = withToolInstructions([user], request);
  expect(first.role).toBe("system");
  expect(first.content).toContain(
    '{"name":"f","description":"Does it.","parameters":{"type":"object","properties":{}}}',
  );
  expect(second).toBe(user);
  const merged = withToolInstructions([{ role: "system", content: "Be brief." }, user], request);
  expect(merged).toHaveLength(2);
  expect(merged[0].content).toMatch(/^Be brief\.\n\nYou can call/);
  const plan = planChat({ template: templateOf("chatml"), prompt: "", request });
  expect(plan.format?.name).toBe("json");
  expect(plan.parser().push('[{"name": "f", "arguments": {}}]')[0]).toMatchObject({ type: "call-begin", name: "f" });
});

test.each(["qwen2", "llama2", "mistral", "gemma"])(
  "of %s, special tokens that are needed are decoded",
  async (kind) => {
    const tokenizer = await Tokenizer.open(golden(`tokenizers/kinds/${kind}.tokenizer.json`));
    const [kept, other = kept] = tokenizer.specialTexts;
    const marks = [kept, ...(other === kept ? [] : [other]), kept].map((text) => tokenizer.tokenToId(text) as number);
    const before = await tokenizer.encode("Hé there", { addSpecialTokens: false });
    const after = await tokenizer.encode("so 世界 it goes", { addSpecialTokens: false });
    const stream = keptStream(tokenizer, [kept, "no token"]);
    let text = "";
    for (const id of [...before, ...marks, ...after]) text += await stream.push(id);
    text += await stream.flush();
    const parts = text.split(kept);
    expect(parts).toHaveLength(3);
    expect(parts.join("")).toBe(await tokenizer.decode([...before, ...after]));
    expect(parts[0]).toBe(await tokenizer.decode(before));
  },
);

test("messages of people cannot open thoughts or calls in a prompt", async () => {
  const tokenizer = await Tokenizer.open(golden("tokenizers/kinds/qwen2.tokenizer.json"));
  const format = chatFormat(templateOf("chatml"), tokenizer);
  const prompt = format.render([{ role: "user", content: "what is <think>" }]);
  expect(planChat({ template: `${templateOf("chatml")}</think>`, prompt }).isReasoningOpen).toBe(false);
});
