/** The list of conversations, and what holds for all of them. */
import { ArchiveError, exported, imported } from "./archive.mjs";
import { download, h, isComposing } from "./dom.mjs";
import { icon } from "./icons.mjs";
import { currentLanguage, words } from "./languages.mjs";
import { currentTheme, setTheme, themes } from "./theme.mjs";

/** @import { App } from "./app.mjs" */
/** @import { Summary } from "./store.mjs" */

const SEARCH_DELAY_MS = 150;

export class Sidebar {
  /** Ids of what matches the search. @type {Set<string> | undefined} */
  matches = undefined;
  renamed = "";

  /** @param {App} app @param {{ setLanguage: (language: "en" | "zh") => void, signal: AbortSignal }} options */
  constructor(app, { setLanguage, signal }) {
    this.app = app;
    const w = words();
    this.closeButton = iconButton("close", w.close, () => {});
    this.closeButton.classList.add("narrow");
    this.search = h("input", { type: "search", id: "search", "aria-label": w.search, placeholder: w.search });
    this.list = h("ul", { class: "conversations" });
    this.empty = h("p", { class: "small" });
    this.file = h("input", { type: "file", accept: ".json,application/json", hidden: true });
    const begin = () => {
      app.newConversation();
      this.onChosen();
    };
    this.element = h(
      "aside",
      { id: "sidebar", "aria-label": w.conversations },
      h(
        "header",
        {},
        h("img", { src: "/favicon.svg", alt: "", width: "22", height: "22" }),
        h("span", { class: "wordmark" }, "Kindling"),
        this.closeButton,
      ),
      h("button", { type: "button", class: "begin", id: "new", onclick: begin }, icon("add"), w.newConversation),
      h("div", { class: "search" }, icon("search"), this.search),
      h("nav", { "aria-label": w.conversations }, this.list, this.empty),
      h("footer", {}, this.files(), preferences(setLanguage)),
    );
    this.onChosen = () => {};
    this.listen(signal);
  }

  /** @param {AbortSignal} signal */
  listen(signal) {
    /** @type {ReturnType<typeof setTimeout>} */
    let timer;
    this.search.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.find(), SEARCH_DELAY_MS);
    });
    this.file.addEventListener("change", async () => {
      const [file] = this.file.files ?? [];
      if (file) await this.import(file);
      this.file.value = "";
    });
    for (const name of ["list", "runs"]) this.app.addEventListener(name, () => this.update(), { signal });
  }

  async find() {
    const text = this.search.value.trim();
    this.matches = text === "" ? undefined : await this.app.store.search(text);
    this.update();
  }

  update() {
    if (this.renamed) return; // the name that is being typed stays
    const focused = document.activeElement?.id;
    const shown = this.app.summaries.filter(({ id }) => this.matches?.has(id) ?? true);
    this.list.replaceChildren(...shown.map((summary) => this.item(summary)));
    this.empty.hidden = shown.length > 0;
    this.empty.textContent = this.matches ? words().noMatches : words().noConversations;
    if (focused && this.list.querySelector(`#${CSS.escape(focused)}`)) document.getElementById(focused)?.focus();
  }

  /** @param {Summary} summary */
  item({ id, title, isPinned }) {
    const w = words();
    const { app } = this;
    const isCurrent = app.conversation.id === id;
    const open = () => {
      void app.open(id);
      this.onChosen();
    };
    const name = title || w.untitled;
    const button = h(
      "button",
      {
        type: "button",
        class: "open",
        id: `open-${id}`,
        "aria-current": isCurrent ? "true" : undefined,
        onclick: open,
      },
      app.runs.has(id) && h("span", { class: "pulse" }),
      h("span", { class: "title" }, name),
      isPinned && h("span", { class: "mark", title: w.pinned }, icon("pin")),
    );
    const pinLabel = `${isPinned ? w.unpin : w.pin}: ${name}`;
    const item = h(
      "li",
      { class: isCurrent ? "current" : undefined },
      button,
      h(
        "span",
        { class: "actions" },
        iconButton("pin", pinLabel, () => app.changeConversation(id, { isPinned: !isPinned })),
        iconButton("edit", `${w.rename}: ${name}`, () => this.rename(item, id, title)),
        iconButton("remove", `${w.remove}: ${name}`, () => app.removeConversation(id)),
      ),
    );
    return item;
  }

  /** @param {HTMLElement} item @param {string} id @param {string} title */
  rename(item, id, title) {
    this.renamed = id;
    const input = h("input", { "aria-label": words().newName, class: "rename" });
    input.value = title;
    /** @param {boolean} isKept */
    const end = (isKept) => {
      if (this.renamed !== id) return;
      this.renamed = "";
      if (isKept && input.value.trim()) void this.app.changeConversation(id, { title: input.value.trim() });
      this.update();
      document.getElementById(`open-${id}`)?.focus();
    };
    input.addEventListener("keydown", (event) => {
      if (isComposing(event)) return;
      if (event.key === "Enter") end(true);
      if (event.key !== "Escape") return;
      event.stopPropagation();
      end(false);
    });
    input.addEventListener("blur", () => end(true));
    item.replaceChildren(input);
    input.select();
  }

  files() {
    const w = words();
    const save = async () => download("kindling-conversations.json", exported(await this.app.store.all()));
    return h(
      "div",
      { class: "row" },
      h(
        "button",
        { type: "button", class: "quiet", id: "import", onclick: () => this.file.click() },
        icon("import"),
        w.importFile,
      ),
      h("button", { type: "button", class: "quiet", id: "export", onclick: save }, icon("export"), w.exportAll),
      this.file,
    );
  }

  /** @param {File} file */
  async import(file) {
    try {
      const conversations = imported(await file.text());
      await this.app.save(...conversations);
      this.app.notify({ text: words().importedCount(conversations.length) });
    } catch (error) {
      if (!(error instanceof ArchiveError)) throw error;
      this.app.notify({ text: words().importRefused(error.message), isBad: true });
    }
  }
}

/** @param {(language: "en" | "zh") => void} setLanguage */
function preferences(setLanguage) {
  const w = words();
  const theme = h("select", { id: "theme", "aria-label": w.theme, title: w.theme });
  for (const name of themes)
    theme.append(h("option", { value: name, selected: name === currentTheme() }, w.themes[name]));
  theme.addEventListener("change", () => setTheme(/** @type {"system" | "light" | "dark"} */ (theme.value)));
  const language = h("select", { id: "language", "aria-label": w.language, title: w.language });
  for (const [value, name] of [
    ["en", "English"],
    ["zh", "中文"],
  ])
    language.append(h("option", { value, lang: value, selected: value === currentLanguage() }, name));
  language.addEventListener("change", () => setLanguage(language.value === "zh" ? "zh" : "en"));
  return h("div", { class: "row" }, language, theme);
}

/** @param {Parameters<typeof icon>[0]} name @param {string} label @param {() => void} onclick */
export function iconButton(name, label, onclick) {
  const attributes = { type: "button", class: "ghost", "aria-label": label, title: label, onclick };
  return h("button", attributes, icon(name));
}
