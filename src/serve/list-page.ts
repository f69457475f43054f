import { invalid } from "./fields.ts";

/** What clients ask for of a long list. */
export interface PageQuery {
  /** Most entries. */
  limit?: string;
  /** The id of the entry before the page. */
  after?: string;
  order?: string;
}

export interface PageLimits {
  most: number;
  /** Entries of a page, where the client does not say. */
  default: number;
}

/**
 * A page of a list, in OpenAI's form: the newest first, unless the order is "asc".
 * @param entries the oldest first
 * @throws RequestError 400 for a limit, an order or an id that cannot be
 */
export function listPage<T extends { id: string }>(
  entries: readonly T[],
  { limit, after, order = "desc" }: PageQuery,
  { most, default: usual }: PageLimits,
): object {
  const count = limit === undefined ? usual : Number(limit);
  if (!Number.isInteger(count) || count < 1 || count > most)
    throw invalid("limit", `a whole number from 1 to ${most}`, limit);
  if (order !== "asc" && order !== "desc") throw invalid("order", "asc or desc", order);
  const sorted = order === "asc" ? entries : entries.toReversed();
  const before = after === undefined ? -1 : sorted.findIndex(({ id }) => id === after);
  if (after !== undefined && before === -1) throw invalid("after", "the id of an entry of the list", after);
  const data = sorted.slice(before + 1, before + 1 + count);
  return {
    object: "list",
    data,
    first_id: data.at(0)?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: before + 1 + count < sorted.length,
  };
}
