/** What an empty conversation shows: which model this is, and what it can be asked for. */
import { h } from "./dom.mjs";
import { words } from "./languages.mjs";

/** @import { App } from "./app.mjs" */
/** @import { Mode } from "./conversation.mjs" */

/** @param {App} app */
export function welcome(app) {
  const w = words();
  const { mode } = app.conversation;
  const { id, contextLength } = app.model;
  /** @param {Mode} value */
  const choice = (value) => {
    const onchange = () => {
      app.newConversation(value);
      /** @type {HTMLElement | null} */ (document.querySelector(`[name=mode][value=${value}]`))?.focus();
    };
    const input = h("input", { type: "radio", name: "mode", value, checked: value === mode, onchange });
    return h("label", {}, input, h("span", {}, w.modes[value]));
  };
  return h(
    "div",
    { class: "welcome" },
    h("img", { src: "/favicon.svg", alt: "", width: "44", height: "44" }),
    h("h2", {}, id),
    h("p", {}, w.modeHints[mode]),
    h("div", { class: "modes", role: "radiogroup", "aria-label": w.mode }, choice("chat"), choice("text")),
    h(
      "p",
      { class: "small" },
      contextLength === undefined ? undefined : h("span", {}, w.contextOf(contextLength)),
      h("span", {}, w.privacy),
    ),
  );
}
