import { limits } from "../base/index.ts";
import type { ScoredToken } from "../generate/index.ts";
import type { Choice } from "./answer.ts";
import { RequestError } from "./errors.ts";
import { invalid } from "./fields.ts";
import type { Service } from "./service.ts";

/** What a request asks of the log probabilities of its prompts: so many of the likeliest tokens, or nothing. */
export interface PromptLogprobRequest {
  /** The adapter, or the model. */
  model: string | undefined;
  /** Beside the prompt's own tokens, with its text in front of the answer. */
  echo: number | undefined;
  /** By themselves; -1 for the whole vocabulary. */
  prompt: number | undefined;
}

/** How probable the tokens of a prompt are: it is scored once for all its answers, when the first needs it. */
export function promptLogprobsOf(
  service: Service,
  { model, echo, prompt }: PromptLogprobRequest,
  ids: readonly number[],
  signal: AbortSignal,
): Pick<Choice, "echoLogprobs" | "promptLogprobs"> {
  const { generator } = service.model;
  const param = prompt === undefined ? "echo" : "prompt_logprobs";
  const adapter = service.adapterOf(model);
  if (echo === undefined && prompt === undefined) return {};
  if (adapter !== undefined) throw invalid(param, "no log probabilities of a prompt with an adapter", adapter);
  const inPrompt = prompt === undefined ? 0 : countOf(service, prompt);
  let scored: Promise<ScoredToken[]> | undefined;
  const topLogprobs = Math.max(echo ?? 0, inPrompt);
  const scores = (most: number) => {
    let part: Promise<ScoredToken[]> | undefined;
    return () => {
      scored ??= generator.score(ids, { topLogprobs, signal });
      part ??= scored.then((tokens) => tokens.map((token) => ({ ...token, top: token.top.slice(0, most) })));
      return part;
    };
  };
  return {
    ...(echo !== undefined && { echoLogprobs: scores(echo) }),
    ...(prompt !== undefined && { promptLogprobs: scores(inPrompt) }),
  };
}

/** How many of the likeliest tokens `prompt_logprobs` asks for. */
const countOf = ({ model }: Service, asked: number): number =>
  asked === -1 ? model.generator.model.config.vocabSize : asked;

/**
 * Whether the answer has room for the log probabilities of its prompts.
 * @param tokens of all prompts, as often as they are told of
 * @throws RequestError 400 naming the limit
 */
export function requirePromptLogprobs(service: Service, asked: number | undefined, tokens: number): void {
  const { vocabSize } = service.model.generator.model.config;
  const count = asked === undefined ? 0 : tokens * Math.min(vocabSize, 1 + countOf(service, asked));
  if (count <= limits.requestPromptLogprobs) return;
  const message = `prompt_logprobs: expected at most ${limits.requestPromptLogprobs} log probabilities of prompts (limit requestPromptLogprobs); received a request for ${count}`;
  throw new RequestError({ status: 400, message, param: "prompt_logprobs", code: "invalid_value" });
}
