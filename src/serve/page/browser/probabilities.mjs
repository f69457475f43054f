/** Tokens tinted by how probable they were; a token that is pointed at shows what else was likely. */
import { h } from "./dom.mjs";
import { words } from "./languages.mjs";

/** @import { Token } from "./conversation.mjs" */

/** Least probability of each tint, the likeliest first: that is not tinted. */
const tints = [0.9, 0.6, 0.3, 0.1, 0];
/** @type {WeakMap<Element, Token>} */
const tokenOf = new WeakMap();

/** @param {number} logprob */
function percent(logprob) {
  const value = Math.exp(logprob) * 100;
  if (value >= 99.95) return "100 %";
  return value < 0.1 ? "< 0.1 %" : `${value.toFixed(1)} %`;
}

/** What of a token cannot be seen. @param {string} text */
const visible = (text) => text.replaceAll("\n", "↵").replaceAll("\t", "⇥").replaceAll(" ", "␣") || "∅";

export const tokenList = () => h("div", { class: "token-list", role: "group", "aria-label": words().tokenList });

/** Adds the tokens that a list does not show yet. @param {Element} list @param {readonly Token[]} tokens */
export function growTokens(list, tokens) {
  for (const [i, token] of tokens.slice(list.children.length).entries()) {
    const tint = tints.findIndex((least) => Math.exp(token.logprob) >= least);
    const label = words().likely(visible(token.text), percent(token.logprob));
    // the Tab key reaches the first one
    const tabindex = i === 0 && list.children.length === 0 ? "0" : "-1";
    const attributes = { class: `token tint${tint}`, tabindex, role: "img", "aria-label": label };
    const span = h("span", attributes, token.text);
    tokenOf.set(span, token);
    list.append(span);
  }
}

/** Shows the alternatives of the tokens below an element. @param {HTMLElement} root @param {AbortSignal} signal */
export function watchTokens(root, signal) {
  const card = h("div", { class: "alternatives", role: "tooltip", id: "alternatives", hidden: true });
  root.append(card);
  /** @param {EventTarget | null} target */
  const tokenAt = (target) => /** @type {HTMLElement | null} */ (/** @type {Element} */ (target).closest?.(".token"));
  /** @param {Event} event */
  const show = ({ target }) => {
    const span = tokenAt(target);
    const token = span && tokenOf.get(span);
    card.hidden = !token;
    if (!span || !token) return;
    card.replaceChildren(...rows(token));
    span.setAttribute("aria-describedby", "alternatives");
    place(card, span);
  };
  const hide = () => {
    card.hidden = true;
  };
  root.addEventListener("pointerover", show, { signal });
  root.addEventListener("focusin", show, { signal });
  root.addEventListener("focusout", hide, { signal });
  root.addEventListener("pointerleave", hide, { signal });
  root.addEventListener("scroll", hide, { signal, capture: true });
  root.addEventListener("keydown", (event) => moveFocus(event, tokenAt(event.target)), { signal });
}

/** @param {Token} token */
function rows({ text, logprob, top }) {
  const others = top.some((other) => other.text === text) ? top : [{ text, logprob }, ...top];
  return others.map((other) => {
    const bar = h("span", { class: "bar" });
    bar.style.setProperty("--share", String(Math.exp(other.logprob)));
    const isChosen = other.text === text;
    return h(
      "div",
      { class: isChosen ? "row chosen" : "row" },
      h("code", {}, visible(other.text)),
      bar,
      h("span", {}, percent(other.logprob)),
    );
  });
}

/** Below a token, within the window. @param {HTMLElement} card @param {HTMLElement} span */
function place(card, span) {
  const { left, bottom, top } = span.getClientRects()[0] ?? span.getBoundingClientRect();
  const isBelow = bottom + card.offsetHeight + 8 < innerHeight;
  card.style.left = `${Math.max(8, Math.min(left, innerWidth - card.offsetWidth - 8))}px`;
  card.style.top = `${isBelow ? bottom + 6 : Math.max(8, top - card.offsetHeight - 6)}px`;
}

/**
 * The list is one stop of the Tab key; arrows move within.
 * @param {KeyboardEvent} event
 * @param {HTMLElement | null} span
 */
function moveFocus(event, span) {
  if (!span) return;
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const next = step === 1 ? span.nextElementSibling : step === -1 ? span.previousElementSibling : null;
  if (!(next instanceof HTMLElement)) return;
  event.preventDefault();
  focusable(next);
  next.focus();
}

/** Makes a token the one of its list that the Tab key reaches. @param {HTMLElement} span */
function focusable(span) {
  for (const other of span.parentElement?.querySelectorAll('[tabindex="0"]') ?? [])
    other.setAttribute("tabindex", "-1");
  span.tabIndex = 0;
}
