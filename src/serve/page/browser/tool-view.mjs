/** Calls of tools as cards: the arguments, and a field for the result while there is none. */
import { openCalls } from "./conversation.mjs";
import { fitHeight, h } from "./dom.mjs";
import { icon } from "./icons.mjs";
import { words } from "./languages.mjs";

/** @import { App } from "./app.mjs" */
/** @import { Message, ToolCall } from "./conversation.mjs" */

/** JSON with line breaks; what is not complete yet stays as it is. @param {string} json */
function formatted(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

/** @param {App} app @param {Message} message @param {boolean} isRunning */
export function toolCards(app, message, isRunning) {
  const calls = message.toolCalls ?? [];
  if (calls.length === 0) return [];
  const { path } = app;
  const isLatest = path.findLast(({ role }) => role === "assistant") === message;
  const open = new Set(isLatest && !isRunning ? openCalls(path).map(({ id }) => id) : []);
  return calls.map((call) =>
    h(
      "section",
      { class: "call", "aria-label": `${words().toolCall}: ${call.name}` },
      h("h3", {}, icon("tool"), h("code", {}, call.name)),
      h("pre", { tabindex: "0", "aria-label": words().arguments }, formatted(call.arguments)),
      open.has(call.id) && resultForm(app, call),
    ),
  );
}

/** @param {App} app @param {ToolCall} call */
function resultForm(app, call) {
  const area = h("textarea", {
    rows: "2",
    "aria-label": words().resultOf(call.name),
    placeholder: words().result,
    oninput: () => fitHeight(area),
  });
  /** @param {Event} event */
  const onsubmit = (event) => {
    event.preventDefault();
    app.answerCall(call.id, area.value);
  };
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) onsubmit(event);
  });
  return h("form", { onsubmit }, area, h("button", { class: "primary" }, words().sendResult));
}
