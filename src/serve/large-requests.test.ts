/** Requests of more parts than clients send: refused before they cost anything, or worked on beside the event loop. */
import { describe, expect, test } from "vitest";
import { heldModel, tinyServedModel } from "../testing/served-model.ts";
import { createApp } from "./index.ts";

type TestApp = ReturnType<typeof createApp>;

async function post(path: string, body: object | string, app: TestApp = createApp(tinyServedModel())) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await app.request(path, { method: "POST", headers: { "content-type": "application/json" }, body: text });
  const { error } = (await response.json()) as { error?: { message: string; param: string | null; code: string } };
  return { status: response.status, ...error };
}

describe("more than clients send is refused by the limit's name", () => {
  const message = { role: "user", content: "a" };
  const fields = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 1]));
  test.each([
    ["messages", "/v1/chat/completions", { messages: Array(40_000).fill(message) }, "requestContainers"],
    ["parts", "/v1/chat/completions", { messages: [{ role: "user", content: Array(100_000).fill({ type: "text", text: "a" }) }] }, "requestContainers"],
    ["fields", "/v1/completions", { prompt: "a", ...fields(200_000) }, "requestFields"],
    ["fields of what is harmless", "/v1/chat/completions", { messages: [message], metadata: fields(200_000) }, "requestFields"],
    ["answers", "/v1/completions", { prompt: Array(2048).fill("a"), n: 128 }, "requestAnswers"],
  ])("%s", async (_, path, body, limit) => {
    expect(await post(path, body)).toMatchObject({ status: 400, code: "invalid_value", message: expect.stringContaining(`(limit ${limit})`) });
  });

  test("as many answers as the limit are taken", async () => {
    expect((await post("/v1/completions", { prompt: Array(32).fill("a"), n: 128, max_tokens: 1 }, createApp(heldModel()))).status).toBe(200);
  });

  test("an unknown field with a long name is found out at once, and its name is cut", async () => {
    const body = { prompt: "a", ["temperature".repeat(100_000)]: 1 };
    const start = performance.now();
    const answer = await post("/v1/completions", body);
    expect(performance.now() - start).toBeLessThan(500); // comparing it with every name took seconds
    expect(answer).toMatchObject({ status: 400, code: "unknown_parameter" });
    expect(answer.message?.length).toBeLessThan(200);
  });
});
