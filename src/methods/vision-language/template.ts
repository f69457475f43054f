/** Chat templates that write a token where a message has a picture. */
import { KindlingError } from "../../base/index.ts";
import {
  type ChatFormat,
  chatFormat,
  encodePrompt,
  type MixedMessage,
  startToken,
  Tokenizer,
} from "../../tokenizers/index.ts";

/** What stands for a picture in LLaVA's files and in the texts of its models. */
export const IMAGE = "<image>";

/**
 * That of LLaVA 1.5, which is Vicuna's: for language models without one. arXiv:2310.03744, section 3.
 * @param end the token that ends an answer
 */
const vicuna = (end: string) =>
  "{{ bos_token }}{% for message in messages %}{% if message.role == 'system' %}{{ message.content }} " +
  "{% elif message.role == 'user' %}USER: {{ message.content }} " +
  `{% else %}ASSISTANT: {{ message.content }}${end}{% endif %}{% endfor %}` +
  "{% if add_generation_prompt %}ASSISTANT:{% endif %}";

/** How a template takes the content of messages. */
export interface PictureFormat {
  format: ChatFormat;
  /** Messages without pictures are lists of parts too. */
  takesPartsOnly: boolean;
}

/** A message as the template takes it; of pictures it sees that there is one. */
export function messageFor(
  message: MixedMessage,
  { takesPartsOnly }: Pick<PictureFormat, "takesPartsOnly">,
): MixedMessage {
  const { content } = message;
  if (content === null || typeof content === "string")
    return takesPartsOnly ? { ...message, content: [{ type: "text", text: content ?? "" }] } : message;
  if (takesPartsOnly || content.some(({ type }) => type === "image")) return message;
  return { ...message, content: content.map(({ text }) => text ?? "").join("") };
}

/**
 * How a tokenizer's template takes messages with pictures: undefined where it does not write one image token for a
 * picture, with the texts beside it.
 */
export async function pictureFormat(tokenizer: Tokenizer, imageTokenId: number): Promise<PictureFormat | undefined> {
  if (tokenizer.chatTemplate === undefined) return undefined;
  const format = chatFormat(tokenizer.chatTemplate, tokenizer);
  const [question, answer] = ["what", "this"];
  const messages: MixedMessage[] = [
    { role: "user", content: [{ type: "image" }, { type: "text", text: question }] },
    { role: "assistant", content: answer },
  ];
  for (const takesPartsOnly of [false, true]) {
    const text = rendered(
      format,
      messages.map((message) => messageFor(message, { takesPartsOnly })),
    );
    if (text === undefined) continue;
    const places = (await encodePrompt(tokenizer, text, { addSpecialTokens: false })).filter(
      (id) => id === imageTokenId,
    );
    const isShown = text.includes(question) && text.includes(answer) && !/['"]type['"]/.test(text);
    if (places.length === 1 && isShown) return { format, takesPartsOnly };
  }
  return undefined;
}

function rendered(format: ChatFormat, messages: readonly MixedMessage[]): string | undefined {
  try {
    return format.render(messages, { addGenerationPrompt: false });
  } catch (error) {
    if (error instanceof KindlingError) return undefined;
    throw error;
  }
}

/** A template for texts alone, in front of which pictures become a line with the image token. */
function withPictures(template: string, imageToken: string = IMAGE): string {
  const picture = JSON.stringify(`${imageToken}\n`).replaceAll("'", "\\'").slice(1, -1);
  return (
    "{% set pictured = namespace(messages=[], text='') %}{% for message in messages %}" +
    "{% if message.content is defined and message.content is iterable and message.content is not string %}" +
    "{% set pictured.text = '' %}{% for part in message.content %}" +
    `{% if part.type == 'image' %}{% set pictured.text = pictured.text + '${picture}' %}` +
    "{% elif part.type == 'text' %}{% set pictured.text = pictured.text + part.text %}{% endif %}{% endfor %}" +
    "{% set pictured.messages = pictured.messages + [{'role': message.role, 'content': pictured.text}] %}" +
    "{% else %}{% set pictured.messages = pictured.messages + [message] %}{% endif %}{% endfor %}" +
    `{% set messages = pictured.messages %}${template}`
  );
}

/**
 * A tokenizer with a token for pictures, the last one where it has none, and a template that writes it. Where the
 * tokenizer puts a token in front of texts, the template writes that too: processors of transformers put it there.
 * @param imageTokenId of a model that has one already
 */
export async function withImageToken(tokenizer: Tokenizer, imageTokenId?: number): Promise<Tokenizer> {
  const imageToken = (imageTokenId === undefined ? null : tokenizer.idToToken(imageTokenId)) ?? IMAGE;
  const id = tokenizer.tokenToId(imageToken);
  const isSpecial = id !== null && tokenizer.specialTexts.includes(imageToken);
  if (isSpecial && (await pictureFormat(tokenizer, id))) return withStart(tokenizer);
  const json = tokenizer.toJson();
  const others = (json.added_tokens as { content: string }[]).filter(({ content }) => content !== imageToken);
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const added = [...others, { id: id ?? tokenizer.vocabSize, content: imageToken, ...flags }];
  const { chatTemplate = vicuna(endOf(tokenizer)) } = tokenizer;
  const template = withPictures(chatTemplate, imageToken);
  return withStart(await withTemplate(tokenizer, template, { ...json, added_tokens: added }));
}

/** The tokenizer with a template that begins with the token that it puts in front of texts, if it does. */
async function withStart(tokenizer: Tokenizer): Promise<Tokenizer> {
  const { chatTemplate = "" } = tokenizer;
  const start = await startToken(tokenizer);
  if (start === undefined) return tokenizer;
  const format = chatFormat(chatTemplate, tokenizer);
  const texts = [false, true].map((takesPartsOnly) =>
    rendered(format, [messageFor({ role: "user", content: "a" }, { takesPartsOnly })]),
  );
  if (texts.some((text) => text?.startsWith(start))) return tokenizer;
  return withTemplate(tokenizer, `{{ bos_token }}${chatTemplate}`);
}

/** The tokenizer with another template, in place of the one named default. */
function withTemplate(tokenizer: Tokenizer, template: string, json = tokenizer.toJson()): Promise<Tokenizer> {
  const templates = new Map(tokenizer.chatTemplates).set("default", template);
  const chat_template = [...templates].map(([name, each]) => ({ name, template: each }));
  return Tokenizer.fromJson(json, { ...tokenizer.configToJson(), chat_template });
}

function endOf(tokenizer: Tokenizer): string {
  const { endOfTextId } = tokenizer;
  return (endOfTextId === null ? null : tokenizer.idToToken(endOfTextId)) ?? "";
}
