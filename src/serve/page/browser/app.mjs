/**
 * What the page does, without how it looks: conversations, answers under way, what is kept. Views listen to its events:
 * "conversation" (another one, or other messages of it), "message" (an answer grows), "list", "runs", "models" and
 * "notice".
 */
import { writeAnswer } from "./answer.mjs";
import { listModels, ServerError } from "./client.mjs";
import {
  addMessage,
  newConversation,
  openCalls,
  pathTo,
  removeMessage,
  showNeighbour,
  shownPath,
} from "./conversation.mjs";
import { words } from "./languages.mjs";
import { loadSettings, saveSettings } from "./settings.mjs";

/** @import { Conversation, Message, Mode } from "./conversation.mjs" */
/** @import { Model } from "./client.mjs" */
/** @import { Store, Summary } from "./store.mjs" */

/** @typedef {{ model: string, mode: Mode, contextLength: number, defaults: Record<string, number> }} ServerFacts */
/** @typedef {{ text: string, isBad?: boolean, action?: { label: string, run: () => void } }} Notice */
/** @typedef {{ controller: AbortController, conversation: Conversation, answer: Message }} Run */

/** How often an answer under way is kept. */
const SAVE_EVERY_MS = 1000;

export class App extends EventTarget {
  /** @type {Summary[]} */
  summaries = [];
  /** @type {Model[]} */
  models = [];
  /** Answers under way, by conversation. @type {Map<string, Run>} */
  runs = new Map();
  isFull = false;

  /** @param {ServerFacts} facts @param {Store} store @param {() => Promise<boolean>} askForKey */
  constructor(facts, store, askForKey) {
    super();
    this.facts = facts;
    this.store = store;
    this.askForKey = askForKey;
    this.conversation = newConversation(facts.mode, loadSettings());
    store.channel.onmessage = ({ data }) => void this.onForeignChange(data);
  }

  /** @param {string} name @param {unknown} [detail] */
  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** @param {Notice} notice */
  notify(notice) {
    this.emit("notice", notice);
  }

  async start() {
    const id = location.hash.slice(1);
    if (!(await this.open(id))) this.emit("conversation");
    if (!this.store.isLasting) this.notify({ text: words().nothingKept });
    await this.refreshList();
    await this.loadModels();
  }

  async loadModels() {
    try {
      this.models = await this.withKey(listModels);
      this.emit("models");
    } catch (error) {
      this.notify({ text: inWords(error), isBad: true });
    }
  }

  /** Does what the server may refuse without a key, and asks for one. @template T @param {() => Promise<T>} run */
  async withKey(run) {
    for (;;) {
      try {
        return await run();
      } catch (error) {
        if (!(error instanceof ServerError) || error.status !== 401 || !(await this.askForKey())) throw error;
      }
    }
  }

  /** The model that the conversation asks for. @returns {Model} */
  get model() {
    const { facts, models } = this;
    const { model } = this.conversation.settings;
    return (
      models.find(({ id }) => id === model) ??
      models.find(({ id }) => id === facts.model) ?? {
        id: facts.model,
        contextLength: facts.contextLength,
        takesImages: false,
      }
    );
  }

  get run() {
    return this.runs.get(this.conversation.id);
  }

  get path() {
    return shownPath(this.conversation);
  }

  /** @param {Mode} [mode] */
  newConversation(mode = this.conversation.mode) {
    this.show(newConversation(mode, loadSettings()));
  }

  /** @param {string} id @returns {Promise<boolean>} whether there is one */
  async open(id) {
    const conversation = this.runs.get(id)?.conversation ?? (id && (await this.store.get(id)));
    if (!conversation) return false;
    this.show(conversation);
    return true;
  }

  /** @param {Conversation} conversation */
  show(conversation) {
    this.conversation = conversation;
    const hash = conversation.messages.length > 0 ? `#${conversation.id}` : "";
    history.replaceState(null, "", location.pathname + location.search + hash);
    this.emit("conversation");
    this.emit("runs");
    this.emit("list");
  }

  /**
   * Changes settings of this conversation, with which the next one begins.
   * @param {Partial<Conversation["settings"]>} changes
   */
  changeSettings(changes) {
    Object.assign(this.conversation.settings, changes);
    saveSettings(this.conversation.settings);
    if (this.conversation.messages.length > 0) void this.save();
    this.emit("models");
    if (changes.showsProbabilities !== undefined) this.emit("conversation");
  }

  /** @param {string} text @param {string[]} [images] */
  send(text, images = []) {
    if (this.run) return;
    const { path, conversation } = this;
    const last = path[path.length - 1];
    if (text === "" && conversation.mode === "text" && last?.role === "assistant") {
      this.continueAnswer(last);
      return;
    }
    if (text !== "" || images.length > 0) {
      const parts = images.length > 0 ? { images } : {};
      addMessage(conversation, { parent: last?.id ?? "", role: "user", content: text, ...parts });
    }
    this.answer();
  }

  /** Answers what is shown. */
  answer() {
    const { path, conversation } = this;
    if (path.length === 0 && conversation.mode === "chat") return;
    const parent = path[path.length - 1]?.id ?? "";
    this.write(addMessage(conversation, { parent, role: "assistant", content: "" }));
  }

  /** Asks again; the answer that there is stays beside the new one. @param {Message} message */
  regenerate(message) {
    if (this.run) return;
    this.write(addMessage(this.conversation, { parent: message.parent, role: "assistant", content: "" }));
  }

  /** @param {Message} message */
  continueAnswer(message) {
    if (this.run) return;
    delete message.error;
    this.write(message);
  }

  /** Another version beside a message; that of a user is answered. @param {Message} message @param {string} content */
  edit(message, content) {
    if (this.run) return;
    const { parent, role, images, toolCallId } = message;
    const parts = { ...(images && { images }), ...(toolCallId !== undefined && { toolCallId }) };
    addMessage(this.conversation, { parent, role, content, ...parts });
    if (role === "assistant") this.changed();
    else this.answer();
  }

  /** @param {Message} message @param {-1 | 1} step */
  showNeighbour(message, step) {
    const next = showNeighbour(this.conversation, message, step);
    this.changed();
    return next;
  }

  /** @param {Message} message */
  remove(message) {
    if (this.run) return;
    const { conversation } = this;
    const { messages, selected } = structuredClone({
      messages: conversation.messages,
      selected: conversation.selected,
    });
    removeMessage(conversation, message.id);
    this.changed();
    const undo = () => {
      if (this.runs.has(conversation.id)) return;
      Object.assign(conversation, { messages, selected });
      void this.save(conversation);
      if (this.conversation.id === conversation.id) this.show(conversation);
    };
    this.notify({ text: words().messageRemoved, action: { label: words().undo, run: undo } });
  }

  /**
   * Takes the result of a tool; when no call is open any more, the model goes on.
   * @param {string} callId
   * @param {string} text
   */
  answerCall(callId, text) {
    if (this.run) return;
    const parent = this.path[this.path.length - 1].id;
    addMessage(this.conversation, { parent, role: "tool", content: text, toolCallId: callId });
    if (openCalls(this.path).length === 0) this.answer();
    else this.changed();
  }

  stop() {
    this.run?.controller.abort();
  }

  /** @param {Message} answer */
  async write(answer) {
    const { conversation } = this;
    const controller = new AbortController();
    const run = { controller, conversation, answer };
    this.runs.set(conversation.id, run);
    delete answer.ending;
    this.changed();
    this.emit("runs");
    let saved = performance.now();
    const onChange = () => {
      this.emit("message", answer);
      if (performance.now() - saved < SAVE_EVERY_MS) return;
      saved = performance.now();
      void this.save(conversation);
    };
    try {
      const path = pathTo(conversation, answer.id);
      const options = { model: this.model, signal: controller.signal, onChange };
      await this.withKey(() => writeAnswer(conversation, path, options));
    } catch (error) {
      answer.ending = controller.signal.aborted ? "stopped" : "error";
      if (!controller.signal.aborted) answer.error = inWords(error);
    }
    this.runs.delete(conversation.id);
    conversation.updatedAt = Date.now();
    await this.save(conversation);
    if (this.conversation === conversation) this.emit("conversation");
    this.emit("runs");
    this.emit("answered", run);
  }

  /** Shows and keeps the conversation as it is now. */
  changed() {
    this.conversation.updatedAt = Date.now();
    history.replaceState(null, "", `#${this.conversation.id}`);
    this.emit("conversation");
    void this.save();
  }

  /** @param {...Conversation} conversations */
  async save(...conversations) {
    try {
      await this.store.put(...(conversations.length > 0 ? conversations : [this.conversation]));
      this.isFull = false;
    } catch (error) {
      if (!this.isFull) {
        const isQuota = /** @type {DOMException} */ (error).name === "QuotaExceededError";
        this.notify({ text: isQuota ? words().storageFull : words().notKept(String(error)), isBad: true });
      }
      this.isFull = true;
    }
    await this.refreshList();
  }

  async refreshList() {
    this.summaries = await this.store.summaries();
    this.emit("list");
  }

  /** @param {string} id @param {Partial<Pick<Conversation, "title" | "isPinned">>} changes */
  async changeConversation(id, changes) {
    const running = this.conversation.id === id ? this.conversation : this.runs.get(id)?.conversation;
    const conversation = running ?? (await this.store.get(id));
    if (!conversation) return;
    Object.assign(conversation, changes);
    await this.save(conversation);
  }

  /** @param {string} id */
  async removeConversation(id) {
    this.runs.get(id)?.controller.abort();
    const conversation = await this.store.get(id);
    await this.store.remove(id);
    if (this.conversation.id === id) this.newConversation();
    await this.refreshList();
    if (!conversation) return;
    const undo = () => this.save(conversation).then(() => this.open(id));
    this.notify({ text: words().conversationRemoved, action: { label: words().undo, run: undo } });
  }

  /** Another page has changed a conversation. @param {string} id */
  async onForeignChange(id) {
    await this.refreshList();
    if (this.conversation.id !== id || this.runs.has(id)) return;
    const conversation = await this.store.get(id);
    if (conversation && this.conversation.id === id && !this.runs.has(id)) {
      this.conversation = conversation;
      this.emit("conversation");
    }
  }
}

/** What an error means for the reader. @param {unknown} error */
function inWords(error) {
  if (!(error instanceof ServerError)) return error instanceof SyntaxError ? words().badTools : String(error);
  if (error.code === "unreachable") return words().unreachable;
  if (error.code === "context_length_exceeded") return `${error.message} ${words().contextFull}`;
  return error.message;
}
