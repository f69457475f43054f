import { createHash, randomBytes } from "node:crypto";
import { checkOptions, OptionError } from "../base/index.ts";

/** What a key may use; what is left out has no limit. */
export interface KeyLimits {
  /** Requests in a minute. A minute's worth may come at once. */
  requestsPerMinute?: number;
  /** Requests under way at the same time. */
  concurrency?: number;
  /** Tokens of prompts and answers in a minute. A minute's worth may come at once. */
  tokensPerMinute?: number;
  /** Tokens of prompts and answers from midnight to midnight, UTC. */
  tokensPerDay?: number;
  /** Names of the models that it may use. */
  models?: readonly string[];
}

/** A key as it is kept: nobody can make the key of it. */
export interface ApiKey {
  /** Who or what has the key; logs say this. */
  name: string;
  /** SHA-256 of the key, in hexadecimal digits. */
  hash: string;
  /** When it was made, in ISO 8601. */
  created: string;
  limits: KeyLimits;
}

const PREFIX = "sk-kindling-";
const KEY_BYTES = 32;

/** A new key of 256 random bits, which scanners for secrets know by its beginning. */
export const newKey = (): string => PREFIX + randomBytes(KEY_BYTES).toString("base64url");

/**
 * What is kept of a key. A slow hash, as for passwords, would add nothing: it makes guessing dear, and nobody guesses
 * 256 random bits. It would cost the server some tenth of a second for each request, also for those with wrong keys.
 */
export const hashOfKey = (key: string): string => createHash("sha256").update(key).digest("hex");

/** Names go into logs, headers of spans and tables as they are. */
const NAME = /^[A-Za-z0-9][\w.-]{0,63}$/;

/** @throws OptionError for a name that is none */
export function checkKeyName(name: string): void {
  if (NAME.test(name)) return;
  throw new OptionError({
    where: "keys",
    expected: "a name of letters, digits, dots, dashes and underscores, at most 64",
    received: JSON.stringify(name.slice(0, 80)),
    fix: "choose another name",
  });
}

/** Each limit that is a number, with its least value. */
const least = { requestsPerMinute: 1, concurrency: 1, tokensPerMinute: 1, tokensPerDay: 1 } as const;

/** @throws OptionError for limits that are unknown or cannot be, naming the nearest */
export function checkKeyLimits(where: string, limits: KeyLimits): void {
  checkOptions(where, limits, [...Object.keys(least), "models"]);
  const refuse = (expected: string, received: unknown): never => {
    throw new OptionError({ where, expected, received: JSON.stringify(received), fix: "correct it, or leave it out" });
  };
  for (const [name, smallest] of Object.entries(least)) {
    const value = limits[name as keyof typeof least];
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= smallest))
      refuse(`${name} to be a whole number from ${smallest}`, value);
  }
  const { models } = limits;
  if (models === undefined) return;
  if (!Array.isArray(models) || models.length === 0 || !models.every((model) => typeof model === "string" && model))
    refuse("models to be a list of names", models);
}
