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

test("one owner's responses push out none of another's", () => {
  const byCount = new ResponseStore({ maxResponses: 4 });
  for (const id of ["a1", "a2"]) byCount.put(stored(id, "ann"));
  for (let i = 1; i <= 9; i++) byCount.put(stored(`b${i}`, "bob"));
  const ids = (owner: string, of: readonly string[]) => of.map((id) => byCount.get(owner, id).response.id);
  expect(ids("ann", ["a1", "a2"])).toEqual(["a1", "a2"]);
  expect(ids("bob", ["b8", "b9"])).toEqual(["b8", "b9"]);
  expect(() => byCount.get("bob", "b7")).toThrow(/not found/);
  byCount.delete("bob", "b8");
  byCount.put(stored("a3", "ann")); // there is room
  expect(ids("ann", ["a1", "a2", "a3"])).toEqual(["a1", "a2", "a3"]);
  byCount.put(stored("b10", "bob")); // who has more than an equal part makes room
  expect(() => byCount.get("ann", "a1")).toThrow(/not found/);
  expect(ids("bob", ["b9", "b10"])).toEqual(["b9", "b10"]);

  const byBytes = new ResponseStore({ maxBytes: 1000 });
  byBytes.put(stored("a", "ann", "x".repeat(300)));
  for (const id of ["b", "c", "d"]) byBytes.put(stored(id, "bob", "x".repeat(400)));
  byBytes.put(stored("e", "bob", "x".repeat(2000))); // is not kept, and nothing goes for it
  expect(byBytes.get("ann", "a").response.id).toBe("a");
  expect(byBytes.get("bob", "d").response.id).toBe("d");
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
