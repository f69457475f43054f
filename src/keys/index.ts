/** API keys and what each may use: a file of hashes, a ring that knows keys again, limits. Imports base/, files/. */
export { type ApiKey, hashOfKey, type KeyLimits, newKey } from "./api-key.ts";
export { addKey, readKeyFile, revokeKey } from "./key-file.ts";
export { KeyRing } from "./key-ring.ts";
export { Quota, type QuotaOptions, type QuotaRefusal, type QuotaState, rateLimitHeaders } from "./quota.ts";
