/** Templates of language models that come to write pictures, and those that do already. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { chatFormat, type MixedMessage, Tokenizer } from "../../tokenizers/index.ts";
import { messageFor, pictureFormat, withImageToken } from "./template.ts";

const golden = fileURLToPath(new URL("../../../golden/", import.meta.url));
const START = "<|endoftext|>";
const open = async (chat_template?: string, parts: object = {}) => {
  const plain = await Tokenizer.open(`${golden}tokenizers/bpe-600.tokenizer.json`);
  const config = { bos_token: "<|endoftext|>", eos_token: "<|endoftext|>", ...(chat_template && { chat_template }) };
  return Tokenizer.fromJson({ ...plain.toJson(), ...parts }, config);
};
const talk = (content: MixedMessage["content"]): MixedMessage[] => [
  { role: "user", content },
  { role: "assistant", content: "a whale" },
  { role: "user", content: "sure?" },
];
const picture = { type: "image" };
const question = { type: "text", text: "what is it?" };

test.each(["chatml", "deepseek", "gemma", "llama2", "llama3", "mistral", "phi3", "qwen2", "zephyr", "generation"])(
  "%s: texts as before, and a line with the token for each picture",
  async (name) => {
    const tokenizer = await open(readFileSync(`${golden}chat-templates/${name}.jinja`, "utf8"));
    const pictured = await withImageToken(tokenizer);
    expect(pictured.vocabSize).toBe(tokenizer.vocabSize + 1);
    const id = pictured.tokenToId("<image>") as number;
    const format = await pictureFormat(pictured, id);
    const before = chatFormat(tokenizer.chatTemplate, tokenizer);
    const now = new Date(0);
    expect(format?.format.render(talk("what is it?"), { now })).toBe(before.render(talk("what is it?"), { now }));
    const two = format?.format.render(talk([picture, question, picture]), { now });
    const [a, b] = ["first picture", "second picture"];
    const marked = before.render(talk(`${a}\nwhat is it?${b}\n`), { now });
    // some templates trim messages
    expect(two?.replace("<image>", a).replace("<image>", b)).toBe(marked);
    // what people write is no picture
    const ids = await pictured.encode(two ?? "");
    expect(ids.filter((each) => each === id)).toHaveLength(2);
    expect(await withImageToken(pictured)).toBe(pictured);
  },
);

test("a tokenizer without a template gets that of LLaVA 1.5", async () => {
  const pictured = await withImageToken(await open());
  const format = chatFormat(pictured.chatTemplate, pictured);
  expect(format.render(talk([picture, question]))).toBe(
    "<|endoftext|>USER: <image>\nwhat is it? ASSISTANT: a whale<|endoftext|>USER: sure? ASSISTANT:",
  );
});

test("llava-hf's template takes lists of parts alone", async () => {
  const parts = (type: string) => `message['content'] | selectattr('type', 'equalto', '${type}')`;
  const template =
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': '}}{% endif %}" +
    `{% for content in ${parts("image")} %}{{ '<image>\n' }}{% endfor %}` +
    `{% for content in ${parts("text")} %}{{ content['text'] + ' '}}{% endfor %}{% endfor %}` +
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}";
  const tokenizer = await withImageToken(await open());
  const json = tokenizer.toJson();
  const opened = await Tokenizer.fromJson(json, { ...tokenizer.configToJson(), chat_template: template });
  const format = await pictureFormat(opened, tokenizer.tokenToId("<image>") as number);
  expect(format?.takesPartsOnly).toBe(true);
  const messages = talk([picture, question]).map((message) => messageFor(message, { takesPartsOnly: true }));
  expect(format?.format.render(messages)).toBe("USER: <image>\nwhat is it? ASSISTANT: a whale USER: sure? ASSISTANT:");
  expect(await withImageToken(opened)).toBe(opened);
});

test("a token that the tokenizer puts in front of texts is the template's, once", async () => {
  const frame = (...texts: string[]) => [
    { SpecialToken: { id: START, type_id: 0 } },
    ...texts.map((id) => ({ Sequence: { id, type_id: 0 } })),
  ];
  const plain = await open();
  const ids = [plain.tokenToId(START)];
  const post_processor = {
    type: "TemplateProcessing",
    single: frame("A"),
    pair: frame("A", "B"),
    special_tokens: { [START]: { id: START, ids, tokens: [START] } },
  };
  for (const name of ["zephyr", "llama2"]) {
    const template = readFileSync(`${golden}chat-templates/${name}.jinja`, "utf8");
    const pictured = await withImageToken(await open(template, { post_processor }));
    const text = chatFormat(pictured.chatTemplate, pictured).render([{ role: "user", content: [picture, question] }]);
    expect(text.split(START)[0]).toBe("");
    expect(text.startsWith(START + START)).toBe(false);
    expect(await withImageToken(pictured)).toBe(pictured);
  }
});
