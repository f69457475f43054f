/** One message. While an answer grows, only what has changed is touched. */
import { following } from "./conversation.mjs";
import { fitHeight, h, isComposing } from "./dom.mjs";
import { icon } from "./icons.mjs";
import { words } from "./languages.mjs";
import { GrowingMarkdown } from "./markdown.mjs";
import { growTokens, tokenList } from "./probabilities.mjs";
import { toolCards } from "./tool-view.mjs";

/** @import { App } from "./app.mjs" */
/** @import { Message, Stats } from "./conversation.mjs" */

export class MessageView {
  /** @param {App} app @param {Message} message */
  constructor(app, message) {
    this.app = app;
    this.message = message;
    this.body = h("div", { class: "body" });
    this.markdown = new GrowingMarkdown(this.body);
    this.thoughtText = h("div", { class: "thought-text" });
    this.thoughtTitle = h("summary");
    this.thoughts = h("details", { class: "thoughts", hidden: true }, this.thoughtTitle, this.thoughtText);
    this.images = h("div", { class: "images" });
    this.calls = h("div", { class: "calls" });
    this.error = h("p", { class: "error", hidden: true });
    this.stats = h("span", { class: "stats" });
    this.actions = h("div", { class: "actions" });
    this.element = h(
      "article",
      { class: `message ${message.role}`, "data-id": message.id, "aria-label": words().roles[message.role] },
      this.images,
      this.thoughts,
      this.body,
      this.calls,
      this.error,
      h("footer", {}, this.actions, this.stats),
    );
    this.editor = /** @type {HTMLElement | undefined} */ (undefined);
  }

  get isRunning() {
    return this.app.run?.answer === this.message;
  }

  /** Shows the message as it is now, whole. @param {boolean} isLast of those that are shown */
  update(isLast) {
    const { message, app, isRunning } = this;
    this.showText();
    this.showThoughts();
    this.images.replaceChildren(
      ...(message.images ?? []).map((url) => h("img", { src: url, alt: words().attachedImage })),
    );
    this.calls.replaceChildren(...toolCards(app, message, isRunning));
    this.error.hidden = message.error === undefined;
    this.error.textContent = message.error ?? "";
    this.element.setAttribute("aria-busy", String(isRunning));
    this.stats.textContent = this.statsText();
    this.actions.replaceChildren(...(isRunning ? [] : this.buttons(isLast)));
  }

  /** Shows what has come since. */
  grow() {
    if (!this.isRunning) return; // it has ended since, and was shown whole
    this.showText();
    this.showThoughts();
    if (this.message.toolCalls) this.calls.replaceChildren(...toolCards(this.app, this.message, true));
    this.stats.textContent = this.statsText();
  }

  showText() {
    const { message, app, body } = this;
    const { tokens, content, role } = message;
    if (tokens?.length && app.conversation.settings.showsProbabilities) {
      if (!body.firstElementChild?.classList.contains("token-list")) {
        this.markdown.clear();
        body.replaceChildren(tokenList());
      }
      growTokens(/** @type {Element} */ (body.firstElementChild), tokens);
    } else if (role === "assistant" && app.conversation.mode === "chat") {
      if (this.isRunning) this.markdown.show(content);
      else this.markdown.end(content);
    } else body.textContent = content;
    body.classList.toggle("waiting", this.isRunning && content === "" && !message.reasoning && !message.toolCalls);
  }

  showThoughts() {
    const { reasoning = "", content } = this.message;
    this.thoughts.hidden = reasoning.trim() === "";
    if (this.thoughts.hidden) return;
    this.thoughtTitle.textContent = this.isRunning && content === "" ? words().thinking : words().thoughts;
    const text = reasoning.trim();
    const { firstChild } = this.thoughtText;
    if (firstChild instanceof Text && text.startsWith(firstChild.data))
      firstChild.appendData(text.slice(firstChild.length));
    else this.thoughtText.textContent = text;
  }

  statsText() {
    const { stats, ending, model } = this.message;
    const parts = stats ? statsWords(stats) : [];
    if (model && this.app.models.length > 1) parts.unshift(model);
    if (ending === "length" || ending === "stopped" || ending === "error") parts.push(words().endings[ending]);
    return parts.join(" · ");
  }

  /** @param {boolean} isLast */
  buttons(isLast) {
    const { app, message } = this;
    const { role, ending } = message;
    const canContinue =
      role === "assistant" &&
      isLast &&
      !message.toolCalls &&
      message.content !== "" &&
      app.conversation.mode === "chat";
    return [
      ...this.versions(),
      this.button("copy", words().copy, (event) => copyText(event.currentTarget, message.content)),
      role !== "tool" && this.button("edit", words().edit, () => this.edit()),
      role === "assistant" && this.button("retry", words().retry, () => app.regenerate(message)),
      canContinue &&
        (ending === "length" || ending === "stopped" || ending === "error") &&
        this.button("forward", words().continue, () => app.continueAnswer(message)),
      this.button("remove", words().remove, () => app.remove(message)),
    ].filter((button) => button !== false);
  }

  /** @param {Parameters<typeof icon>[0]} name @param {string} label @param {(event: MouseEvent) => void} onclick */
  button(name, label, onclick) {
    return h(
      "button",
      { type: "button", class: `ghost ${name}`, title: label, "aria-label": label, onclick },
      icon(name),
    );
  }

  /** The switch between the versions of a message. */
  versions() {
    const { app, message } = this;
    const siblings = following(app.conversation, message.parent);
    if (siblings.length < 2) return [];
    const at = siblings.indexOf(message);
    /** @param {-1 | 1} step */
    const step = (step) => () => {
      const next = app.showNeighbour(message, step);
      const selector = `[data-id="${CSS.escape(next?.id ?? "")}"] .${step < 0 ? "previous" : "next"}`;
      /** @type {HTMLElement | null} */ (document.querySelector(selector))?.focus();
    };
    const previous = this.button("previous", words().previous, step(-1));
    const next = this.button("next", words().next, step(1));
    previous.disabled = at === 0;
    next.disabled = at === siblings.length - 1;
    const label = words().version(at + 1, siblings.length);
    return [
      h(
        "span",
        { class: "versions", role: "group", "aria-label": label },
        previous,
        h("span", { title: label }, `${at + 1} / ${siblings.length}`),
        next,
      ),
    ];
  }

  /** A field in the place of the text; what is saved stands beside it as another version. */
  edit() {
    if (this.app.run || this.editor) return;
    const { app, message } = this;
    const area = h("textarea", { "aria-label": words().editMessage, rows: "1", oninput: () => fitHeight(area) });
    area.value = message.content;
    const close = () => {
      this.editor?.replaceWith(this.body);
      this.editor = undefined;
      this.element.classList.remove("editing");
      /** @type {HTMLElement | null} */ (this.actions.querySelector(".edit"))?.focus();
    };
    const save = () => {
      close();
      if (area.value !== message.content || message.role === "user") app.edit(message, area.value);
    };
    area.addEventListener("keydown", (event) => {
      if (isComposing(event)) return;
      if (event.key === "Escape") {
        event.stopPropagation();
        close();
      } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save();
    });
    const label = message.role === "user" ? words().saveAndSend : words().save;
    this.editor = h(
      "div",
      { class: "editor" },
      area,
      h(
        "div",
        { class: "row" },
        h("button", { type: "button", class: "quiet", onclick: close }, words().cancel),
        h("button", { type: "button", class: "primary", onclick: save }, label),
      ),
    );
    this.element.classList.add("editing");
    this.body.replaceWith(this.editor);
    fitHeight(area);
    area.focus();
  }
}

/** @param {number} ms */
const duration = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

/** @param {Stats} stats */
function statsWords({ promptTokens, completionTokens, firstTokenMs, totalMs }) {
  const w = words();
  const seconds = (totalMs - firstTokenMs) / 1000;
  const rate = (completionTokens - 1) / seconds;
  return [
    w.tokens(completionTokens),
    ...(promptTokens === undefined ? [] : [w.promptTokens(promptTokens)]),
    ...(completionTokens > 1 && seconds > 0.05 ? [w.perSecond(rate < 10 ? rate.toFixed(1) : rate.toFixed(0))] : []),
    ...(firstTokenMs > 0 ? [w.firstToken(duration(firstTokenMs))] : []),
  ];
}

/** @param {EventTarget | null} target The button, which says that it is done. @param {string} text */
export async function copyText(target, text) {
  const button = /** @type {HTMLElement} */ (target);
  if (navigator.clipboard) await navigator.clipboard.writeText(text);
  else copyBySelection(text);
  const before = [...button.childNodes];
  const label = button.querySelector("span");
  button.replaceChildren(icon("check"), ...(label ? [h("span", {}, words().copied)] : []));
  document.getElementById("announcement")?.replaceChildren(words().copied);
  setTimeout(() => button.replaceChildren(...before), 1500);
}

/** Pages that came without TLS from another machine have no clipboard. @param {string} text */
function copyBySelection(text) {
  const area = h("textarea", { class: "hidden" });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
