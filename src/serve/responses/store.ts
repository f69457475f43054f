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
  /** Most responses. @default 1000 */
  maxResponses?: number;
  /** Most bytes of their JSON, each with all that was said before it. @default 64 MiB */
  maxBytes?: number;
}

interface Entry extends StoredResponse {
  bytes: number;
}

/** Responses in memory. Where there are too many, the oldest go first; one that is too large by itself is not kept. */
export class ResponseStore {
  private readonly entries = new Map<string, Entry>();
  private readonly maxResponses: number;
  private readonly maxBytes: number;
  private bytes = 0;

  constructor({ maxResponses = 1000, maxBytes = 64 << 20 }: StoreLimits = {}) {
    this.maxResponses = maxResponses;
    this.maxBytes = maxBytes;
  }

  /** Keeps a response, in the place of an earlier state of it. */
  put(stored: StoredResponse): void {
    const { id } = stored.response;
    this.remove(id);
    const bytes = Buffer.byteLength(JSON.stringify([stored.response, stored.input, stored.context]));
    this.entries.set(id, { ...stored, bytes });
    this.bytes += bytes;
    for (const [oldest] of this.entries) {
      if (this.bytes <= this.maxBytes && this.entries.size <= this.maxResponses) return;
      this.remove(oldest);
    }
  }

  /** @throws RequestError 404 where this owner has no such response */
  get(owner: string, id: string): StoredResponse {
    const entry = this.entries.get(id);
    if (entry?.owner === owner) return entry;
    throw new RequestError({ status: 404, message: `Response with id '${id}' not found.`, code: "not_found" });
  }

  /** What a response goes on with. @throws RequestError 400, as at OpenAI, where this owner has no such response */
  previous(owner: string, id: string): StoredResponse {
    const entry = this.entries.get(id);
    if (entry?.owner === owner) return entry;
    const message = `Previous response with id '${id}' not found.`;
    const param = "previous_response_id";
    throw new RequestError({ status: 400, message, param, code: "previous_response_not_found" });
  }

  /** An item of any of the owner's responses. */
  item(owner: string, id: string): Item | undefined {
    for (const { response, input, ...entry } of this.entries.values()) {
      if (entry.owner !== owner) continue;
      const item = [...input, ...response.output].find((each) => isObject(each) && each.id === id);
      if (item) return item as Item;
    }
    return undefined;
  }

  /** @throws as `get` */
  delete(owner: string, id: string): void {
    this.get(owner, id).cancel?.();
    this.remove(id);
  }

  private remove(id: string): void {
    this.bytes -= this.entries.get(id)?.bytes ?? 0;
    this.entries.delete(id);
  }
}
