import { createHash, timingSafeEqual } from "node:crypto";
import type { ApiKey } from "./api-key.ts";

/** Keys that a server takes. */
export class KeyRing {
  private readonly keys: readonly (ApiKey & { digest: Buffer })[];

  constructor(keys: readonly ApiKey[]) {
    this.keys = keys.map((key) => ({ ...key, digest: Buffer.from(key.hash, "hex") }));
  }

  /**
   * The entry of a key that a client shows, or undefined. All entries are compared, each in constant time: how long it
   * takes says nothing of how near the key came to one, nor to which.
   */
  find(key: string): ApiKey | undefined {
    const digest = createHash("sha256").update(key).digest();
    let match: ApiKey | undefined;
    for (const entry of this.keys) if (timingSafeEqual(entry.digest, digest)) match = entry;
    return match;
  }

  /** The entry of a name, for work that was asked for with its key before. */
  named(name: string): ApiKey | undefined {
    return this.keys.find((key) => key.name === name);
  }
}
