/**
 * The page at "/": chats with a model that has a chat template, and continues texts with any other. The server
 * remembers nothing of it.
 */
import { readFileSync } from "node:fs";
import type { Service } from "../service.ts";
import { favicon, markup } from "./markup.ts";
import { style } from "./style.ts";

export interface PageFile {
  body: string;
  headers: Readonly<Record<string, string>>;
}

/** Nothing but the files below may be loaded, asked or framed. */
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export const pagePaths = ["/", "/page.css", "/page.mjs", "/favicon.svg", "/favicon.ico"] as const;

/** The page and what it loads, by path. */
export function pageFiles({ model, contextLength }: Service): Readonly<Record<(typeof pagePaths)[number], PageFile>> {
  const html = markup({ name: model.id, isChat: model.chatTemplate !== undefined, contextLength });
  const script = readFileSync(new URL("./script.mjs", import.meta.url), "utf8");
  const file = (type: string, body: string, more: Readonly<Record<string, string>> = {}): PageFile => ({
    body,
    headers: { "content-type": type, "cache-control": "no-cache", "x-content-type-options": "nosniff", ...more },
  });
  const icon = file("image/svg+xml", favicon);
  return {
    "/": file("text/html; charset=utf-8", html, {
      "content-security-policy": CONTENT_SECURITY_POLICY,
      "referrer-policy": "no-referrer",
    }),
    "/page.css": file("text/css; charset=utf-8", style),
    "/page.mjs": file("text/javascript; charset=utf-8", script),
    "/favicon.svg": icon,
    "/favicon.ico": icon,
  };
}
