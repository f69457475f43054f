/** Anthropic's API, translated to what the server does for OpenAI's. */
import type { Job } from "../answer.ts";
import { chatJob, chatPrompt } from "../choices.ts";
import { inWordsOf } from "../errors.ts";
import type { ChatRequest } from "../requests.ts";
import type { Service } from "../service.ts";
import { thoughtVariables } from "../thoughts.ts";
import { chatMessages } from "./messages.ts";
import {
  formatOf,
  type PromptRequest,
  readCountRequest,
  readMessagesRequest,
  thinkingOf,
  toolChoiceOf,
  toolsOf,
} from "./requests.ts";
import { messageShapes } from "./shapes.ts";

export { anthropicError } from "./shapes.ts";

/** What POST /v1/messages asks for. @throws RequestError naming the field that is wrong */
export async function messagesJob(
  service: Service,
  json: unknown,
  signal: AbortSignal,
): Promise<{ isStreamed?: boolean; job: Job }> {
  const request = readMessagesRequest(json);
  const { stream: isStreamed, stop_sequences: stopSequences = [] } = request;
  const chat = {
    ...chatRequest(service, request),
    max_tokens: request.max_tokens,
    stop: stopSequences,
    temperature: request.temperature,
    top_p: request.top_p,
    top_k: request.top_k,
  };
  // the input of a call in a whole answer is an object: a call that is cut has none
  const job = await inAnthropicsWords(chatJob(service, chat, signal, { wholeCalls: !isStreamed }));
  const { promptTokens } = job;
  return {
    isStreamed,
    job: {
      ...job,
      usage: { includeUsage: true, continuousUsage: false },
      shapes: () => messageShapes({ model: service.nameOf(request.model), promptTokens, stopSequences }),
    },
  };
}

/** POST /v1/messages/count_tokens. @throws RequestError naming the field that is wrong */
export async function countedTokens(service: Service, json: unknown, signal: AbortSignal): Promise<object> {
  const request = readCountRequest(json);
  const prompt = (async () => chatPrompt(service, chatRequest(service, request)))();
  return { input_tokens: await service.countTokens(await inAnthropicsWords(prompt), signal) };
}

/** The request that OpenAI's clients would make. */
function chatRequest(service: Service, request: PromptRequest): ChatRequest {
  const thinking = thinkingOf(request);
  return {
    model: request.model,
    messages: chatMessages(request.system, request.messages),
    tools: toolsOf(request),
    ...toolChoiceOf(request),
    response_format: formatOf(request),
    ...(thinking && { chat_template_kwargs: thoughtVariables(service, thinking.isOn, "thinking") }),
    thinking_token_budget: thinking?.budget,
    usage: { includeUsage: true, continuousUsage: false },
  };
}

/** Names fields of tools and forms as Anthropic does. */
const inAnthropicsWords = <T>(work: Promise<T>): Promise<T> =>
  inWordsOf(work, (text) =>
    text
      .replace(/\bresponse_format\.json_schema\b/g, "output_config.format")
      .replace(/(tools\[\d+\])\.function\.parameters/g, "$1.input_schema")
      .replace(/(tools\[\d+\]|tool_choice)\.function\b/g, "$1"),
  );
