import type { TextOptions } from "../../generate/index.ts";
import type { Job } from "../answer.ts";
import { chatJob, completionJob } from "../choices.ts";
import { invalid } from "../fields.ts";
import type { ChatRequest } from "../requests.ts";
import type { Service } from "../service.ts";
import { thoughtVariables } from "../thoughts.ts";
import { keepAliveMs } from "./keep-alive.ts";
import { chatMessages } from "./messages.ts";
import {
  commonRequest,
  type OllamaChatRequest,
  type OllamaGenerateRequest,
  type Options,
  readOllamaChat,
  readOllamaGenerate,
} from "./requests.ts";
import { type Endpoint, loadedAnswer, ollamaShapes } from "./shapes.ts";

/** What is to be answered, or an answer that needs no model. */
export type OllamaAnswer = { isStreamed: boolean; job: Job } | { answer: object };

/** What POST /api/chat asks for. @throws RequestError naming the field that is wrong */
export async function ollamaChat(service: Service, json: unknown, signal: AbortSignal): Promise<OllamaAnswer> {
  const start = performance.now();
  const request = readOllamaChat(json);
  checkRequest(service, request);
  const { messages = [], stream: isStreamed = true } = request;
  if (messages.length === 0) return { answer: loadedAnswer("chat", service.model.id, keepAliveMs(request.keep_alive)) };
  const chat = { ...chatRequest(service, request), messages: chatMessages(messages), tools: request.tools };
  const job = await chatJob(service, chat, signal, { wholeCalls: true });
  return { isStreamed, job: ollamaJob(service, job, request.options, { endpoint: "chat", start }) };
}

/** What POST /api/generate asks for. @throws RequestError naming the field that is wrong */
export async function ollamaGenerate(service: Service, json: unknown, signal: AbortSignal): Promise<OllamaAnswer> {
  const start = performance.now();
  const request = readOllamaGenerate(json);
  checkRequest(service, request);
  const { prompt = "", stream: isStreamed = true } = request;
  if (prompt === "") return { answer: loadedAnswer("generate", service.model.id, keepAliveMs(request.keep_alive)) };
  const job = request.raw
    ? await rawJob(service, request, prompt, signal)
    : await chatJob(service, promptRequest(service, request, prompt), signal);
  return { isStreamed, job: ollamaJob(service, job, request.options, { endpoint: "generate", start }) };
}

function checkRequest(service: Service, { options }: OllamaChatRequest | OllamaGenerateRequest): void {
  const { num_ctx: asked } = options;
  if (asked !== undefined && asked > service.contextLength)
    throw invalid("options.num_ctx", `at most the ${service.contextLength} tokens of this model's context`, asked);
}

/** The request that OpenAI's clients would make. */
function chatRequest(
  service: Service,
  request: OllamaChatRequest | OllamaGenerateRequest,
): Omit<ChatRequest, "messages"> {
  const { think } = request;
  return {
    ...commonRequest(request),
    logprobs: request.logprobs,
    top_logprobs: request.top_logprobs,
    ...(think !== undefined && { chat_template_kwargs: thinkVariables(service, think) }),
  };
}

/** How hard a model thinks some templates write into the prompt. @throws RequestError where this one does not */
function thinkVariables(service: Service, think: boolean | string): Readonly<Record<string, unknown>> {
  if (typeof think === "boolean") return thoughtVariables(service, think, "think");
  if (!service.chatTemplate?.includes("reasoning_effort"))
    throw invalid("think", "true or false: the template of this model has no levels", think);
  return { ...thoughtVariables(service, true, "think"), reasoning_effort: think };
}

function promptRequest(service: Service, request: OllamaGenerateRequest, prompt: string): ChatRequest {
  const { system = "" } = request;
  const messages = [...(system ? [{ role: "system", content: system }] : []), { role: "user", content: prompt }];
  return { ...chatRequest(service, request), messages };
}

/** A prompt without a template. */
async function rawJob(
  service: Service,
  request: OllamaGenerateRequest,
  prompt: string,
  signal: AbortSignal,
): Promise<Job> {
  const logprobs = request.logprobs ? (request.top_logprobs ?? 0) : undefined;
  const common = commonRequest(request);
  const job = await completionJob(service, { ...common, prompt, logprobs }, signal);
  if (common.max_tokens !== undefined) return job;
  const room = service.contextLength - job.promptTokens;
  return withOptions(job, { maxNewTokens: room });
}

const withOptions = (job: Job, more: TextOptions): Job => ({
  ...job,
  choices: job.choices.map((choice) => ({ ...choice, options: { ...choice.options, ...more } })),
});

function ollamaJob(
  { model, logprobShapes: logprobs }: Service,
  job: Job,
  { mirostat, mirostat_tau: mirostatTau, mirostat_eta: mirostatEta }: Options,
  { endpoint, start }: { endpoint: Endpoint; start: number },
): Job {
  // mirostat decides by itself how many tokens are left, as in llama.cpp
  const noLimits = { topK: undefined, topP: undefined, minP: undefined, typicalP: undefined };
  const changed = mirostat ? withOptions(job, { ...noLimits, mirostat, mirostatTau, mirostatEta }) : job;
  return {
    ...changed,
    contentType: "application/x-ndjson",
    shapes: () => ollamaShapes({ endpoint, model: model.id, start, logprobs }),
  };
}
