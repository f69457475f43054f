/** A call passed on: which upstreams are asked, in which order, and what is done when one fails. */
import type { Clock } from "../http/index.ts";
import { attempt, type Call, type UpstreamAnswer } from "./attempt.ts";
import { modelUnwell, UpstreamFailure } from "./failure.ts";
import { type Candidate, ordered, prefixOf } from "./routing.ts";
import type { ConfigData } from "./schema.ts";
import type { Upstream, UpstreamModel } from "./upstream.ts";
import { Waiting } from "./waiting.ts";

/** A model whose upstream asks to be left alone is asked again after this time at the latest. */
const LONGEST_REST_MS = 60_000;

/** What happened to one attempt, for the numbers of the gateway. */
export interface AttemptReport {
  upstream: string;
  /** The upstream's name of the model. */
  model: string;
  /** "success", or the code of the failure; "cancelled" where the client went. */
  outcome: string;
  /** To the beginning of the answer, or to the failure. */
  milliseconds: number;
}

export interface ForwardOptions {
  upstreams: readonly Upstream[];
  routing: ConfigData["routing"];
  retries: ConfigData["retries"];
  server: Pick<ConfigData["server"], "maxQueue" | "queueTimeoutMs">;
  clock: Clock;
  /** From 0 to below 1. */
  random: () => number;
  onAttempt: (report: AttemptReport) => void;
}

export interface ModelCall extends Call {
  /** The model that the client asks for. */
  model: string;
  /** What the call would cost with an upstream's model; undefined where there is no price. */
  costOf: (upstream: string, model: string) => number | undefined;
  /** Told of each upstream that is asked, with its name of the model. */
  onSent: (upstream: string, model: string) => void;
}

/** How an answer that has begun ends: read to its end, cut off by the upstream, or left by the client. */
export type AnswerEnd = "complete" | "cut" | "gone";

/** An answer, and whose it is. Who has it calls `release` when nothing is read of it any more. */
export interface Forwarded {
  answer: UpstreamAnswer;
  upstream: string;
  /** The upstream's name of the model. */
  model: string;
  release: (end: AnswerEnd) => void;
}

interface Route extends Candidate {
  upstream: Upstream;
  /** What was asked for, as the upstream has it. */
  model: UpstreamModel;
}

const isPassable = ({ upstream, model }: Route) => upstream.breaker.isPassable && model.breaker.isPassable;

/** Whether a request may be sent, by the breakers of both. */
function enterBoth(upstream: Upstream, model: UpstreamModel): boolean {
  if (!upstream.breaker.enter()) return false;
  if (model.breaker.enter()) return true;
  upstream.breaker.leave();
  return false;
}

/** Passes calls on to upstreams. */
export class Forwarder {
  private readonly options: ForwardOptions;
  private readonly waiting: Waiting;

  constructor(options: ForwardOptions) {
    this.options = options;
    this.waiting = new Waiting(options.server, options.clock);
  }

  /**
   * The answer of an upstream that has the model, or else one of its fallbacks. Nothing has been sent to the client
   * before it returns, so that all of it can be tried again.
   * @throws UpstreamFailure, the last one, where all have failed; the signal's reason where the client went
   */
  async forward(call: ModelCall, client: AbortSignal): Promise<Forwarded> {
    const fallbacks = this.options.routing.models[call.model]?.fallbacks ?? [];
    let last: unknown;
    for (const model of [call.model, ...fallbacks]) {
      try {
        return await this.ask(model, call, client);
      } catch (error) {
        if (!(error instanceof UpstreamFailure) || error.parts.remedy === "none") throw error;
        last = error;
      }
    }
    throw last;
  }

  /** Asks the upstreams of one model, each once before one is asked again. */
  private async ask(model: string, call: ModelCall, client: AbortSignal): Promise<Forwarded> {
    const { attempts } = this.options.retries;
    const routes = this.routesOf(model, call);
    const excluded = new Set<Route>();
    const tried = new Set<Route>();
    let last = this.unavailable(model, routes);
    let rounds = 0;
    for (let i = 0; i < attempts; i++) {
      const left = routes.filter((one) => !excluded.has(one) && isPassable(one));
      let ready = left.filter((one) => !tried.has(one) && this.isRested(one));
      if (ready.length === 0) {
        if (left.length === 0 || !(await this.pause(left, rounds++, client))) break;
        tried.clear();
        ready = left.filter((one) => this.isRested(one));
        if (ready.length === 0) break;
      }
      const route = await this.enter(ready, client);
      tried.add(route);
      try {
        return await this.attempt(route, call, client);
      } catch (error) {
        if (!(error instanceof UpstreamFailure)) throw error;
        const { remedy } = error.parts;
        if (remedy === "none" || remedy === "other-model") throw error;
        if (remedy === "elsewhere") excluded.add(route);
        last = error;
      }
    }
    throw last;
  }

  /** What is told when no upstream of a model may be asked, with the time until one may. */
  private unavailable(model: string, routes: readonly Route[]): UpstreamFailure {
    const message = `No upstream of '${model}' is well; they are asked again after a while.`;
    const failure = modelUnwell("upstream_unavailable", message, 503);
    const times = routes.map(({ upstream, model: { breaker, restsUntil } }) =>
      Math.max(upstream.breaker.opensAt, breaker.opensAt, restsUntil),
    );
    const rests = Math.min(...times) - this.options.clock.now();
    return new UpstreamFailure({
      ...failure.parts,
      retryAfterMs: Number.isFinite(rests) ? Math.max(1000, rests) : 1000,
    });
  }

  private routesOf(model: string, call: ModelCall): Route[] {
    const { upstreams, routing, random } = this.options;
    const routes = upstreams.flatMap((upstream): Route[] => {
      const { models, priority, weight } = upstream.settings;
      const known = upstream.models.get(models.get(model) ?? "");
      if (known === undefined) return [];
      const cost = call.costOf(upstream.name, known.name);
      return [{ upstream, model: known, name: upstream.name, priority, weight, cost, latencyMs: known.latency.value }];
    });
    const policy = routing.models[model]?.policy ?? routing.policy;
    const prefix = policy === "prefix" ? prefixOf(call.body, routing.prefixCharacters) : "";
    return ordered(routes, { policy, prefix, random });
  }

  private isRested({ model }: Route): boolean {
    return model.restsUntil <= this.options.clock.now();
  }

  /** The first upstream that has room, or else the first, when it has. Its place is taken. */
  private async enter(routes: readonly Route[], client: AbortSignal): Promise<Route> {
    const free = routes.find(({ upstream }) => upstream.slots?.tryTake() ?? true);
    if (free) return free;
    const [first] = routes;
    await this.waiting.take(first.upstream, client);
    return first;
  }

  private async attempt(route: Route, call: ModelCall, client: AbortSignal): Promise<Forwarded> {
    const { upstream, model } = route;
    const { clock, onAttempt } = this.options;
    // another request may have taken the one try of a breaker while this one waited for room
    if (!enterBoth(upstream, model)) {
      upstream.slots?.give();
      throw modelUnwell("upstream_unavailable", `${model.name} at ${upstream.name} is not well.`, 503);
    }
    const start = clock.now();
    const report = (outcome: string) =>
      onAttempt({ upstream: upstream.name, model: model.name, outcome, milliseconds: clock.now() - start });
    upstream.running++;
    call.onSent(upstream.name, model.name);
    let isReleased = false;
    const release = (end: AnswerEnd) => {
      if (isReleased) return;
      isReleased = true;
      upstream.running--;
      upstream.slots?.give();
      if (end === "complete") model.breaker.succeed();
      else if (end === "cut") model.breaker.cut();
    };
    try {
      const answer = await attempt(upstream, model.name, call, client);
      upstream.breaker.succeed();
      model.breaker.begin();
      model.latency.add(clock.now() - start);
      report("success");
      return { answer, upstream: upstream.name, model: model.name, release };
    } catch (error) {
      release("gone");
      report(error instanceof UpstreamFailure ? error.parts.code : "cancelled");
      this.note(route, error);
      throw error;
    }
  }

  /** What a failure says of the upstream, and of its model. */
  private note({ upstream, model }: Route, error: unknown): void {
    if (!(error instanceof UpstreamFailure)) {
      upstream.breaker.leave();
      model.breaker.leave();
      return;
    }
    const { unwell, retryAfterMs } = error.parts;
    if (unwell === "upstream") {
      upstream.breaker.fail();
      model.breaker.leave(); // the request did not come to it
    } else {
      upstream.breaker.succeed(); // it was reached
      if (unwell === "model") model.breaker.fail();
      else model.breaker.succeed(); // it answers
    }
    if (retryAfterMs !== undefined)
      model.restsUntil = this.options.clock.now() + Math.min(LONGEST_REST_MS, retryAfterMs);
  }

  /**
   * Waits before upstreams are asked again: exponentially longer each time, by chance shorter, and as long as they
   * want. False where that is too long.
   */
  private async pause(routes: readonly Route[], round: number, client: AbortSignal): Promise<boolean> {
    const { clock, retries, random } = this.options;
    const now = clock.now();
    const backoff = Math.min(retries.maxMs, retries.baseMs * 2 ** round) * (0.5 + random() / 2);
    const rests = Math.min(...routes.map(({ model }) => model.restsUntil)) - now;
    if (rests > retries.maxMs) return false;
    await clock.sleepUntil(now + Math.max(backoff, rests), client);
    client.throwIfAborted();
    return true;
  }
}
