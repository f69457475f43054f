import { escaped } from "../html.ts";

interface MarkupOptions {
  /** Of the model. */
  name: string;
  /** Whether the model has a chat template. */
  isChat: boolean;
  contextLength: number;
}

/** Tokens that the page asks for unless the reader says otherwise, where a text is continued. */
const CONTINUED_TOKENS = 200;

/** The HTML of the page. */
export function markup({ name, isChat, contextLength }: MarkupOptions): string {
  const title = escaped(name);
  const tokens = isChat ? "no limit" : String(Math.min(CONTINUED_TOKENS, Math.max(1, contextLength >> 1)));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · Kindling</title>
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/page.css">
<script type="module" src="/page.mjs"></script>
</head>
<body data-mode="${isChat ? "chat" : "text"}" data-model="${title}">
<header>
  <h1><span>Kindling</span> · ${title}</h1>
  <small>OpenAI-compatible at <code>/v1</code> · context of ${contextLength} tokens</small>
</header>
<main>
  <details id="settings">
    <summary>Settings</summary>
    <div class="fields">
    ${isChat ? '<label class="wide">System prompt <textarea id="system" rows="2" placeholder="How the model is to answer"></textarea></label>' : ""}
    <label>Temperature <input id="temperature" type="number" min="0" max="2" step="0.1" value="${isChat ? "0.7" : "0.8"}"></label>
    <label>Most tokens <input id="tokens" type="number" min="1" max="${contextLength}" placeholder="${tokens}"></label>
    <label>Seed <input id="seed" type="number" step="1" placeholder="random"></label>
    </div>
  </details>
  <div id="output" aria-live="polite"></div>
  <div id="status" role="status"></div>
</main>
<form id="composer">
  <textarea id="prompt" rows="${isChat ? 2 : 4}" autofocus aria-label="${isChat ? "Message" : "Beginning of a text"}"
    placeholder="${isChat ? "Write a message; Enter sends it, Shift+Enter begins a new line" : "Begin a text; Ctrl+Enter lets the model continue it"}"></textarea>
  <div class="buttons">
    <button id="go" class="main">${isChat ? "Send" : "Continue"}</button>
    <button id="retry" type="button">Retry</button>
    ${isChat ? '<button id="edit" type="button">Edit last</button>' : ""}
    <button id="clear" type="button">Clear</button>
  </div>
</form>
<noscript>This page needs JavaScript; the API at <code>/v1</code> does not.</noscript>
</body>
</html>
`;
}

/** A flame. */
export const favicon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path fill="#ea580c" d="M17 2c1 6-7 9-7 17a9 9 0 0 0 18 1c0-5-3-7-4-11-2 2-2 4-2 5-3-3-2-8-5-12z"/><path fill="#fdba74" d="M18 17c0 4-4 5-4 8a5 5 0 0 0 10 0c0-4-4-4-6-8z"/></svg>
`;
