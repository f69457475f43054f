import type { TextOptions } from "../../generate/index.ts";
import type { Job } from "../answer.ts";
import { chatJob, completionJob } from "../choices.ts";
import { inWordsOf } from "../errors.ts";
import { invalid } from "../fields.ts";
import type { ChatRequest } from "../requests.ts";
import type { Service } from "../service.ts";
import { effortVariables, thoughtVariables } from "../thoughts.ts";
import { chatMessages, withImages } from "./messages.ts";
import { modelNameOf } from "./models.ts";
import {
  commonRequest,
  type OllamaChatRequest,
  type OllamaGenerateRequest,
  readOllamaChat,
  readOllamaGenerate,
} from "./requests.ts";
import { type Endpoint, loadedAnswer, ollamaShapes } from "./shapes.ts";

/** What is to be answered, or an answer that needs no model. */
export type OllamaAnswer = { isStreamed: boolean; job: Job } | { answer: object };

/**
 * What POST /api/chat asks for.
 * @param isLeaving whether the model goes when nobody uses it any more
 * @throws RequestError naming the field that is wrong
 */
export async function ollamaChat(
  service: Service,
  json: unknown,
  signal: AbortSignal,
  isLeaving: boolean,
): Promise<OllamaAnswer> {
  const start = performance.now();
  const request = readOllamaChat(json);
  checkRequest(service, request);
  const { messages = [], stream: isStreamed = true } = request;
  if (messages.length === 0) return { answer: loadedAnswer("chat", service.model.id, isLeaving) };
  const chat = { ...chatRequest(service, request), messages: chatMessages(messages), tools: request.tools };
  const job = await inOllamasWords(chatJob(service, chat, signal, { wholeCalls: true }));
  return { isStreamed, job: ollamaJob(service, job, request, { endpoint: "chat", start }) };
}

/**
 * What POST /api/generate asks for.
 * @param isLeaving whether the model goes when nobody uses it any more
 * @throws RequestError naming the field that is wrong
 */
export async function ollamaGenerate(
  service: Service,
  json: unknown,
  signal: AbortSignal,
  isLeaving: boolean,
): Promise<OllamaAnswer> {
  const start = performance.now();
  const request = readOllamaGenerate(json);
  checkRequest(service, request);
  const { prompt = "", stream: isStreamed = true } = request;
  if (prompt === "") return { answer: loadedAnswer("generate", service.model.id, isLeaving) };
  const job = await inOllamasWords(
    request.raw
      ? rawJob(service, request, prompt, signal)
      : chatJob(service, promptRequest(service, request, prompt), signal),
  );
  return { isStreamed, job: ollamaJob(service, job, request, { endpoint: "generate", start }) };
}

/** Names fields as Ollama does. */
const inOllamasWords = <T>(work: Promise<T>): Promise<T> =>
  inWordsOf(work, (text) => text.replace(/\bstructured_outputs(\.json(_object)?)?/g, "format"));

function checkRequest(service: Service, { options }: OllamaChatRequest | OllamaGenerateRequest): void {
  const { num_ctx: asked } = options;
  if (asked !== undefined && asked > service.contextLength)
    throw invalid("options.num_ctx", `at most the ${service.contextLength} tokens of this model's context`, asked);
}

/** The name of the model, or of an adapter, without Ollama's tag. */
const askedIn = ({ model }: OllamaChatRequest | OllamaGenerateRequest): string | undefined =>
  model && modelNameOf(model);

/** The request that OpenAI's clients would make. */
function chatRequest(
  service: Service,
  request: OllamaChatRequest | OllamaGenerateRequest,
): Omit<ChatRequest, "messages"> {
  const { think } = request;
  return {
    ...commonRequest(request),
    model: askedIn(request),
    logprobs: request.logprobs,
    top_logprobs: request.top_logprobs,
    ...(think !== undefined && { chat_template_kwargs: thinkVariables(service, think) }),
  };
}

/** How hard a model thinks some templates write into the prompt. @throws RequestError where this one does not */
const thinkVariables = (service: Service, think: boolean | string): Readonly<Record<string, unknown>> =>
  typeof think === "boolean" ? thoughtVariables(service, think, "think") : effortVariables(service, think, "think");

function promptRequest(service: Service, request: OllamaGenerateRequest, prompt: string): ChatRequest {
  const { system = "", images = [] } = request;
  const content = withImages(prompt, images, "images");
  const messages = [...(system ? [{ role: "system", content: system }] : []), { role: "user", content }];
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
  const common = { ...commonRequest(request), model: askedIn(request) };
  const job = withoutEnds(await completionJob(service, { ...common, prompt, logprobs }, signal));
  if (common.max_tokens !== undefined) return job;
  const room = service.contextLength - job.promptTokens;
  return withOptions(job, { maxNewTokens: room });
}

/** Ollama tells of no token that ends a text. */
const withoutEnds = (job: Job): Job => ({
  ...job,
  choices: job.choices.map((choice) => ({ ...choice, tellsEnd: false })),
});

const withOptions = (job: Job, more: TextOptions): Job => ({
  ...job,
  choices: job.choices.map((choice) => ({ ...choice, options: { ...choice.options, ...more } })),
});

function ollamaJob(
  service: Service,
  job: Job,
  request: OllamaChatRequest | OllamaGenerateRequest,
  { endpoint, start }: { endpoint: Endpoint; start: number },
): Job {
  const { mirostat, mirostat_tau: mirostatTau, mirostat_eta: mirostatEta } = request.options;
  const model = service.nameOf(askedIn(request));
  const { logprobShapes: logprobs } = service;
  // mirostat decides by itself how many tokens are left, as in llama.cpp
  const noLimits = { topK: undefined, topP: undefined, minP: undefined, typicalP: undefined };
  const changed = mirostat ? withOptions(job, { ...noLimits, mirostat, mirostatTau, mirostatEta }) : job;
  return {
    ...changed,
    contentType: "application/x-ndjson",
    shapes: () => ollamaShapes({ endpoint, model, start, logprobs }),
  };
}
