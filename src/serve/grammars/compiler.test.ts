/** Grammars of requests: each is made once, for all that wait for it. */
import { afterAll, describe, expect, test, vi } from "vitest";
import { grammarConstraint, jsonSchemaGrammar } from "../../generate/index.ts";
import { jsonPost } from "../../testing/json-post.ts";
import { tinyServedModel } from "../../testing/served-model.ts";
import { asClient, currentClient } from "../client.ts";
import { createApp } from "../index.ts";
import { GrammarCompiler } from "./compiler.ts";
import { Kept } from "./kept.ts";
import { GrammarThread } from "./thread.ts";

const { tokenizer } = tinyServedModel();
const thread = new GrammarThread();
const run = vi.spyOn(thread, "run");
const compiler = new GrammarCompiler(tokenizer, thread);
afterAll(() => compiler.dispose());
const never = new AbortController().signal;
const content = { jsonSchema: { type: "array", items: { type: "boolean" } } };

test("a grammar is made once, for all that ask for it, and its vocabulary too", async () => {
  const [a, b] = await Promise.all([1, 2].map(() => compiler.constraint({ content }, never)));
  const c = await compiler.constraint({ content: structuredClone(content) }, never);
  expect(run).toHaveBeenCalledTimes(2);
  const plain = grammarConstraint(jsonSchemaGrammar(content.jsonSchema), tokenizer)([0]).mask();
  for (const maker of [a, b, c]) expect(maker!([0]).mask()).toEqual(plain);
  expect(await compiler.constraint({}, never)).toBeUndefined();
});

test("what is refused is not tried again", async () => {
  const asked = { content: { regex: "(a|b)*a(a|b){20}" } };
  run.mockClear();
  for (let i = 0; i < 3; i++) await expect(compiler.constraint(asked, never)).rejects.toThrow("(limit work)");
  expect(run).toHaveBeenCalledTimes(1);
});

test("goes on as long as one waits for it", async () => {
  const asked = { content: { regex: "(a|b)*a(a|b){11}" } };
  const [first, second, third] = [new AbortController(), new AbortController(), new AbortController()];
  run.mockClear();
  const waiting = [first, second].map(({ signal }) => compiler.constraint(asked, signal));
  first.abort(new Error("gone"));
  await expect(waiting[0]).rejects.toThrow("gone");
  expect(await waiting[1]).toBeDefined();
  expect(run).toHaveBeenCalledTimes(1);
  const other = { content: { regex: "(a|b)*a(a|b){12}" } };
  const abandoned = compiler.constraint(other, third.signal);
  await vi.waitFor(() => expect(run).toHaveBeenCalledTimes(2), 10_000);
  third.abort(new Error("gone"));
  await expect(abandoned).rejects.toThrow("gone");
  expect(await compiler.constraint(other, never)).toBeDefined(); // begun anew
});

test("a client has its name however far below its request", async () => {
  expect(currentClient()).toBe("");
  const names = ["a", "b"].map((name) => asClient(name, () => Promise.resolve().then(currentClient)));
  expect(await Promise.all(names)).toEqual(["a", "b"]);
});

test("what is kept is bounded by number and by memory", () => {
  const kept = new Kept<{ bytes: number }>({ most: 3, mostBytes: 1000, bytesOf: ({ bytes }) => bytes });
  const values = [100, 200, 300].map((bytes) => ({ bytes }));
  for (const [i, value] of values.entries()) kept.set(`${i}`, value);
  expect(kept.get("0")).toBe(values[0]); // the last that was used
  kept.set("3", { bytes: 1 });
  expect([kept.get("1"), kept.get("2")]).toEqual([undefined, values[2]]);
  values[0].bytes = 900; // it has grown
  kept.set("4", { bytes: 1 });
  expect([kept.get("0"), kept.get("4")]).toEqual([undefined, { bytes: 1 }]);
  kept.set("5", { bytes: 5000 });
  expect(kept.get("5")).toBeUndefined();
});

describe("a server", () => {
  test("answers others while it makes a grammar, and says why one is refused", async () => {
    const app = createApp(tinyServedModel());
    const post = async (body: object) =>
      app.request("/v1/completions", jsonPost({ prompt: "x", max_tokens: 2, ...body }));
    await post({}); // the model is there
    const order: string[] = [];
    const slow = post({ structured_outputs: { regex: "(a|b)*a(a|b){12}" } }).then((response) => {
      order.push("slow");
      return response;
    });
    const quick = post({}).then(() => order.push("quick"));
    const [{ status }] = await Promise.all([slow, quick]);
    expect([status, order]).toEqual([200, ["quick", "slow"]]);
    const refused = await post({ grammar: "root ::= root" });
    expect([refused.status, await refused.json()]).toMatchObject([
      400,
      { error: { message: expect.stringContaining("no text fits"), param: "grammar", code: "invalid_value" } },
    ]);
  });
});
