/** What is asked and told above the page. */
import { hasApiKey, setApiKey } from "./client.mjs";
import { h } from "./dom.mjs";
import { icon } from "./icons.mjs";
import { words } from "./languages.mjs";

/** @import { App, Notice } from "./app.mjs" */

/** How long a notice stays that tells of nothing bad. */
const NOTICE_MS = 8000;

/** Asks for a key that the server knows. @returns {Promise<boolean>} whether one was given */
export function askForKey() {
  const w = words();
  const key = h("input", { type: "password", id: "api-key", autocomplete: "off", required: true });
  const keeps = h("input", { type: "checkbox" });
  const cancel = () => dialog.close("");
  const dialog = h(
    "dialog",
    { "aria-labelledby": "key-title", "aria-describedby": "key-hint", class: "key" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "key-title" }, w.apiKey),
      h("p", { id: "key-hint" }, hasApiKey() ? w.apiKeyUnknown : w.apiKeyHint),
      h("label", {}, h("span", {}, w.apiKey), key),
      h("label", { class: "switch" }, keeps, h("span", {}, w.rememberKey)),
      h("p", { class: "small" }, w.docsHint, h("a", { href: "/docs", target: "_blank", rel: "noopener" }, "/docs")),
      h(
        "div",
        { class: "row" },
        h("button", { type: "button", class: "quiet", onclick: cancel }, w.cancel),
        h("button", { class: "primary", value: "use" }, w.useKey),
      ),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (dialog.returnValue === "use") setApiKey(key.value, keeps.checked);
      resolve(dialog.returnValue === "use");
    }),
  );
}

/** @type {readonly (readonly [keyof typeof import("./english.mjs").english.keys, string])[]} */
const shortcuts = [
  ["send", "Enter"],
  ["line", "Shift+Enter"],
  ["stop", "Esc"],
  ["edit", "↑"],
  ["retry", "Ctrl+Alt+R"],
  ["newConversation", "Ctrl+Alt+N"],
  ["search", "Ctrl+K"],
  ["settings", "Ctrl+,"],
  ["shortcuts", "Ctrl+/"],
];

export function showShortcuts() {
  if (document.querySelector("dialog.shortcuts")) return;
  const w = words();
  const rows = shortcuts.map(([name, keys]) =>
    h("div", {}, h("dt", {}, w.keys[name]), h("dd", {}, ...keys.split("+").map((key) => h("kbd", {}, key)))),
  );
  const close = h("button", { type: "button", class: "ghost", "aria-label": w.close, title: w.close }, icon("close"));
  close.addEventListener("click", () => dialog.close());
  const head = h("header", {}, h("h2", { id: "shortcuts-title" }, w.shortcuts), close);
  const dialog = h("dialog", { class: "shortcuts", "aria-labelledby": "shortcuts-title" }, head, h("dl", {}, ...rows));
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
}

/** The place of notices. @param {App} app @param {AbortSignal} signal */
export function notices(app, signal) {
  const element = h("div", { id: "notices", role: "status" });
  app.addEventListener(
    "notice",
    (event) => {
      const { text, isBad, action } = /** @type {CustomEvent<Notice>} */ (event).detail;
      const remove = () => notice.remove();
      const act = () => {
        remove();
        action?.run();
      };
      const notice = h(
        "div",
        { class: isBad ? "notice bad" : "notice" },
        h("span", {}, text),
        action && h("button", { type: "button", class: "quiet", onclick: act }, action.label),
        h("button", { type: "button", class: "ghost", "aria-label": words().dismiss, onclick: remove }, icon("close")),
      );
      element.append(notice);
      if (!isBad) setTimeout(remove, NOTICE_MS);
    },
    { signal },
  );
  return element;
}
