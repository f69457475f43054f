import { isIP } from "node:net";
import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { OptionError } from "../base/index.ts";
import { RequestError } from "./errors.ts";

/** Headers of answers that pages of allowed origins may read. */
const readable = [
  "retry-after",
  "x-request-id",
  ...["requests", "tokens"].flatMap((name) => ["limit", "remaining", "reset"].map((of) => `x-ratelimit-${of}-${name}`)),
];

export interface AccessOptions {
  /**
   * Names by which this server may be called, besides localhost and addresses of numbers: "box.example.org",
   * ".example.org" for all below it, or "*". A page that rebinds its own name to this address is so refused. @default
   * none
   */
  allowedHosts?: readonly string[];
  /** Origins of other pages that may read answers, such as "https://app.example.org", or "*". @default none */
  corsOrigins?: readonly string[];
}

/**
 * Refuses requests under foreign names and those of foreign pages, and lets browsers know which pages may read the
 * answers.
 * @throws OptionError for what is no name or no origin
 */
export function accessRules({ allowedHosts = [], corsOrigins = [] }: AccessOptions): MiddlewareHandler[] {
  for (const entry of allowedHosts)
    if (!isHostEntry(entry))
      throw refused('allowedHosts: a name without a port, as "box.example.org", ".example.org" or "*"', entry);
  for (const entry of corsOrigins)
    if (!isOrigin(entry)) throw refused('corsOrigins: an origin, as "https://app.example.org" or "*"', entry);
  const mayRead = (origin: string) => corsOrigins.includes("*") || corsOrigins.includes(origin);
  return [
    async (c, next) => {
      const host = c.req.header("host") ?? new URL(c.req.url).host;
      if (!isAllowedHost(host, allowedHosts)) {
        const fix = "start the server with --allowed-hosts and this name";
        throw new RequestError({
          status: 403,
          message: `this server does not answer to the name ${JSON.stringify(host)}; ${fix}`,
          code: "host_not_allowed",
        });
      }
      const origin = c.req.header("origin");
      if (origin !== undefined && !isSameOrigin(origin, host) && !mayRead(origin)) {
        const fix = `start the server with --cors-origin ${origin}`;
        throw new RequestError({
          status: 403,
          message: `pages of ${JSON.stringify(origin)} may not use this server; ${fix}`,
          code: "origin_not_allowed",
        });
      }
      await next();
    },
    cors({ origin: (origin) => (mayRead(origin) ? origin : null), exposeHeaders: readable }),
  ];
}

const isHostEntry = (entry: string) =>
  entry === "*" || isIP(entry) > 0 || hostname(entry.replace(/^\./, "")) === entry.replace(/^\./, "").toLowerCase();
const isOrigin = (entry: string) => entry === "*" || (URL.canParse(entry) && new URL(entry).origin === entry);

function refused(expected: string, received: string): OptionError {
  return new OptionError({ where: "serve", expected, received: JSON.stringify(received), fix: "correct the option" });
}

/** Numbers name no site, so nobody can rebind them; browsers take names below localhost for this machine. */
function isAllowedHost(host: string, allowed: readonly string[]): boolean {
  const name = hostname(host);
  if (name === undefined) return false;
  if (name === "localhost" || name.endsWith(".localhost") || isIP(name.replace(/^\[|\]$/g, "")) > 0) return true;
  return allowed.some((entry) => {
    const wanted = entry.toLowerCase();
    return (
      wanted === "*" ||
      wanted === name ||
      (wanted.startsWith(".") && (name.endsWith(wanted) || name === wanted.slice(1)))
    );
  });
}

function hostname(host: string): string | undefined {
  return URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname.replace(/\.$/, "") : undefined;
}

function isSameOrigin(origin: string, host: string): boolean {
  return URL.canParse(origin) && new URL(origin).host === new URL(`http://${host}`).host;
}
