/** One answer: what is asked for it, and what of a stream becomes which part of a message. */
import { streamed, tokenized } from "./client.mjs";
import { requestMessages } from "./conversation.mjs";
import { probabilitiesOf, samplingOf, toolsOf } from "./settings.mjs";

/** @import { Model } from "./client.mjs" */
/** @import { Conversation, Message, Settings, Stats, Token } from "./conversation.mjs" */

/** Tokens of a text that is gone on with, unless the reader says otherwise; half of a shorter context. */
const CONTINUED_TOKENS = 200;

/**
 * Writes the answer to a path of messages into the last of them.
 * @param {Conversation} conversation
 * @param {readonly Message[]} path The last one is the answer; it may have begun.
 * @param {{ model: Model, signal: AbortSignal, onChange: () => void }} options
 */
export async function writeAnswer(conversation, path, { model, signal, onChange }) {
  const { settings, mode } = conversation;
  const answer = path[path.length - 1];
  const earlier = path.slice(0, -1);
  const started = performance.now();
  /** @type {Stats} */
  const stats = { completionTokens: 0, firstTokenMs: 0, totalMs: 0 };
  const isContinued = mode === "text" || answer.content !== "";
  const reader = new DeltaReader(answer);
  const { url, body } = isContinued
    ? await (mode === "text"
        ? textBody(settings, path, model.contextLength)
        : continuation(settings, earlier, { model: model.id, answer, signal }))
    : { url: "/v1/chat/completions", body: chatBody(settings, earlier) };
  // all tokens of an answer, or none
  if (!settings.showsProbabilities) delete answer.tokens;
  else if (answer.content === "") answer.tokens = [];
  try {
    for await (const { choices, usage, model: writer } of streamed(url, { model: model.id, ...body }, signal)) {
      if (usage) {
        stats.promptTokens = usage.prompt_tokens;
        stats.completionTokens = usage.completion_tokens;
      }
      const [choice] = choices ?? [];
      if (writer) answer.model = writer;
      if (!choice) continue;
      if (reader.read(choice)) stats.firstTokenMs ||= performance.now() - started;
      stats.totalMs = performance.now() - started;
      answer.stats = stats;
      if (choice.finish_reason) answer.ending = choice.finish_reason;
      onChange();
    }
  } finally {
    if (answer.stats) answer.stats.totalMs = performance.now() - started;
  }
}

/** @param {Settings} settings */
const commonBody = (settings) => ({
  ...samplingOf(settings),
  stream: true,
  stream_options: { include_usage: true, continuous_usage_stats: true },
});

/** @param {Settings} settings @param {readonly Message[]} path */
function chatBody(settings, path) {
  const tools = toolsOf(settings.tools);
  return {
    ...commonBody(settings),
    ...probabilitiesOf(settings, "chat"),
    ...(tools.length > 0 && { tools }),
    messages: requestMessages(path, settings.system),
  };
}

/** @param {Settings} settings @param {readonly Message[]} path @param {number} [contextLength] */
function textBody(settings, path, contextLength = Infinity) {
  const most = Math.max(1, Math.min(CONTINUED_TOKENS, Math.floor(contextLength / 2)));
  const prompt = path.map(({ content }) => content).join("");
  const body = { max_tokens: most, ...commonBody(settings), ...probabilitiesOf(settings, "text"), prompt };
  return { url: "/v1/completions", body };
}

/**
 * A begun answer that goes on, behind the messages as the template renders them.
 * @param {Settings} settings
 * @param {readonly Message[]} earlier
 * @param {{ model: string, answer: Message, signal: AbortSignal }} options
 */
async function continuation(settings, earlier, { model, answer, signal }) {
  const tools = toolsOf(settings.tools);
  const messages = requestMessages(earlier, settings.system);
  const [before, begun] = await Promise.all([
    tokenized({ model, messages, ...(tools.length > 0 && { tools }) }, signal),
    tokenized({ model, prompt: answer.content, add_special_tokens: false }, signal),
  ]);
  const prompt = [...before.tokens, ...begun.tokens];
  const room = Math.max(1, before.max_model_len - prompt.length);
  return {
    url: "/v1/completions",
    body: { max_tokens: room, ...commonBody(settings), ...probabilitiesOf(settings, "text"), prompt },
  };
}

/** Puts the pieces of a stream together in a message. */
class DeltaReader {
  /** @param {Message} answer */
  constructor(answer) {
    this.answer = answer;
    /** Tokens may be parts of a character. */
    this.decoder = new TextDecoder();
  }

  /** Whether the piece brought anything. @param {Record<string, any>} choice */
  read({ text, delta = {}, logprobs }) {
    const { answer } = this;
    const content = text ?? delta.content ?? "";
    const reasoning = delta.reasoning_content ?? delta.reasoning ?? "";
    answer.content += content;
    if (reasoning) answer.reasoning = (answer.reasoning ?? "") + reasoning;
    for (const call of delta.tool_calls ?? []) this.readCall(call);
    if (logprobs && answer.tokens) answer.tokens.push(...tokensOf(logprobs, this.decoder));
    return Boolean(content || reasoning || delta.tool_calls);
  }

  /** @param {Record<string, any>} call */
  readCall({ index = 0, id, function: called = {} }) {
    this.answer.toolCalls ??= [];
    const calls = this.answer.toolCalls;
    calls[index] ??= { id: id ?? `call_${index}`, name: "", arguments: "" };
    calls[index].name += called.name ?? "";
    calls[index].arguments += called.arguments ?? "";
  }
}

/**
 * Both forms of OpenAI's API: a list of tokens in a chat, lists beside one another in a completion.
 * @param {Record<string, any>} logprobs
 * @param {TextDecoder} decoder
 * @returns {Token[]}
 */
function tokensOf({ content, tokens, token_logprobs: values, top_logprobs: tops }, decoder) {
  if (content)
    return content.map((/** @type {Record<string, any>} */ { token, logprob, bytes, top_logprobs: top }) => ({
      text: bytes ? decoder.decode(new Uint8Array(bytes), { stream: true }) : token,
      logprob,
      top: top.map((/** @type {Record<string, any>} */ other) => ({ text: other.token, logprob: other.logprob })),
    }));
  return (tokens ?? []).map((/** @type {string} */ text, /** @type {number} */ i) => ({
    text,
    logprob: values[i] ?? 0,
    top: Object.entries(tops?.[i] ?? {}).map(([other, logprob]) => ({ text: other, logprob })),
  }));
}
