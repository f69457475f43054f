/** The order in which upstreams of a model are tried. */
import { createHash } from "node:crypto";
import type { Policy } from "./schema.ts";

/** What is known of an upstream that has the model. */
export interface Candidate {
  name: string;
  /** Lower ones come first, whatever the policy. */
  priority: number;
  weight: number;
  /** What this request would cost; undefined where there is no price. */
  cost: number | undefined;
  /** Milliseconds to the first byte; undefined where it was not measured lately. */
  latencyMs: number | undefined;
}

export interface RoutingContext {
  policy: Policy;
  /** Requests with the same beginning have the same. */
  prefix: string;
  /** From 0 to below 1. */
  random: () => number;
}

/** Candidates in the order in which they are tried; higher scores come first. */
export function ordered<C extends Candidate>(candidates: readonly C[], context: RoutingContext): C[] {
  const score = scores[context.policy];
  return candidates
    .map((candidate) => ({ candidate, score: score(candidate, context) }))
    .sort((a, b) => a.candidate.priority - b.candidate.priority || compare(b.score, a.score))
    .map(({ candidate }) => candidate);
}

/** Infinities are equal to themselves, which their difference does not say. */
const compare = (a: number, b: number) => (a === b ? 0 : a < b ? -1 : 1);

const scores: Readonly<Record<Policy, (candidate: Candidate, context: RoutingContext) => number>> = {
  /**
   * A draw without replacement by weights: the largest of u^(1/w). Efraimidis and Spirakis 2006, Weighted random
   * sampling with a reservoir.
   */
  weighted: ({ weight }, { random }) => (weight === 0 ? Number.NEGATIVE_INFINITY : Math.log(1 - random()) / weight),
  price: ({ cost = Number.POSITIVE_INFINITY }) => -cost,
  /** One that was not measured lately comes first, to be measured. */
  latency: ({ latencyMs = 0 }) => -latencyMs,
  /**
   * Rendezvous hashing with weights: who has a prefix keeps it when others come and go. Thaler and Ravishankar 1998,
   * Using name-based mappings to increase hit rates; Schindelhauer and Schomaker 2005 for the weights.
   */
  prefix: ({ name, weight }, { prefix }) =>
    weight === 0 ? Number.NEGATIVE_INFINITY : -weight / Math.log(unitHash(`${name}\n${prefix}`)),
};

/** A text as a number between 0 and 1, both excluded. */
function unitHash(text: string): number {
  const bits = createHash("sha256").update(text).digest().readUIntBE(0, 6);
  return (bits + 0.5) / 2 ** 48;
}

/** What requests that a cached prefix could serve have in common: the beginning of their messages, or their prompt. */
export function prefixOf(body: Readonly<Record<string, unknown>>, characters: number): string {
  const text = JSON.stringify(body.messages ?? body.prompt ?? body.input ?? "");
  return text.slice(0, characters);
}
