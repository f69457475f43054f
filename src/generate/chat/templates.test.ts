/** Conversations with tools in the templates of real models: what transformers renders, and back to the calls. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { unpackedWheel } from "../../testing/wheels.ts";
import { chatFormat, type MixedMessage, type Tokenizer } from "../../tokenizers/index.ts";
import { Template } from "../../tokenizers/jinja/template.ts";
import { ChatAnswer } from "./events.ts";
import { normalizeMessages, templateTraits } from "./messages.ts";
import { planChat, readToolRequest } from "./plan.ts";

interface Rendered {
  conversation: string;
  generates: boolean;
  text?: string;
  error?: string;
}
interface GoldenTemplate {
  source: "trl" | "here";
  special: Record<string, string>;
  arguments: "object" | "text";
  several: boolean;
  cases: Rendered[];
}

const folder = fileURLToPath(new URL("../../../golden/chat-templates/", import.meta.url));
const golden = JSON.parse(gunzipSync(readFileSync(join(folder, "tools.json.gz"))).toString()) as {
  wheel: { name: string; version: string; sha256: string };
  now: string;
  tools: object[];
  conversations: Record<string, MixedMessage[]>;
  templates: Record<string, GoldenTemplate>;
};
const now = new Date(golden.now);
const wheel = unpackedWheel(golden.wheel);

function pathOf(name: string, { source }: GoldenTemplate): string | undefined {
  if (source === "here") return join(folder, `${name}.jinja`);
  return "folder" in wheel ? join(wheel.folder, "trl", "chat_templates", `${name}.jinja`) : undefined;
}

const reason = "reason" in wheel ? wheel.reason : "";

describe.each(Object.entries(golden.templates))(`%s${reason && ` (without ${reason})`}`, (name, template) => {
  const path = pathOf(name, template);
  const isThere = path !== undefined && existsSync(path);
  const source = isThere ? readFileSync(path, "utf8") : "";
  const tokenizer = { namedTokens: template.special, specialTexts: [], Template } as unknown as Tokenizer;
  const format = chatFormat(source, tokenizer);
  const rendered = (conversation: string, addGenerationPrompt: boolean) => {
    const messages = normalizeMessages(golden.conversations[conversation], templateTraits(source, format));
    return format.render(messages, { tools: golden.tools, addGenerationPrompt, now });
  };

  test.skipIf(!isThere)("texts of transformers, of messages in the form that the template takes", () => {
    const traits = templateTraits(source, format);
    expect(traits).toMatchObject({ arguments: template.arguments, takesSeveralCalls: template.several });
    for (const { conversation, generates, text } of template.cases)
      expect([conversation, rendered(conversation, generates)]).toEqual([conversation, text]);
  });

  test.skipIf(!isThere)("what the template makes of a call is read as that call", () => {
    const request = readToolRequest({ tools: golden.tools });
    const messages = golden.conversations.called;
    const prompt = format.render(messages.slice(0, 1), { tools: golden.tools, now });
    const whole = rendered("called", false);
    const shared = Array.from(prompt).findIndex((_, i) => prompt[i] !== whole[i]);
    const output = whole.slice(shared < 0 ? prompt.length : shared);
    const plan = planChat({ template: source, prompt, request });
    if (plan.format?.name === "json") return; // a form that is not known
    const answer = new ChatAnswer();
    const parser = plan.parser();
    const end = /(<eos>|<\/s>|<\|im_end\|>|<\|eot_id\|>|<｜end▁of▁sentence｜>|<\|call\|>|<\|tool_response>)\s*$/;
    for (const event of [...parser.push(output.replace(end, "")), ...parser.finish()]) answer.add(event);
    expect(answer.content).toBe("");
    expect(answer.calls.map((call) => [call.name, JSON.parse(call.arguments), call.isComplete])).toEqual([
      ["get_weather", { place: 'Paris "x"\n北京', days: 2 }, true],
    ]);
  });
});
