/** Where messages are written. */
import { fitHeight, h, isComposing } from "./dom.mjs";
import { icon } from "./icons.mjs";
import { words } from "./languages.mjs";
import { keep, kept } from "./storage.mjs";

/** @import { App } from "./app.mjs" */

/** A request has at most 4 MiB, and base64 takes a third more. */
const LARGEST_IMAGE = 3_000_000;
const imageTypes = ["image/png", "image/jpeg", "image/webp", "image/gif"];
/** What was written and not sent outlives a reload. */
const DRAFT = "kindling.draft";

export class Composer {
  /** @type {string[]} */
  images = [];

  /** @param {App} app @param {{ editLast: () => void, signal: AbortSignal }} options */
  constructor(app, { editLast, signal }) {
    this.app = app;
    this.editLast = editLast;
    this.prompt = h("textarea", { id: "prompt", rows: "1", oninput: () => this.onInput() });
    this.prompt.value = kept(DRAFT) ?? "";
    this.previews = h("div", { class: "previews" });
    this.file = h("input", { type: "file", accept: imageTypes.join(","), multiple: true, hidden: true });
    this.attach = h(
      "button",
      { type: "button", class: "ghost attach", "aria-label": words().image, title: words().image, hidden: true },
      icon("image"),
    );
    this.go = h("button", { id: "go", class: "primary round" });
    this.hint = h("p", { class: "hint", id: "hint" });
    this.prompt.setAttribute("aria-describedby", "hint");
    const field = h("div", { class: "field" }, this.previews, this.prompt, this.attach, this.go, this.file);
    this.element = h("form", { id: "composer" }, field, this.hint);
    this.listen(signal);
    this.update();
  }

  /** @param {AbortSignal} signal */
  listen(signal) {
    const { app, prompt, element, file } = this;
    element.addEventListener("submit", (event) => {
      event.preventDefault();
      if (app.run) app.stop();
      else this.send();
    });
    prompt.addEventListener("keydown", (event) => this.onKey(event));
    prompt.addEventListener("paste", (event) => this.take(event, event.clipboardData?.files));
    element.addEventListener("dragover", (event) => event.preventDefault());
    element.addEventListener("drop", (event) => this.take(event, event.dataTransfer?.files));
    this.attach.addEventListener("click", () => file.click());
    file.addEventListener("change", (event) => this.take(event, file.files).then(() => (file.value = "")));
    for (const name of ["conversation", "runs", "models"]) app.addEventListener(name, () => this.update(), { signal });
  }

  update() {
    const { app, prompt, go } = this;
    const w = words();
    const isChat = app.conversation.mode === "chat";
    const label = app.run ? w.stop : isChat ? w.send : w.go;
    if (go.getAttribute("aria-label") !== label) {
      go.setAttribute("aria-label", label);
      go.title = label;
      go.dataset.state = app.run ? "stop" : "send";
      go.replaceChildren(icon(app.run ? "stop" : isChat ? "send" : "forward"));
    }
    prompt.setAttribute("aria-label", isChat ? w.message : w.beginning);
    const isBegun = app.conversation.messages.length > 0;
    prompt.placeholder = isChat ? w.writeMessage : isBegun ? w.goOnText : w.writeText;
    this.hint.textContent = isChat ? w.hintChat : w.hintText;
    this.attach.hidden = !(isChat && app.model.takesImages);
    fitHeight(prompt);
  }

  onInput() {
    fitHeight(this.prompt);
    keep(DRAFT, this.prompt.value || undefined);
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (isComposing(event)) return;
    if (event.key === "ArrowUp" && this.prompt.value === "") {
      event.preventDefault();
      this.editLast();
    }
    if (event.key !== "Enter" || event.shiftKey) return;
    if (this.app.conversation.mode === "text" && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    if (!this.app.run) this.send();
  }

  send() {
    const { prompt, images, app } = this;
    const isChat = app.conversation.mode === "chat";
    const text = isChat ? prompt.value.trim() : prompt.value;
    if (isChat && text === "" && images.length === 0) return;
    prompt.value = "";
    this.images = [];
    this.onInput();
    this.showImages();
    app.send(text, images);
  }

  /** Takes the images among files. @param {Event} event @param {FileList | null | undefined} files */
  async take(event, files) {
    if (!files?.length) return;
    event.preventDefault();
    if (this.attach.hidden) return;
    for (const image of files) {
      if (!imageTypes.includes(image.type)) this.app.notify({ text: words().notAnImage, isBad: true });
      else if (image.size > LARGEST_IMAGE) this.app.notify({ text: words().imageTooLarge, isBad: true });
      else this.images.push(await dataUrl(image));
    }
    this.showImages();
  }

  showImages() {
    this.previews.replaceChildren(
      ...this.images.map((url, i) => {
        const onclick = () => {
          this.images.splice(i, 1);
          this.showImages();
          this.prompt.focus();
        };
        const attributes = { type: "button", "aria-label": words().removeImage, title: words().removeImage, onclick };
        return h(
          "span",
          {},
          h("img", { src: url, alt: words().attachedImage }),
          h("button", attributes, icon("close")),
        );
      }),
    );
  }
}

/** @param {Blob} blob @returns {Promise<string>} */
function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
