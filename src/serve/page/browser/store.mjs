/**
 * Keeps conversations in the browser's database, each beside a summary for the list. Where the browser keeps nothing,
 * as in some private windows, they stay in memory until the page is closed.
 */

/** @import { Conversation } from "./conversation.mjs" */
/** @typedef {Pick<Conversation, "id" | "title" | "isPinned" | "updatedAt" | "mode">} Summary */

const CONVERSATIONS = "conversations";
const SUMMARIES = "summaries";

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
const result = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** @param {IDBTransaction} transaction @returns {Promise<void>} */
const completion = (transaction) =>
  new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new DOMException("aborted", "AbortError"));
  });

/** @param {Conversation} conversation @returns {Summary} */
const summaryOf = ({ id, title, isPinned, updatedAt, mode }) => ({ id, title, isPinned, updatedAt, mode });

export class Store {
  /** Tells other pages of this site that something has changed. */
  channel = new BroadcastChannel("kindling");
  /** @type {Map<string, Conversation>} What could not be kept. */
  memory = new Map();

  /** @param {IDBDatabase | undefined} database */
  constructor(database) {
    this.database = database;
  }

  static async open() {
    try {
      const request = indexedDB.open("kindling", 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore(CONVERSATIONS, { keyPath: "id" });
        request.result.createObjectStore(SUMMARIES, { keyPath: "id" });
      };
      const database = await result(request);
      database.onversionchange = () => database.close();
      return new Store(database);
    } catch {
      return new Store(undefined);
    }
  }

  /** Whether conversations outlive the page. */
  get isLasting() {
    return this.database !== undefined;
  }

  /** @param {IDBTransactionMode} mode @returns {IDBTransaction | undefined} */
  transaction(mode) {
    return this.database?.transaction([CONVERSATIONS, SUMMARIES], mode);
  }

  /** The pinned first, and then the latest. @returns {Promise<Summary[]>} */
  async summaries() {
    const transaction = this.transaction("readonly");
    /** @type {Summary[]} */
    const kept = transaction ? await result(transaction.objectStore(SUMMARIES).getAll()) : [];
    const all = new Map(kept.map((summary) => [summary.id, summary]));
    for (const conversation of this.memory.values()) all.set(conversation.id, summaryOf(conversation));
    return [...all.values()].sort((a, b) => Number(b.isPinned) - Number(a.isPinned) || b.updatedAt - a.updatedAt);
  }

  /** @param {string} id @returns {Promise<Conversation | undefined>} */
  async get(id) {
    const inMemory = this.memory.get(id);
    if (inMemory) return structuredClone(inMemory);
    const transaction = this.transaction("readonly");
    return transaction && result(transaction.objectStore(CONVERSATIONS).get(id));
  }

  /** @returns {Promise<Conversation[]>} */
  async all() {
    const transaction = this.transaction("readonly");
    /** @type {Conversation[]} */
    const kept = transaction ? await result(transaction.objectStore(CONVERSATIONS).getAll()) : [];
    return [...kept.filter(({ id }) => !this.memory.has(id)), ...this.memory.values()];
  }

  /**
   * Writes all or none.
   * @param {readonly Conversation[]} conversations
   * @throws {DOMException} QuotaExceededError where the browser has no room; they stay in memory
   */
  async put(...conversations) {
    try {
      const transaction = this.transaction("readwrite");
      if (!transaction) throw new DOMException("no database", "InvalidStateError");
      for (const conversation of conversations) {
        transaction.objectStore(CONVERSATIONS).put(conversation);
        transaction.objectStore(SUMMARIES).put(summaryOf(conversation));
      }
      await completion(transaction);
      for (const { id } of conversations) this.memory.delete(id);
    } catch (error) {
      for (const conversation of conversations) this.memory.set(conversation.id, structuredClone(conversation));
      if (this.isLasting) throw error;
    }
    for (const { id } of conversations) this.channel.postMessage(id);
  }

  /** @param {string} id */
  async remove(id) {
    this.memory.delete(id);
    const transaction = this.transaction("readwrite");
    if (transaction) {
      transaction.objectStore(CONVERSATIONS).delete(id);
      transaction.objectStore(SUMMARIES).delete(id);
      await completion(transaction);
    }
    this.channel.postMessage(id);
  }

  /** Ids of the conversations in which a text is. @param {string} text @returns {Promise<Set<string>>} */
  async search(text) {
    const wanted = text.toLocaleLowerCase();
    const all = await this.all();
    const matches = all.filter(
      ({ title, messages }) =>
        title.toLocaleLowerCase().includes(wanted) ||
        messages.some(({ content }) => content.toLocaleLowerCase().includes(wanted)),
    );
    return new Set(matches.map(({ id }) => id));
  }
}
