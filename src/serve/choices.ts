import { randomUUID } from "node:crypto";
import { OptionError } from "../base/index.ts";
import {
  AnswerFault,
  type ChatPlan,
  type ConstraintMaker,
  normalizeMessages,
  planChat,
  readToolRequest,
  type TextOptions,
  type ToolRequest,
  withToolInstructions,
} from "../generate/index.ts";
import type { Choice, Job } from "./answer.ts";
import { asFaultOf, RequestError } from "./errors.ts";
import { invalid } from "./fields.ts";
import { type Infill, infillOf } from "./infill.ts";
import { templateMessages } from "./messages.ts";
import { outputForm } from "./output-format.ts";
import { promptLogprobsOf, requirePromptLogprobs } from "./prompt-logprobs.ts";
import type { ChatRequest, CommonRequest, CompletionRequest } from "./requests.ts";
import type { SeenChat, Service } from "./service.ts";
import { chatShapes, completionShapes } from "./shapes.ts";

/** OpenAI's default of the older endpoint. */
const DEFAULT_COMPLETION_TOKENS = 16;

/** What POST /v1/completions asks for. @throws RequestError for what cannot be given */
export async function completionJob(service: Service, request: CompletionRequest, signal: AbortSignal): Promise<Job> {
  const { model, contextLength } = service;
  const { max_tokens: maxTokens, n = 1, best_of: answers = n, prompt_logprobs: promptLogprobs } = request;
  const infill = request.suffix ? await infillOf(service, request.suffix, signal) : undefined;
  const prompts = await service.promptIds(
    request.prompt,
    { maxTokens, answers, addSpecialTokens: !infill, param: "prompt", around: infill },
    signal,
  );
  requirePromptLogprobs(service, promptLogprobs, n * tokensOf(prompts));
  const texts = typeof request.prompt === "string" ? [request.prompt] : request.prompt;
  const echoes = await Promise.all(
    prompts.map(async (ids, i) => {
      if (!request.echo) return "";
      const text = texts[i];
      if (typeof text === "string") return text;
      return model.tokenizer.decode(infill ? ids.slice(infill.before.length, -infill.after.length) : ids);
    }),
  );
  if (answers > n && prompts.length > 1) throw invalid("best_of", "one prompt with it", prompts);
  const constraint = await constraintOf(service, request, {}, signal);
  const topLogprobs = request.logprobs ?? (answers > n ? 0 : undefined);
  const choices = prompts.flatMap((prompt, i) => {
    const maxNewTokens = maxTokens ?? Math.min(DEFAULT_COMPLETION_TOKENS, contextLength - prompt.length);
    const stops = infill && { stopTokens: infillStops(service, request, infill) };
    const options = { ...textOptions(service, request, maxNewTokens, []), ...stops, constraint, topLogprobs };
    const echo = request.echo ? request.logprobs : undefined;
    const scores = promptLogprobsOf(service, { model: request.model, echo, prompt: promptLogprobs }, prompt, signal);
    return choicesOf(prompt, options, answers).map(
      (choice): Omit<Choice, "index"> => ({ ...choice, echo: echoes[i], ...scores, tellsEnd: true }),
    );
  });
  const job = jobOf(choices, prompts, request, () =>
    completionShapes({
      model: service.nameOf(request.model),
      includeUsage: request.usage.includeUsage,
      logprobs: service.logprobShapes,
      hidesLogprobs: request.logprobs === undefined,
    }),
  );
  return answers > n ? { ...job, best: n } : job;
}

/** Where a text that leads to a suffix ends. */
function infillStops(service: Service, request: CompletionRequest, { endTokens }: Infill): number[] {
  const ends = request.ignore_eos ? [] : [...service.endTokens, ...endTokens];
  return [...ends, ...(request.stop_token_ids ?? [])];
}

/** What the template makes a prompt of. @throws RequestError naming the field that is wrong */
export function chatPrompt(service: Service, request: ChatRequest, tools = toolsOf(request)): SeenChat {
  const { traits } = service;
  const read = templateMessages(request.messages, traits);
  if (!service.images && read.images.length > 0)
    throw invalid(read.images[0].path, `no image: the model '${service.model.id}' reads texts alone`, "an image");
  if (read.images.length > service.maxImages)
    throw invalid("messages", `at most ${service.maxImages} images (option maxImages)`, read.images);
  const knowsTools = service.chatTemplate?.includes("tools") ?? false;
  const messages = tools && !knowsTools ? withToolInstructions(read.messages, tools) : read.messages;
  const chat = {
    messages: normalizeMessages(messages, traits),
    variables: request.chat_template_kwargs,
    tools: knowsTools ? tools?.templateTools : undefined,
  };
  return { chat, images: read.images };
}

/**
 * What POST /v1/chat/completions asks for.
 * @param parserOptions of calls in the answer
 * @throws RequestError for what cannot be given
 */
export async function chatJob(
  service: Service,
  request: ChatRequest,
  signal: AbortSignal,
  parserOptions: Parameters<ChatPlan["parser"]>[0] = {},
): Promise<Job> {
  const { model, format, contextLength } = service;
  const maxTokens = request.max_completion_tokens ?? request.max_tokens;
  const { n: answers = 1, prompt_logprobs: promptLogprobs } = request;
  const tools = toolsOf(request);
  const room = { maxTokens, answers, addSpecialTokens: format.addSpecialTokens, param: "messages" } as const;
  const seen = chatPrompt(service, request, tools);
  if (promptLogprobs !== undefined && seen.images.length > 0)
    throw invalid("prompt_logprobs", "no log probabilities of a prompt with images", promptLogprobs);
  const { ids, end, embed } = await service.encodedChat(seen, room, signal);
  requirePromptLogprobs(service, promptLogprobs, ids.length);
  const asked = { model: request.model, echo: undefined, prompt: promptLogprobs };
  const plan = planChat({
    template: service.chatTemplate,
    specialTexts: model.tokenizer.specialTexts,
    prompt: end,
    request: tools,
  });
  const options = {
    ...textOptions(service, request, maxTokens ?? contextLength - ids.length, format.stop),
    ...(await formOf(service, request, plan, signal)),
    ...(request.logprobs && { topLogprobs: request.top_logprobs ?? 0 }),
  };
  const scores = promptLogprobsOf(service, asked, ids, signal);
  const choices = choicesOf(ids, options, answers).map((choice) => ({
    ...choice,
    ...scores,
    parser: plan.parser(parserOptions),
  }));
  const job = jobOf(choices, [ids], request, () =>
    chatShapes({
      model: service.nameOf(request.model),
      includeUsage: request.usage.includeUsage,
      logprobs: service.logprobShapes,
    }),
  );
  return { ...job, embed };
}

/** @throws RequestError naming the field that is wrong */
function toolsOf({
  tools,
  tool_choice: toolChoice,
  parallel_tool_calls: parallelToolCalls,
}: ChatRequest): ToolRequest | undefined {
  try {
    const request = readToolRequest({ tools, toolChoice, parallelToolCalls });
    return request.templateTools ? request : undefined;
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    throw new RequestError({ status: 400, message: error.message, param: error.where, code: "invalid_value" });
  }
}

/** What holds an answer to what is asked. @throws RequestError naming the field that no grammar can be made of */
function constraintOf(
  service: Service,
  request: CommonRequest & Pick<ChatRequest, "response_format">,
  asked: { plan?: ChatPlan; thinkingBudget?: number },
  signal: AbortSignal,
): Promise<ConstraintMaker | undefined> {
  const form = outputForm(request);
  return asFaultOf(
    (refusal) => (form && !(refusal instanceof AnswerFault && refusal.part === "calls") ? form.param : "tools"),
    () => service.grammars.constraint({ ...asked, content: form?.source }, signal),
  );
}

/** What holds an answer to its form, and decodes it. */
async function formOf(
  service: Service,
  request: ChatRequest,
  plan: ChatPlan,
  signal: AbortSignal,
): Promise<Partial<TextOptions>> {
  const { tokenizer } = service.model;
  const ends = plan.endTokens.map((text) => tokenizer.tokenToId(text)).filter((id) => id !== null);
  const { ignore_eos: ignoresEnd = false, stop_token_ids: stopIds = [], thinking_token_budget: budget } = request;
  return {
    keptTokens: plan.keptTokens,
    constraint: await constraintOf(service, request, { plan, thinkingBudget: budget }, signal),
    ...(ends.length > 0 && { stopTokens: [...(ignoresEnd ? [] : service.endTokens), ...ends, ...stopIds] }),
  };
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

const tokensOf = (prompts: readonly (readonly number[])[]): number => prompts.reduce((sum, ids) => sum + ids.length, 0);

function jobOf(
  choices: readonly Omit<Choice, "index">[],
  prompts: readonly (readonly number[])[],
  { usage }: CommonRequest,
  shapes: Job["shapes"],
): Job {
  const promptTokens = tokensOf(prompts);
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
  service: Service,
  request: CommonRequest,
  maxNewTokens: number,
  stops: readonly string[],
): TextOptions & { seed: number } {
  const {
    model: { generator },
    endTokens,
  } = service;
  const adapter = service.adapterOf(request.model);
  const { temperature, top_k: topK, seed = Math.floor(Math.random() * 2 ** 31), stop = [] } = request;
  const { stop_token_ids: stopIds, ignore_eos: ignoresEnd = false, priority = 0, logit_bias: biases } = request;
  if (biases) service.checkedIds(Object.keys(biases).map(Number), "logit_bias");
  // where transformers would take 50
  const noLimit = generator.model.generationConfig.top_k === undefined ? 0 : undefined;
  return {
    maxNewTokens,
    temperature,
    ...(temperature !== 0 && { doSample: true }),
    topK: topK === undefined ? noLimit : Math.max(0, topK),
    topP: request.top_p,
    minP: request.min_p,
    typicalP: request.typical_p,
    repetitionPenalty: request.repetition_penalty,
    frequencyPenalty: request.frequency_penalty,
    presencePenalty: request.presence_penalty,
    logitBias: biases as Readonly<Record<number, number>> | undefined,
    minNewTokens: request.min_tokens,
    ...((stopIds || ignoresEnd) && { stopTokens: [...(ignoresEnd ? [] : endTokens), ...(stopIds ?? [])] }),
    ...(adapter !== undefined && { adapter }),
    priority: -priority, // vLLM's lower ones go first
    seed,
    stop: [...stops, ...[stop].flat()],
  };
}
