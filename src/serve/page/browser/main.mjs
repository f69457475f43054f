/** The page: puts the views together, for the language that is chosen. */
import { App } from "./app.mjs";
import { exported } from "./archive.mjs";
import { Composer } from "./composer.mjs";
import { askForKey, notices, showShortcuts } from "./dialogs.mjs";
import { byId, download, h, isComposing } from "./dom.mjs";
import { setLanguage, words } from "./languages.mjs";
import { SettingsView } from "./settings-view.mjs";
import { iconButton, Sidebar } from "./sidebar.mjs";
import { Store } from "./store.mjs";
import { currentTheme, setTheme } from "./theme.mjs";
import { ThreadView } from "./thread-view.mjs";

/** @import { Run } from "./app.mjs" */

/** Characters of an answer that are read out when it is complete; the rest is in the list of messages. */
const ANNOUNCED = 300;
/** Narrower windows show one column at a time. */
const narrow = matchMedia("(max-width: 820px)");

class Page {
  /** Ends the listeners of the views that are shown. */
  mounted = new AbortController();

  /** @param {App} app */
  constructor(app) {
    this.app = app;
  }

  /** Builds all views anew. */
  mount() {
    this.mounted.abort();
    this.mounted = new AbortController();
    const { app } = this;
    const { signal } = this.mounted;
    const isOpen = this.sidebar ? this.isShown("sidebar") : !narrow.matches;
    /** @param {"en" | "zh"} language */
    const change = (language) => {
      setLanguage(language);
      this.mount();
      byId("language").focus();
    };
    this.sidebar = new Sidebar(app, { setLanguage: change, signal });
    this.thread = new ThreadView(app, signal);
    this.settings = new SettingsView(app, signal);
    this.composer = new Composer(app, { editLast: () => this.thread?.editLast(), signal });
    const main = h("main", {}, this.head(signal), this.thread.element, this.composer.element);
    const skip = h("a", { class: "skip", href: "#prompt", onclick: (/** @type {Event} */ event) => this.skip(event) });
    skip.textContent = words().skip;
    const announcement = h("div", { id: "announcement", class: "hidden", "aria-live": "polite" });
    byId("page").replaceChildren(
      skip,
      this.sidebar.element,
      main,
      this.settings.element,
      notices(app, signal),
      announcement,
    );
    this.toggle("sidebar", isOpen);
    this.sidebar.onChosen = () => {
      if (narrow.matches) this.toggle("sidebar", false);
      this.composer?.prompt.focus();
    };
    this.sidebar.closeButton.addEventListener("click", () => this.toggle("sidebar", false, true));
    this.settings.closeButton.addEventListener("click", () => this.toggle("settings", false, true));
    this.announce(announcement, signal);
    document.addEventListener("keydown", (event) => this.onKey(event), { signal });
    for (const name of ["conversation", "list", "models", "runs"]) app.emit(name);
  }

  /** @param {Event} event */
  skip(event) {
    event.preventDefault();
    this.composer?.prompt.focus();
  }

  /** The bar above the messages. @param {AbortSignal} signal */
  head(signal) {
    const { app } = this;
    const w = words();
    const name = h("h1");
    const choice = h("select", { id: "model", "aria-label": w.model });
    choice.addEventListener("change", () => app.changeSettings({ model: choice.value }));
    const update = () => {
      const isChoice = app.models.length > 1;
      name.textContent = app.model.id;
      name.classList.toggle("hidden", isChoice);
      choice.hidden = !isChoice;
      choice.replaceChildren(
        ...app.models.map(({ id }) => h("option", { value: id, selected: id === app.model.id }, id)),
      );
      document.title = `${app.conversation.title || app.model.id} · Kindling`;
      save.hidden = app.conversation.messages.length === 0;
    };
    const save = iconButton("export", w.exportOne, () => download("conversation.json", exported([app.conversation])));
    for (const event of ["models", "conversation"]) app.addEventListener(event, update, { signal });
    const menu = iconButton("menu", w.menu, () => this.toggle("sidebar", !this.isShown("sidebar"), true));
    menu.dataset.opens = "sidebar";
    const settings = iconButton("settings", w.settings, () => this.toggle("settings", !this.isShown("settings"), true));
    settings.dataset.opens = "settings";
    const keys = iconButton("keyboard", w.shortcuts, showShortcuts);
    keys.classList.add("wide");
    return h("header", {}, menu, name, choice, h("span", { class: "space" }), save, keys, settings);
  }

  /** @param {"sidebar" | "settings"} id */
  isShown(id) {
    return byId(id).hidden === false;
  }

  /**
   * Shows or hides a panel.
   * @param {"sidebar" | "settings"} id
   * @param {boolean} isShown
   * @param {boolean} [movesFocus] into it, or back to its button
   */
  toggle(id, isShown, movesFocus = false) {
    const panel = byId(id);
    panel.hidden = !isShown;
    const button = /** @type {HTMLElement} */ (document.querySelector(`[data-opens=${id}]`));
    button.setAttribute("aria-expanded", String(isShown));
    button.setAttribute("aria-controls", id);
    if (isShown && narrow.matches) this.toggle(id === "sidebar" ? "settings" : "sidebar", false);
    if (!movesFocus) return;
    const first = /** @type {HTMLElement | null} */ (panel.querySelector("textarea, input"));
    (isShown ? first : button)?.focus();
  }

  /**
   * Tells screen readers when an answer begins and ends; a word at a time would be noise.
   * @param {HTMLElement} region
   * @param {AbortSignal} signal
   */
  announce(region, signal) {
    this.app.addEventListener(
      "runs",
      () => {
        if (this.app.run) region.textContent = words().writing;
      },
      { signal },
    );
    this.app.addEventListener(
      "answered",
      (event) => {
        const { conversation, answer } = /** @type {CustomEvent<Run>} */ (event).detail;
        if (conversation !== this.app.conversation) return;
        const text = answer.error ?? answer.content.slice(0, ANNOUNCED);
        region.textContent = answer.ending === "stopped" ? words().wasStopped : words().answered(text);
      },
      { signal },
    );
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (isComposing(event)) return;
    const { app } = this;
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) this.escape();
    if (!event.ctrlKey && !event.metaKey) return;
    const combination = (event.altKey ? "alt+" : "") + (event.altKey ? event.code : event.key).toLowerCase();
    /** @type {Record<string, () => void>} */
    const actions = {
      "/": showShortcuts,
      ",": () => this.toggle("settings", !this.isShown("settings"), true),
      k: () => {
        this.toggle("sidebar", true);
        this.sidebar?.search.focus();
      },
      "alt+keyn": () => {
        app.newConversation();
        this.composer?.prompt.focus();
      },
      "alt+keyr": () => {
        const last = app.path.findLast(({ role }) => role === "assistant");
        if (last) app.regenerate(last);
      },
    };
    if (!Object.hasOwn(actions, combination)) return;
    event.preventDefault();
    actions[combination]();
  }

  /** Stops the answer, or else closes what lies over the messages. */
  escape() {
    if (this.app.run) this.app.stop();
    else if (this.isShown("settings")) this.toggle("settings", false, true);
    else if (narrow.matches && this.isShown("sidebar")) this.toggle("sidebar", false, true);
  }
}

setTheme(currentTheme());
const store = await Store.open();
const app = new App(JSON.parse(document.body.dataset.server ?? "{}"), store, askForKey);
const page = new Page(app);
page.mount();
await app.start();
page.composer?.prompt.focus();
document.body.dataset.ready = "";
