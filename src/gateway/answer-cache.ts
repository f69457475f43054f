/** Answers that are given again: to the same request, and, where that is wanted, to one that means the same. */
import { createHash } from "node:crypto";
import { isObject } from "../base/index.ts";
import { ByteCache } from "./byte-cache.ts";
import type { ConfigData } from "./schema.ts";

/** The answer of an upstream as it came: JSON, or all events of a stream. */
export interface CachedAnswer {
  isStreamed: boolean;
  bytes: Uint8Array;
}

/** A vector of numbers that says what a text means. */
export type Embed = (text: string, signal: AbortSignal) => Promise<readonly number[]>;

export interface CacheOptions {
  config: ConfigData["cache"];
  /** Needed for the semantic cache. */
  embed: Embed | undefined;
  now: () => number;
}

export interface CacheRequest {
  /** Answers to one key are never given to another. */
  key: string;
  path: string;
  body: Readonly<Record<string, unknown>>;
  /** Of the request: `no-cache` looks for no answer, `no-store` keeps none either. */
  cacheControl: string;
  /** Of `x-kindling-cache: use`: the client wants it though its request is not deterministic. */
  isWanted: boolean;
}

/** What was found, and how to keep an answer where nothing was. */
export interface CacheLook {
  result: "hit" | "semantic-hit" | "miss";
  answer?: CachedAnswer;
  keep: (answer: CachedAnswer) => void;
}

/** Fields that change no answer. */
const idle = new Set([
  "stream_options",
  "user",
  "metadata",
  "store",
  "safety_identifier",
  "prompt_cache_key",
  "service_tier",
]);
const MIB = 2 ** 20;

/** The caches of a gateway. */
export class AnswerCache {
  private readonly options: CacheOptions;
  private readonly exact: ByteCache<CachedAnswer> | undefined;
  private readonly semantic: SemanticCache | undefined;

  constructor(options: CacheOptions) {
    const { config, now, embed } = options;
    this.options = options;
    const { exact, semantic } = config;
    this.exact = exact && new ByteCache({ maxBytes: exact.maxMiB * MIB, ttlMs: exact.ttlSeconds * 1000, now });
    this.semantic = semantic && embed && new SemanticCache({ ...semantic, embed, now });
  }

  /** What there is for a request; undefined for one that no cache is for. */
  async look(request: CacheRequest, signal: AbortSignal): Promise<CacheLook | undefined> {
    if (/\bno-store\b/i.test(request.cacheControl)) return undefined;
    const isAsked = !/\bno-cache\b/i.test(request.cacheControl);
    const exact = this.isExact(request) ? this.exact : undefined;
    const meaning = this.semantic && meaningOf(request);
    if (exact === undefined && meaning === undefined) return undefined;
    const key = digest([request.key, request.path, canonical(request.body)]);
    const same = isAsked ? exact?.get(key) : undefined;
    if (same) return { result: "hit", answer: same, keep: () => {} };
    const near = meaning && (await this.semantic?.look(meaning, isAsked, signal));
    if (near?.answer) return { result: "semantic-hit", answer: near.answer, keep: () => {} };
    return {
      result: "miss",
      keep: (answer) => {
        exact?.set(key, answer, answer.bytes.length + key.length);
        near?.keep(answer);
      },
    };
  }

  /** Whether the same request should get the same answer. */
  private isExact({ path, body, isWanted }: CacheRequest): boolean {
    const { when } = this.options.config.exact ?? {};
    if (when === "always" || isWanted || path === "/embeddings") return true;
    return body.temperature === 0 || typeof body.seed === "number";
  }
}

/** JSON with the names of objects in order, without what changes no answer. */
function canonical(body: Readonly<Record<string, unknown>>): string {
  const entries = Object.entries(body).filter(([name, value]) => !idle.has(name) && value !== null);
  return JSON.stringify(Object.fromEntries(entries), (_, value: unknown) =>
    isObject(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value,
  );
}

const digest = (parts: readonly string[]) => createHash("sha256").update(JSON.stringify(parts)).digest("base64");

/** The text whose meaning is compared, and all that has to be the same. */
interface Meaning {
  text: string;
  scope: string;
}

/** A chat whose last message is a text of the user's: model, system prompt, history and settings must be the same. */
function meaningOf({ key, path, body }: CacheRequest): Meaning | undefined {
  if (path !== "/chat/completions" || !Array.isArray(body.messages)) return undefined;
  const last: unknown = body.messages.at(-1);
  if (!isObject(last) || last.role !== "user" || typeof last.content !== "string") return undefined;
  const rest = { ...body, messages: body.messages.slice(0, -1) };
  return { text: last.content, scope: digest([key, path, canonical(rest)]) };
}

interface Entry {
  scope: string;
  /** Of length 1. */
  vector: Float32Array;
  answer: CachedAnswer;
}

interface SemanticOptions extends NonNullable<ConfigData["cache"]["semantic"]> {
  embed: Embed;
  now: () => number;
}

/** Answers to questions whose vectors are nearly the same. */
class SemanticCache {
  private readonly options: SemanticOptions;
  private readonly entries: ByteCache<Entry>;
  private readonly scopes = new Map<string, Set<string>>();
  private count = 0;

  constructor(options: SemanticOptions) {
    this.options = options;
    const { maxMiB, ttlSeconds, now } = options;
    this.entries = new ByteCache({
      maxBytes: maxMiB * MIB,
      ttlMs: ttlSeconds * 1000,
      now,
      onDrop: (id, { scope }) => {
        const ids = this.scopes.get(scope);
        ids?.delete(id);
        if (ids?.size === 0) this.scopes.delete(scope);
      },
    });
  }

  /** The nearest answer that is near enough. Undefined where the text has no vector: then nothing is kept either. */
  async look(
    { text, scope }: Meaning,
    isAsked: boolean,
    signal: AbortSignal,
  ): Promise<Pick<CacheLook, "answer" | "keep"> | undefined> {
    const vector = await this.options.embed(text, signal).then(normalized, () => undefined);
    signal.throwIfAborted();
    if (vector === undefined) return undefined;
    return {
      ...(isAsked && { answer: this.nearest(scope, vector) }),
      keep: (answer) => {
        const id = String(this.count++);
        const ids = this.scopes.get(scope) ?? new Set();
        this.scopes.set(scope, ids.add(id));
        this.entries.set(id, { scope, vector, answer }, answer.bytes.length + vector.byteLength + scope.length);
        if (this.entries.get(id) === undefined) ids.delete(id); // too large
      },
    };
  }

  private nearest(scope: string, vector: Float32Array): CachedAnswer | undefined {
    let best: { cosine: number; answer: CachedAnswer } | undefined;
    for (const id of [...(this.scopes.get(scope) ?? [])]) {
      const entry = this.entries.get(id);
      if (entry === undefined || entry.vector.length !== vector.length) continue;
      const cosine = entry.vector.reduce((sum, value, i) => sum + value * vector[i], 0);
      if (cosine >= this.options.threshold && cosine > (best?.cosine ?? -1)) best = { cosine, answer: entry.answer };
    }
    return best?.answer;
  }
}

/** @throws RangeError for no vector */
function normalized(values: readonly number[]): Float32Array {
  const length = Math.hypot(...values);
  if (!(length > 0 && Number.isFinite(length))) throw new RangeError("no vector");
  return Float32Array.from(values, (value) => value / length);
}
