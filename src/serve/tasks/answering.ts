import type { Context } from "hono";
import { type Environment, inTurn, jsonBody, modelNameOf } from "../exchange.ts";
import type { AskedLease, ModelKind, ServedModels, Services } from "../models/index.ts";
import type { RequestLife } from "../request-life.ts";

/** An answer, and how many tokens were read for it. */
export interface Answer {
  body: object;
  tokens: number;
}

/**
 * Answers a request with one JSON object, made by a model when its turn has come.
 * @param leaseOf which model it is, and how it is lent. @default the one that the field "model" names
 */
export async function answerJson<K extends ModelKind>(
  c: Context<Environment>,
  models: ServedModels,
  kind: K,
  work: (service: Services[K], json: unknown, signal: AbortSignal) => Promise<Answer>,
  leaseOf: (json: unknown) => AskedLease = (json) => ({ asked: modelNameOf(json) }),
): Promise<Response> {
  const json = await jsonBody(c);
  return inTurn(c, models, kind, leaseOf(json), async (service, life) => {
    await life.turn();
    const { body, tokens } = await work(service, json, life.signal);
    finish(life, tokens);
    return c.json(body);
  });
}

/** Notes that a request is answered, in the numbers and in the log. */
export function finish(life: RequestLife, tokens: number): void {
  const usage = { prompt_tokens: tokens, completion_tokens: 0, total_tokens: tokens };
  life.meter.end(usage, ["stop"]);
  life.record.countUsage(() => usage);
  life.record.finishReasons = ["stop"];
}
