/**
 * Markdown of a model as elements of the page. What a model writes is no more trusted than a letter of a stranger:
 * HTML in it is shown as text, what Markdown makes is cleaned by DOMPurify, links tell nothing of this page, and a
 * picture of another site, which would learn of each reader, is a link.
 */
import DOMPurify from "dompurify";
import { Marked } from "marked";
import { h } from "./dom.mjs";
import { icon } from "./icons.mjs";
import { words } from "./languages.mjs";

/** Tags without effect that models write in tables and formulas. */
const harmlessHtml = /^<\/?(br|sub|sup|kbd)\s*\/?>$/i;
const allowedTags =
  "p br hr h1 h2 h3 h4 h5 h6 strong em del code pre blockquote ul ol li table thead tbody tr th td a img sub sup kbd";
const picture = /^data:image\/(png|jpeg|gif|webp);base64,/i;

/** @param {string} text */
const escaped = (text) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const marked = new Marked({
  gfm: true,
  renderer: {
    html: ({ text }) => (harmlessHtml.test(text.trim()) ? text : escaped(text)),
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
    image: ({ href, text, title }) =>
      picture.test(href)
        ? `<img src="${escaped(href)}" alt="${escaped(text)}">`
        : `<a href="${escaped(href)}" title="${escaped(title ?? href)}">🖼 ${escaped(text || href)}</a>`,
  },
});

const purifier = DOMPurify(window);
purifier.addHook("afterSanitizeAttributes", (element) => {
  if (element instanceof HTMLAnchorElement) {
    if (element.protocol === "data:") element.removeAttribute("href");
    element.target = "_blank";
    element.rel = "noopener noreferrer nofollow";
  }
  if (element instanceof HTMLImageElement && !picture.test(element.src)) element.remove();
});

/** Clean elements of a Markdown text. @param {string} text @returns {DocumentFragment} */
function rendered(text) {
  const html = /** @type {string} */ (marked.parse(text, { async: false }));
  const fragment = purifier.sanitize(html, {
    RETURN_DOM_FRAGMENT: true,
    ALLOWED_TAGS: allowedTags.split(" "),
    ALLOWED_ATTR: ["href", "title", "src", "alt", "align", "start", "class"],
    ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|data:image\/)/i,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
  });
  for (const table of fragment.querySelectorAll("table")) {
    const frame = h("div", { class: "table", tabindex: "0", role: "group", "aria-label": words().table });
    table.replaceWith(frame);
    frame.append(table);
  }
  for (const pre of fragment.querySelectorAll("pre")) frameCode(pre);
  return fragment;
}

/** Puts a block of code below its language and a button that copies it. @param {HTMLPreElement} pre */
function frameCode(pre) {
  const code = pre.textContent ?? "";
  const language = /language-([\w+#.-]+)/.exec(pre.firstElementChild?.className ?? "")?.[1] ?? "";
  pre.tabIndex = 0; // so that the keyboard scrolls it
  const copy = h("button", { type: "button", class: "copy-code" }, icon("copy"), h("span", {}, words().copy));
  copy.dataset.copy = code.replace(/\n$/, "");
  const frame = h("div", { class: "code" }, h("div", { class: "code-head" }, h("span", {}, language), copy));
  pre.replaceWith(frame);
  frame.append(pre);
}

/** Blocks that a further piece of the text can still change: the last, and what an empty line parts from it. */
const OPEN_BLOCKS = 2;

/** A Markdown text that grows: only its last blocks are rendered anew. */
export class GrowingMarkdown {
  /** @param {HTMLElement} element Holds nothing else. */
  constructor(element) {
    this.element = element;
    /** What is rendered for good. */
    this.settled = 0;
    this.settledNodes = 0;
    this.text = "";
    this.isEnded = false;
  }

  /** @param {string} text */
  show(text) {
    if (text === this.text) return;
    if (this.isEnded || !text.startsWith(this.text)) this.clear();
    this.text = text;
    const blocks = marked.lexer(text.slice(this.settled));
    const settling = blocks
      .slice(0, -OPEN_BLOCKS)
      .map(({ raw }) => raw)
      .join("");
    this.removeOpen();
    // a text with tabs or carriage returns is not what its blocks say: it is rendered as a whole each time
    if (settling !== "" && text.startsWith(settling, this.settled)) {
      this.element.append(rendered(settling));
      this.settled += settling.length;
      this.settledNodes = this.element.childNodes.length;
    }
    this.element.append(rendered(text.slice(this.settled)));
  }

  /** Renders the whole, since a later line may say where a link leads. @param {string} text */
  end(text) {
    if (this.isEnded && text === this.text) return;
    this.clear();
    this.text = text;
    this.isEnded = true;
    this.element.append(rendered(text));
  }

  clear() {
    this.text = "";
    this.isEnded = false;
    this.settled = 0;
    this.settledNodes = 0;
    this.element.replaceChildren();
  }

  removeOpen() {
    while (this.element.childNodes.length > this.settledNodes) this.element.lastChild?.remove();
  }
}
