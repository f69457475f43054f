import { createHash, randomBytes } from "node:crypto";
import type { KeyData } from "./schema.ts";

/** Who asks, and what it may. */
export interface GatewayKey {
  /** In reports. */
  name: string;
  /** Whether it may read the usage of all. */
  isAdmin: boolean;
  /** Models that it may ask for; undefined for all. */
  models: readonly string[] | undefined;
  /** Most money in a day and in a month, of UTC, in the currency of the prices. */
  budget: { day?: number | undefined; month?: number | undefined } | undefined;
}

/** Where keys are known by their hashes: another than the configuration may be brought to `createGateway`. */
export interface KeyStore {
  /** Whether requests without a key are answered, as of `anonymous`. */
  readonly isOpen: boolean;
  find(hash: string): GatewayKey | undefined | Promise<GatewayKey | undefined>;
}

/** Who asks where there are no keys. */
export const anonymous: GatewayKey = { name: "anonymous", isAdmin: true, models: undefined, budget: undefined };

/**
 * What is kept of a key. Keys are 192 random bits, which nobody finds by trying: a plain hash is enough, and the same
 * for each of them, so that it can be looked up.
 */
export const hashKey = (key: string): string => `sha256:${createHash("sha256").update(key).digest("hex")}`;

/** A new key, which is shown once, and its hash. */
export function newKey(): { key: string; hash: string } {
  const key = `sk-kindling-${randomBytes(24).toString("base64url")}`;
  return { key, hash: hashKey(key) };
}

/** The keys of a configuration. */
export class ConfigKeys implements KeyStore {
  private readonly keys: ReadonlyMap<string, GatewayKey>;

  constructor(keys: readonly KeyData[]) {
    this.keys = new Map(
      keys.map(({ hash, admin, name, models, budget }) => [hash, { name, isAdmin: admin, models, budget }]),
    );
  }

  get isOpen(): boolean {
    return this.keys.size === 0;
  }

  find(hash: string): GatewayKey | undefined {
    return this.keys.get(hash);
  }
}
