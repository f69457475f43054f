/** The messages that are shown. It follows an answer to its end unless the reader has scrolled away. */
import { h } from "./dom.mjs";
import { icon } from "./icons.mjs";
import { words } from "./languages.mjs";
import { copyText, MessageView } from "./message-view.mjs";
import { watchTokens } from "./probabilities.mjs";
import { welcome } from "./welcome.mjs";

/** @import { App } from "./app.mjs" */
/** @import { Message } from "./conversation.mjs" */

/** So near to the end, in pixels, that the reader is at it. */
const AT_END = 48;

export class ThreadView {
  /** @type {Map<Message, MessageView>} */
  views = new Map();
  isFollowing = true;
  /** @type {Message | undefined} The answer that waits for the next frame. */
  growing = undefined;

  /** @param {App} app @param {AbortSignal} signal */
  constructor(app, signal) {
    this.app = app;
    this.list = h("div", { class: "messages" });
    this.latest = h(
      "button",
      { type: "button", class: "latest", hidden: true, "aria-label": words().toLatest, title: words().toLatest },
      icon("down"),
    );
    this.latest.addEventListener("click", () => this.toEnd());
    this.scroller = h("section", { class: "thread", tabindex: "0", "aria-label": words().thread }, this.list);
    this.element = h("div", { class: "thread-frame" }, this.scroller, this.latest);
    this.scroller.addEventListener("scroll", () => this.onScroll(), { signal, passive: true });
    this.scroller.addEventListener("click", onCopy, { signal });
    app.addEventListener("conversation", () => this.update(), { signal });
    app.addEventListener("message", (event) => this.onGrowth(/** @type {CustomEvent} */ (event).detail), { signal });
    watchTokens(this.element, signal);
    this.conversationId = "";
  }

  get isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight < AT_END;
  }

  onScroll() {
    this.isFollowing = this.isAtEnd;
    this.latest.hidden = this.isFollowing;
  }

  toEnd() {
    this.isFollowing = true;
    this.latest.hidden = true;
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  /** Shows the path of the conversation; messages that were shown keep their elements. */
  update() {
    const { app } = this;
    const { conversation, path } = app;
    const isOther = this.conversationId !== conversation.id;
    const isLonger = path.length > this.views.size || path.some((message) => !this.views.has(message));
    this.conversationId = conversation.id;
    this.element.dataset.mode = conversation.mode;
    const views = new Map(path.map((message) => [message, this.views.get(message) ?? new MessageView(app, message)]));
    this.views = views;
    const hadFocus = this.list.contains(document.activeElement);
    for (const view of views.values()) view.update(view.message === path.at(-1));
    const elements = path.length > 0 ? [...views.values()].map(({ element }) => element) : [welcome(app)];
    for (const child of [...this.list.children]) if (!elements.includes(/** @type {any} */ (child))) child.remove();
    for (const [i, element] of elements.entries())
      if (this.list.children[i] !== element) this.list.insertBefore(element, this.list.children[i] ?? null);
    if (hadFocus && !this.list.contains(document.activeElement)) this.scroller.focus({ preventScroll: true });
    if (isOther || (isLonger && app.run) || this.isFollowing) this.toEnd();
  }

  /** Many pieces of an answer may come between two frames. @param {Message} message */
  onGrowth(message) {
    if (this.growing) return;
    this.growing = message;
    requestAnimationFrame(() => {
      this.growing = undefined;
      this.views.get(message)?.grow();
      if (this.isFollowing) this.scroller.scrollTop = this.scroller.scrollHeight;
    });
  }

  /** Opens the last message of the user for editing. */
  editLast() {
    const last = this.app.path.findLast(({ role }) => role === "user");
    if (last) this.views.get(last)?.edit();
  }
}

/** @param {MouseEvent} event */
function onCopy({ target }) {
  const button = /** @type {Element} */ (target).closest("[data-copy]");
  if (button instanceof HTMLElement) void copyText(button, button.dataset.copy ?? "");
}
