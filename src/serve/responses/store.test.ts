import { expect, test } from "vitest";
import type { Item } from "./items.ts";
import type { ResponseObject } from "./shapes.ts";
import { ResponseStore, type StoredResponse } from "./store.ts";

const stored = (id: string, owner = "", text = ""): StoredResponse => ({
  owner,
  response: { id, output: [], note: text } as unknown as ResponseObject,
  input: [],
  context: [],
});

test("the oldest responses go first, by count and by bytes", () => {
  const byCount = new ResponseStore({ maxResponses: 2 });
  for (const id of ["a", "b", "c"]) byCount.put(stored(id));
  expect(() => byCount.get("", "a")).toThrow("Response with id 'a' not found");
  expect(byCount.get("", "b").response.id).toBe("b");

  const byBytes = new ResponseStore({ maxBytes: 1000 });
  byBytes.put(stored("a", "", "x".repeat(600)));
  byBytes.put(stored("b", "", "x".repeat(200)));
  byBytes.put(stored("b", "", "x".repeat(500))); // in the place of what it was
  expect(() => byBytes.get("", "a")).toThrow(/not found/);
  byBytes.put(stored("c", "", "x".repeat(2000)));
  expect(() => byBytes.get("", "c")).toThrow(/not found/);
});

test("nobody gets, continues or deletes what is another's", () => {
  const store = new ResponseStore();
  const item: Item = { type: "message", id: "msg_1", role: "user", content: [], status: "completed" };
  store.put({ ...stored("a", "ann"), input: [item] });
  expect(() => store.get("bob", "a")).toThrow(/not found/);
  expect(() => store.delete("bob", "a")).toThrow(/not found/);
  expect(store.item("bob", "msg_1")).toBeUndefined();
  expect(store.item("ann", "msg_1")).toBe(item);
  store.delete("ann", "a");
  expect(() => store.get("ann", "a")).toThrow(/not found/);
});
