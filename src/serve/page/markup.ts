import { escaped } from "../html.ts";

interface MarkupOptions {
  /** What the page has to know of the server before it asks. */
  facts: Readonly<Record<string, unknown>>;
  /** JSON; what it holds is what the content security policy has the hash of. */
  importMap: string;
  /** Names of the page's modules, which are loaded at once. */
  modules: readonly string[];
}

/** The HTML of the page, which its modules fill. */
export function markup({ facts, importMap, modules }: MarkupOptions): string {
  const preloads = modules.map((name) => `<link rel="modulepreload" href="/page/${name}">`).join("\n");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1, interactive-widget=resizes-content">
<meta name="color-scheme" content="light dark">
<title>${escaped(String(facts.model))} · Kindling</title>
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/page.css">
<script type="importmap">${importMap}</script>
${preloads}
<script type="module" src="/page/main.mjs"></script>
</head>
<body data-server="${escaped(JSON.stringify(facts))}">
<div id="page"></div>
<noscript>This page needs JavaScript; the API at <code>/v1</code> does not.</noscript>
</body>
</html>
`;
}

/** A flame. */
export const favicon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path fill="#ea580c" d="M17 2c1 6-7 9-7 17a9 9 0 0 0 18 1c0-5-3-7-4-11-2 2-2 4-2 5-3-3-2-8-5-12z"/><path fill="#fdba74" d="M18 17c0 4-4 5-4 8a5 5 0 0 0 10 0c0-4-4-4-6-8z"/></svg>
`;
