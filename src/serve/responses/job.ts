import type { Job } from "../answer.ts";
import { chatJob, chatPrompt } from "../choices.ts";
import { inWordsOf, RequestError } from "../errors.ts";
import type { ChatRequest } from "../requests.ts";
import type { Service } from "../service.ts";
import { chatMessages, checkCalls, type Item, readItems } from "./items.ts";
import { OutputWriter } from "./output.ts";
import {
  chatToolChoice,
  chatTools,
  type PromptRequest,
  type ResponseRequest,
  readInputTokensRequest,
  responseFormat,
  templateVariables,
  textFormatOf,
  toolsOf,
} from "./requests.ts";
import { begunResponse, type ResponseObject, responseShapes } from "./shapes.ts";
import type { ResponseStore, StoredResponse } from "./store.ts";

/** A response that is to be written. */
export interface PlannedResponse {
  job: Job;
  /** As long as nothing of it is written. */
  response: ResponseObject;
  stored: StoredResponse;
}

interface PlanOptions {
  service: Service;
  store: ResponseStore;
  owner: string;
  signal: AbortSignal;
  /** Called with its last state, before that is sent. */
  keep: (planned: StoredResponse) => void;
}

/** What POST /v1/responses asks for. @throws RequestError naming the field that is wrong */
export async function planResponse(
  request: ResponseRequest,
  { service, store, owner, signal, keep }: PlanOptions,
): Promise<PlannedResponse> {
  const { input, context } = conversation(request, store, owner);
  const tools = toolsOf(request);
  const format = textFormatOf(request);
  const settings = {
    max_tokens: request.max_output_tokens,
    temperature: request.temperature,
    top_p: request.top_p,
    priority: request.priority,
    ...(request.include?.length && { logprobs: true, top_logprobs: request.top_logprobs ?? 0 }),
  };
  const written = (items: readonly Item[]) =>
    inResponsesWords(chatJob(service, { ...settings, ...chatRequest(service, request, items) }, signal));
  const all = [...context, ...input];
  const job = request.truncation === "auto" ? await shortened(all, written) : await written(all);
  const response = begunResponse({ model: service.model.id, request, tools, format });
  const stored = { owner, response, input, context };
  const shapes = () =>
    responseShapes({
      response,
      writer: new OutputWriter(service.logprobShapes),
      keep: (last) => request.store !== false && keep({ ...stored, response: last }),
    });
  return { job: { ...job, usage: { includeUsage: true, continuousUsage: false }, shapes }, response, stored };
}

/** POST /v1/responses/input_tokens. @throws RequestError naming the field that is wrong */
export async function inputTokens(
  json: unknown,
  { service, store, owner, signal }: Omit<PlanOptions, "keep">,
): Promise<object> {
  const request = readInputTokensRequest(json);
  const { input, context } = conversation(request, store, owner);
  const prompt = (async () => chatPrompt(service, chatRequest(service, request, [...context, ...input])))();
  const tokens = await service.countTokens(await inResponsesWords(prompt), signal);
  return { object: "response.input_tokens", input_tokens: tokens };
}

/** The items of a request, and those of the responses before it. */
function conversation(
  { input, previous_response_id: id }: PromptRequest,
  store: ResponseStore,
  owner: string,
): { input: Item[]; context: readonly Item[] } {
  const before = id === undefined ? undefined : store.previous(owner, id);
  const context = before ? [...before.context, ...before.input, ...(before.response.output as Item[])] : [];
  const items = readItems(input, (name) => store.item(owner, name));
  checkCalls([...context, ...items]);
  return { input: items, context };
}

/** The request that clients of chats would make. */
function chatRequest(service: Service, request: PromptRequest, items: readonly Item[]): ChatRequest {
  const tools = toolsOf(request);
  return {
    messages: chatMessages(request.instructions, items),
    ...(tools.length > 0 && { tools: chatTools(tools) }),
    tool_choice: chatToolChoice(request),
    parallel_tool_calls: request.parallel_tool_calls,
    response_format: responseFormat(textFormatOf(request)),
    chat_template_kwargs: templateVariables(service, request),
    usage: { includeUsage: true, continuousUsage: false },
  };
}

/**
 * What is written after as much of a conversation as the context has room for. It is cut before a message of the user,
 * so that calls keep their results; what the system says stays.
 */
async function shortened(items: readonly Item[], written: (items: readonly Item[]) => Promise<Job>): Promise<Job> {
  const isSystem = (item: Item) => item.type === "message" && (item.role === "system" || item.role === "developer");
  const cuts = items.flatMap((item, i) => (i > 0 && item.type === "message" && item.role === "user" ? [i] : []));
  const from = (cut: number) => written(items.filter((item, i) => i >= cut || isSystem(item)));
  try {
    return await from(0);
  } catch (error) {
    if (!isTooLong(error) || cuts.length === 0) throw error;
  }
  // the first cut that is enough, between one that is known to be too early and the last
  let [early, late] = [0, cuts.length - 1];
  let job = await from(cuts[late]);
  while (early < late) {
    const middle = (early + late) >> 1;
    try {
      job = await from(cuts[middle]);
      late = middle;
    } catch (error) {
      if (!isTooLong(error)) throw error;
      early = middle + 1;
    }
  }
  return job;
}

const isTooLong = (error: unknown) =>
  error instanceof RequestError && error.body.error.code === "context_length_exceeded";

/** Names fields as this endpoint does. */
const inResponsesWords = <T>(work: Promise<T>): Promise<T> =>
  inWordsOf(work, (text) =>
    text
      .replace(/(tools\[\d+\]|tool_choice)\.function\b/g, "$1")
      .replace(/tool_choice\.allowed_tools\b/g, "tool_choice")
      .replace(/\bresponse_format(\.json_schema)?/g, "text.format")
      .replace(/\bmessages\b/g, "input"),
  );
