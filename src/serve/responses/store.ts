import { isObject } from "../../base/index.ts";
import { RequestError } from "../errors.ts";
import type { Item } from "./items.ts";
import type { ResponseObject } from "./shapes.ts";

/** A response that can be asked for later. */
export interface StoredResponse {
  /** Whose it is; nobody else gets it. */
  owner: string;
  response: ResponseObject;
  /** Of its request alone. */
  input: readonly Item[];
  /** What was said before it: a later response goes on with all of it. */
  context: readonly Item[];
  /** Ends one that is written in the background. */
  cancel?: () => void;
}

export interface StoreLimits {
  /** Most responses, of all owners. @default 1000 */
  maxResponses?: number;
  /** Most bytes of their JSON, of all owners, each with all that was said before it. @default 64 MiB */
  maxBytes?: number;
}

interface Entry extends StoredResponse {
  bytes: number;
}

/** What one owner has, the oldest first. */
interface Shelf {
  entries: Map<string, Entry>;
  bytes: number;
}

/**
 * Responses in memory. Where there are too many, the oldest of the owner who has the most go first: nobody loses what
 * is within an equal part for each. One that is too large by itself is not kept.
 */
export class ResponseStore {
  private readonly shelves = new Map<string, Shelf>();
  private readonly maxResponses: number;
  private readonly maxBytes: number;
  private responses = 0;
  private bytes = 0;

  constructor({ maxResponses = 1000, maxBytes = 64 << 20 }: StoreLimits = {}) {
    this.maxResponses = maxResponses;
    this.maxBytes = maxBytes;
  }

  /** Keeps a response, in the place of an earlier state of it. */
  put(stored: StoredResponse): void {
    const { owner, response, input, context } = stored;
    this.remove(owner, response.id);
    const bytes = Buffer.byteLength(JSON.stringify([response, input, context]));
    if (bytes > this.maxBytes) return;
    const shelf = this.shelves.get(owner) ?? { entries: new Map<string, Entry>(), bytes: 0 };
    this.shelves.set(owner, shelf);
    shelf.entries.set(response.id, { ...stored, bytes });
    shelf.bytes += bytes;
    this.bytes += bytes;
    this.responses++;
    while (this.bytes > this.maxBytes) this.removeOldest((of) => of.bytes);
    while (this.responses > this.maxResponses) this.removeOldest((of) => of.entries.size);
  }

  /** @throws RequestError 404 where this owner has no such response */
  get(owner: string, id: string): StoredResponse {
    const entry = this.shelves.get(owner)?.entries.get(id);
    if (entry) return entry;
    throw new RequestError({ status: 404, message: `Response with id '${id}' not found.`, code: "not_found" });
  }

  /** What a response goes on with. @throws RequestError 400, as at OpenAI, where this owner has no such response */
  previous(owner: string, id: string): StoredResponse {
    const entry = this.shelves.get(owner)?.entries.get(id);
    if (entry) return entry;
    const message = `Previous response with id '${id}' not found.`;
    const param = "previous_response_id";
    throw new RequestError({ status: 400, message, param, code: "previous_response_not_found" });
  }

  /** An item of any of the owner's responses. */
  item(owner: string, id: string): Item | undefined {
    for (const { response, input } of this.shelves.get(owner)?.entries.values() ?? []) {
      const item = [...input, ...response.output].find((each) => isObject(each) && each.id === id);
      if (item) return item as Item;
    }
    return undefined;
  }

  /** @throws as `get` */
  delete(owner: string, id: string): void {
    this.get(owner, id).cancel?.();
    this.remove(owner, id);
  }

  /** Removes the oldest of the owner who has the most. */
  private removeOldest(sizeOf: (shelf: Shelf) => number): void {
    const [first, ...others] = this.shelves;
    const [owner, { entries }] = others.reduce(
      (most, other) => (sizeOf(other[1]) > sizeOf(most[1]) ? other : most),
      first,
    );
    const [oldest] = entries.keys();
    this.remove(owner, oldest);
  }

  private remove(owner: string, id: string): void {
    const shelf = this.shelves.get(owner);
    const entry = shelf?.entries.get(id);
    if (!shelf || !entry) return;
    shelf.entries.delete(id);
    shelf.bytes -= entry.bytes;
    this.bytes -= entry.bytes;
    this.responses--;
    if (shelf.entries.size === 0) this.shelves.delete(owner);
  }
}
