/** Which tokens of conversations are learned: those that transformers says are the assistant's. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { readJson } from "../../files/index.ts";
import type { MixedMessage } from "../../tokenizers/index.ts";
import { Tokenizer } from "../../tokenizers/index.ts";
import { conversationTokens, conversationWriter } from "./conversation-tokens.ts";

const golden = fileURLToPath(new URL("../../../golden/", import.meta.url));
interface Case {
  template: "chatml" | "thinking";
  messages: MixedMessage[];
  ids: number[];
  mask: number[];
}
const { templates, cases } = (await readJson(`${golden}methods/assistant-masks.json`)) as unknown as {
  templates: Record<Case["template"], string>;
  cases: Case[];
};
const json = JSON.parse(await readFile(`${golden}tokenizers/bpe-600.tokenizer.json`, "utf8"));
const special = ["<|im_start|>", "<|im_end|>"].map((content, i) => ({
  ...{ id: 600 + i, content, special: true, single_word: false, lstrip: false, rstrip: false, normalized: false },
}));
const tokenizer = await Tokenizer.fromJson({ ...json, added_tokens: [...json.added_tokens, ...special] });
const withoutTags = (template: string) => template.replace(/\{%-? (end)?generation %\}/g, "");

test.each(cases.map((each, i) => [i, each.template, each] as const))(
  "%i: %s by its tags",
  async (_, name, { messages, ids, mask }) => {
    const tokens = await conversationTokens({ messages }, conversationWriter(tokenizer, templates[name]));
    expect([...tokens.ids]).toEqual(ids.slice(0, tokens.ids.length));
    expect([...tokens.weights]).toEqual(mask.slice(0, tokens.ids.length));
  },
);

test.each(cases.filter(({ template }) => template === "chatml"))(
  "$messages without tags",
  async ({ messages, ids, mask }) => {
    const writer = conversationWriter(tokenizer, withoutTags(templates.chatml));
    const tokens = await conversationTokens({ messages }, writer);
    expect([...tokens.ids]).toEqual(ids);
    // of a text that ends in a blank the blank before the end counts in both
    expect([...tokens.weights]).toEqual(mask);
  },
);

test("the last answer alone, or all tokens, may be learned; messages after the last answer are left out", async () => {
  const [{ messages }] = cases.filter(({ messages: { length } }) => length > 4);
  const writer = conversationWriter(tokenizer, withoutTags(templates.chatml));
  const learnedText = async (learned: "last" | "all") => {
    const { ids, weights } = await conversationTokens({ messages }, writer, learned);
    return tokenizer.decode(
      [...ids].filter((__, i) => weights[i]),
      { skipSpecialTokens: false },
    );
  };
  expect(await learnedText("last")).toBe("C<|im_end|>");
  expect(await learnedText("all")).toMatch(/^<\|im_start\|>system/);
  const open = { messages: [...messages, { role: "user", content: "More?" }] };
  expect((await conversationTokens(open, writer)).ids).toEqual((await conversationTokens({ messages }, writer)).ids);
});

test("a template that changes earlier answers cannot be learned in all turns without tags, and a talk without answers not at all", async () => {
  const writer = conversationWriter(tokenizer, withoutTags(templates.thinking));
  const { messages } = cases.filter(({ template }) => template === "thinking")[2];
  await expect(conversationTokens({ messages }, writer)).rejects.toThrow(/writes it in another way.*learned: last/s);
  const { weights } = await conversationTokens({ messages }, writer, "last");
  expect(weights).toContain(1);
  await expect(conversationTokens({ messages: messages.slice(0, 1) }, writer)).rejects.toThrow(
    /a message of the assistant; received the roles user/,
  );
});
