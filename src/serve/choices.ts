import { randomUUID } from "node:crypto";
import type { TextOptions } from "../generate/index.ts";
import type { Choice, Job } from "./answer.ts";
import { templateMessages } from "./messages.ts";
import type { ChatRequest, CommonRequest, CompletionRequest } from "./requests.ts";
import type { ServedModel, Service } from "./service.ts";
import { chatShapes, completionShapes } from "./shapes.ts";

/** OpenAI's default of the older endpoint. */
const DEFAULT_COMPLETION_TOKENS = 16;

/** What POST /v1/completions asks for. @throws RequestError for what cannot be given */
export async function completionJob(service: Service, request: CompletionRequest, signal: AbortSignal): Promise<Job> {
  const { model, contextLength } = service;
  const { max_tokens: maxTokens, n: answers = 1 } = request;
  const prompts = await service.promptIds(
    request.prompt,
    { maxTokens, answers, addSpecialTokens: true, param: "prompt" },
    signal,
  );
  const texts = typeof request.prompt === "string" ? [request.prompt] : request.prompt;
  const echoes = await Promise.all(
    prompts.map(async (ids, i) => {
      if (!request.echo) return "";
      const text = texts[i];
      return typeof text === "string" ? text : model.tokenizer.decode(ids);
    }),
  );
  const choices = prompts.flatMap((prompt, i) => {
    const maxNewTokens = maxTokens ?? Math.min(DEFAULT_COMPLETION_TOKENS, contextLength - prompt.length);
    return choicesOf(prompt, textOptions(model, request, maxNewTokens, []), answers).map(
      (choice): Omit<Choice, "index"> => ({ ...choice, echo: echoes[i] }),
    );
  });
  return jobOf(choices, prompts, request, () =>
    completionShapes({ model: model.id, includeUsage: request.usage.includeUsage }),
  );
}

/** What POST /v1/chat/completions asks for. @throws RequestError for what cannot be given */
export async function chatJob(service: Service, request: ChatRequest, signal: AbortSignal): Promise<Job> {
  const { model, format, contextLength } = service;
  const maxTokens = request.max_completion_tokens ?? request.max_tokens;
  const { n: answers = 1 } = request;
  const messages = templateMessages(request.messages, model.chatTemplate?.includes("developer") ?? false);
  const room = { maxTokens, answers, addSpecialTokens: format.addSpecialTokens, param: "messages" } as const;
  const prompt = await service.encoded({ messages, variables: request.chat_template_kwargs }, room, signal);
  const options = textOptions(model, request, maxTokens ?? contextLength - prompt.length, format.stop);
  const choices = choicesOf(prompt, options, answers);
  return jobOf(choices, [prompt], request, () =>
    chatShapes({ model: model.id, includeUsage: request.usage.includeUsage }),
  );
}

/** Seeds from here on are folded, so that the next ones are whole numbers too. */
const MAX_SEED = 2 ** 52;

/** The same prompt `count` times; the first has the seed of the request itself. */
function choicesOf(
  prompt: readonly number[],
  options: TextOptions & { seed: number },
  count: number,
): Omit<Choice, "index">[] {
  return Array.from({ length: count }, (_, i) => ({
    prompt,
    echo: "",
    options: { ...options, seed: (options.seed % MAX_SEED) + i },
  }));
}

function jobOf(
  choices: readonly Omit<Choice, "index">[],
  prompts: readonly (readonly number[])[],
  { usage }: CommonRequest,
  shapes: Job["shapes"],
): Job {
  const promptTokens = prompts.reduce((sum, ids) => sum + ids.length, 0);
  const group = randomUUID(); // a request of many answers is one among the others
  const numbered = choices.map(({ options, ...choice }, index) => ({
    ...choice,
    index,
    options: { ...options, group },
  }));
  return { choices: numbered, promptTokens, usage, shapes };
}

/**
 * What the request says; or else, as in vLLM, the model's generation_config.json; or else OpenAI's defaults: any token
 * may be drawn, at temperature 1. Seeds are drawn when the request has none, so that asking again gives another text.
 */
function textOptions(
  { generator }: ServedModel,
  request: CommonRequest,
  maxNewTokens: number,
  stops: readonly string[],
): TextOptions & { seed: number } {
  const { temperature, top_k: topK, seed = Math.floor(Math.random() * 2 ** 31), stop = [] } = request;
  // where transformers would take 50
  const noLimit = generator.model.generationConfig.top_k === undefined ? 0 : undefined;
  return {
    maxNewTokens,
    temperature,
    ...(temperature !== 0 && { doSample: true }),
    topK: topK === undefined ? noLimit : Math.max(0, topK),
    topP: request.top_p,
    minP: request.min_p,
    repetitionPenalty: request.repetition_penalty,
    seed,
    stop: [...stops, ...[stop].flat()],
    ...(request.ignore_eos && { stopTokens: [] }),
  };
}
