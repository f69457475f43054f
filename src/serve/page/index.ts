/**
 * The page at "/": chats with a model that has a chat template, and continues texts with any. Its modules are those of
 * browser/, as they are, beside the two libraries that render Markdown. The server remembers nothing of it.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { KindlingError } from "../../base/index.ts";
import { settingsOf } from "../../generate/index.ts";
import type { Service } from "../service.ts";
import { favicon, markup } from "./markup.ts";
import { style } from "./style.ts";
import { contentStyle } from "./style-content.ts";

export interface PageFile {
  body: string;
  headers: Readonly<Record<string, string>>;
}

const modules = new URL("./browser/", import.meta.url);
const require = createRequire(import.meta.url);

/** Modules of the libraries, below "/page/". */
const libraries = {
  marked: require.resolve("marked"),
  dompurify: require.resolve("dompurify").replace(/purify\.cjs\.js$/, "purify.es.mjs"),
};
const importMap = JSON.stringify({
  imports: Object.fromEntries(Object.keys(libraries).map((name) => [name, `/page/libraries/${name}.mjs`])),
});

/**
 * Nothing but the files below may be loaded, asked or framed. Text becomes HTML through DOMPurify alone: browsers that
 * know trusted types refuse all else.
 */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `script-src 'self' 'sha256-${createHash("sha256").update(importMap).digest("base64")}'`,
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types dompurify",
].join("; ");

const file = (type: string, body: string, more: Readonly<Record<string, string>> = {}): PageFile => ({
  body,
  headers: { "content-type": type, "cache-control": "no-cache", "x-content-type-options": "nosniff", ...more },
});
const script = (path: URL | string) => file("text/javascript; charset=utf-8", readFileSync(path, "utf8"));

/** The page, whose files were read once. */
export interface ChatPage {
  /** What it loads, by path: the same for every model. */
  assets: Readonly<Record<string, PageFile>>;
  /** The page itself, which begins with a model. */
  document(service: Pick<Service, "model" | "contextLength">): PageFile;
}

/** Reads the page's files. */
export function chatPage(): ChatPage {
  const names = readdirSync(modules).filter((name) => name.endsWith(".mjs"));
  return { assets: assetsOf(names), document: (service) => documentOf(service, names) };
}

function assetsOf(names: readonly string[]): ChatPage["assets"] {
  const icon = file("image/svg+xml", favicon);
  return {
    "/page.css": file("text/css; charset=utf-8", style + contentStyle),
    ...Object.fromEntries(names.map((name) => [`/page/${name}`, script(new URL(name, modules))])),
    ...Object.fromEntries(
      Object.entries(libraries).map(([name, path]) => [`/page/libraries/${name}.mjs`, script(path)]),
    ),
    "/favicon.svg": icon,
    "/favicon.ico": icon,
  };
}

function documentOf(
  { model, contextLength }: Pick<Service, "model" | "contextLength">,
  names: readonly string[],
): PageFile {
  const facts = {
    model: model.id,
    mode: model.chatTemplate === undefined ? "text" : "chat",
    contextLength,
    defaults: samplingDefaults(model.generator.model.generationConfig),
  };
  return file("text/html; charset=utf-8", markup({ facts, importMap, modules: names }), {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "referrer-policy": "no-referrer",
  });
}

/**
 * What a request without settings gets, by the names of its fields; none for a model that refuses such requests. See
 * `textOptions` in choices.ts.
 */
function samplingDefaults(generationConfig: Readonly<Record<string, unknown>>): Readonly<Record<string, number>> {
  const topK = generationConfig.top_k === undefined ? 0 : undefined;
  try {
    const settings = settingsOf(generationConfig, { doSample: true, topK });
    const { limits, repetitionPenalty = 1, frequencyPenalty = 0, presencePenalty = 0 } = settings;
    return {
      temperature: limits.temperature ?? 1,
      top_p: limits.topP ?? 1,
      top_k: limits.topK ?? 0,
      min_p: limits.minP ?? 0,
      repetition_penalty: repetitionPenalty,
      frequency_penalty: frequencyPenalty,
      presence_penalty: presencePenalty,
    };
  } catch (error) {
    if (error instanceof KindlingError) return {};
    throw error;
  }
}
