/** The panel of a conversation's settings. */
import { h } from "./dom.mjs";
import { icon } from "./icons.mjs";
import { words } from "./languages.mjs";
import { defaultSettings, isValid, samplingFields, toolsOf } from "./settings.mjs";

/** @import { App } from "./app.mjs" */
/** @import { SamplingField } from "./settings.mjs" */

export class SettingsView {
  /** @param {App} app @param {AbortSignal} signal */
  constructor(app, signal) {
    this.app = app;
    this.content = h("div", { class: "panel-content" });
    this.closeButton = h(
      "button",
      { type: "button", class: "ghost", "aria-label": words().close, title: words().close },
      icon("close"),
    );
    const head = h("header", {}, h("h2", {}, words().settings), this.closeButton);
    this.element = h("aside", { id: "settings", "aria-label": words().settings, hidden: true }, head, this.content);
    app.addEventListener(
      "conversation",
      () => {
        // while the reader types here, the fields say what is so already
        if (this.conversationId !== app.conversation.id) this.update();
      },
      { signal },
    );
    this.conversationId = "";
  }

  update() {
    const w = words();
    const { settings } = this.app.conversation;
    this.conversationId = this.app.conversation.id;
    const reset = () => {
      this.app.changeSettings({ sampling: defaultSettings().sampling });
      this.update();
    };
    const probabilities = h("input", { type: "checkbox", id: "probabilities", checked: settings.showsProbabilities });
    probabilities.addEventListener("change", () =>
      this.app.changeSettings({ showsProbabilities: probabilities.checked }),
    );
    this.content.replaceChildren(
      this.area("system", w.system, { placeholder: w.systemHint, rows: "4" }),
      h("label", { class: "switch" }, probabilities, h("span", {}, w.probabilities)),
      h("p", { class: "small" }, w.probabilitiesHint),
      h(
        "fieldset",
        {},
        h("legend", {}, w.sampling),
        h("p", { class: "small" }, w.samplingHint),
        h("div", { class: "grid" }, ...samplingFields.map((field) => this.number(field))),
        this.stops(),
        h("button", { type: "button", class: "quiet", onclick: reset }, w.reset),
      ),
      this.tools(),
    );
  }

  /** @param {SamplingField} field */
  number(field) {
    const { name, min, max, step } = field;
    const w = words();
    const { sampling } = this.app.conversation.settings;
    const limits = max > 1e6 ? w.wholeNumber : w.outOfRange(min, max);
    const fault = h("span", { class: "fault", id: `${name}-fault`, hidden: true }, limits);
    const input = h("input", {
      id: name,
      inputmode: step < 1 ? "decimal" : "numeric",
      autocomplete: "off",
      placeholder: this.defaultOf(name),
      "aria-describedby": `${name}-fault`,
    });
    input.value = sampling[name] ?? "";
    input.addEventListener("input", () => {
      const isFine = isValid(field, input.value);
      fault.hidden = isFine;
      input.setAttribute("aria-invalid", String(!isFine));
      if (isFine)
        this.app.changeSettings({ sampling: { ...this.app.conversation.settings.sampling, [name]: input.value } });
    });
    const title = w.fields[/** @type {keyof typeof w.fields} */ (name)];
    return h("label", {}, h("span", {}, title), input, fault);
  }

  /** @param {string} name */
  defaultOf(name) {
    const value = this.app.facts.defaults[name];
    if (value !== undefined) return String(Number(value.toFixed(4)));
    return name === "seed" ? words().random : name === "max_tokens" ? words().noLimit : "";
  }

  stops() {
    const { sampling } = this.app.conversation.settings;
    const area = h("textarea", { id: "stop", rows: "2" });
    area.value = sampling.stop ?? "";
    area.addEventListener("input", () =>
      this.app.changeSettings({ sampling: { ...this.app.conversation.settings.sampling, stop: area.value } }),
    );
    return h("label", {}, h("span", {}, words().fields.stop), area);
  }

  tools() {
    const fault = h("span", { class: "fault", hidden: true }, words().badTools);
    const label = this.area("tools", words().tools, { placeholder: words().toolsHint, rows: "5", class: "code-area" });
    const check = () => {
      try {
        toolsOf(label.querySelector("textarea")?.value ?? "");
        fault.hidden = true;
      } catch {
        fault.hidden = false;
      }
    };
    label.addEventListener("input", check);
    check();
    label.append(fault);
    return label;
  }

  /** @param {"system" | "tools"} name @param {string} title @param {Record<string, string>} attributes */
  area(name, title, attributes) {
    const area = h("textarea", { id: name, spellcheck: name === "tools" ? "false" : undefined, ...attributes });
    area.value = this.app.conversation.settings[name];
    area.addEventListener("input", () => this.app.changeSettings({ [name]: area.value }));
    return h("label", {}, h("span", {}, title), area);
  }
}
