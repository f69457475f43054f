import type { JsonSchema } from "../fields.ts";
import { escaped } from "../html.ts";
import { bodyFields, type IsOpen } from "./document.ts";
import { groups, type Operation } from "./operations.ts";

/** The page at /docs: all of it is in the HTML, and there is no script. */
export function docsMarkup(modelId: string, isOpen?: IsOpen): string {
  const title = escaped(modelId);
  const open = groups.flatMap(({ operations }) => operations).filter(({ path }) => isOpen?.(path));
  const keys =
    isOpen &&
    `<p>This server asks for a key, as <code>Authorization: Bearer KEY</code> or <code>x-api-key: KEY</code>. Without one
  it answers ${open.map(({ path }) => `<code>${escaped(path)}</code>`).join(", ")}.</p>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>API of ${title} · Kindling</title>
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/docs.css">
</head>
<body>
<header>
  <h1><span>Kindling</span> · API of ${title}</h1>
  <p>For programs: <a href="/openapi.json">openapi.json</a>. Fields that are not listed are refused by name;
  <code>null</code> stands for a field that is left out.</p>
  ${keys ?? ""}
  <nav aria-label="Groups">${groups.map(({ name }) => `<a href="#${anchor(name)}">${escaped(name)}</a>`).join("\n")}</nav>
</header>
<main>
${groups.map(groupMarkup).join("\n")}
</main>
</body>
</html>
`;
}

const anchor = (name: string) => name.toLowerCase().replace(/\W+/g, "-");

function groupMarkup({ name, description, operations }: (typeof groups)[number]): string {
  return `<section id="${anchor(name)}">
<h2>${escaped(name)}</h2>
<p>${withCode(description)}</p>
${operations.map(operationMarkup).join("\n")}
</section>`;
}

/** Backquotes of Markdown as HTML. */
const withCode = (text: string) => escaped(text).replace(/`(.*?)`/g, "<code>$1</code>");

function operationMarkup(operation: Operation): string {
  const { method, path, summary, body, query, bodyType, stream } = operation;
  const head = `<b class="${method}">${method.toUpperCase()}</b> <code>${escaped(path)}</code> <span>${escaped(summary)}</span>`;
  const notes = [
    bodyType && `The request is <code>${bodyType}</code>.`,
    stream && `Where <code>stream</code> is true, the answer is <code>${stream}</code>.`,
  ].filter(Boolean);
  const tables = [body && fieldTable("Field", operation), query && fieldTable("Query", { body: query })].filter(
    Boolean,
  );
  if (tables.length === 0 && notes.length === 0) return `<p class="operation">${head}</p>`;
  const note = notes.length > 0 ? `<p>${notes.join(" ")}</p>` : "";
  return `<details><summary>${head}</summary>${note}${tables.join("\n")}</details>`;
}

function fieldTable(title: string, fields: Parameters<typeof bodyFields>[0]): string {
  const rows = bodyFields(fields).map(({ name, schema, isRequired }) => {
    const mark = isRequired ? ' <em title="has to be there">required</em>' : "";
    return `<tr><th scope="row"><code>${escaped(name)}</code>${mark}</th><td>${escaped(typeOf(schema))}</td><td>${escaped(String(schema.description ?? ""))}</td></tr>`;
  });
  return `<div class="table"><table>
<thead><tr><th scope="col">${title}</th><th scope="col">Type</th><th scope="col">Expected</th></tr></thead>
<tbody>
${rows.join("\n")}
</tbody>
</table></div>`;
}

function typeOf({ type, enum: values }: JsonSchema): string {
  if (Array.isArray(values) && values.every((value) => typeof value === "string")) return "text";
  if (Array.isArray(values)) return values.map((value) => JSON.stringify(value)).join(", ");
  const words: Readonly<Record<string, string>> = { string: "text", array: "list", integer: "whole number" };
  return [type ?? []]
    .flat()
    .map((name) => words[String(name)] ?? String(name))
    .join(", ");
}
