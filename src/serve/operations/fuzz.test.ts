/** No body of a request is a fault of the server: whatever it is, it is answered or refused. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { tinyServedModel } from "../../testing/served-model.ts";
import { createApp } from "../index.ts";
import { chatFields, completionFields } from "../requests.ts";

const faults: string[] = [];
const chatTemplate =
  "{% for m in messages %}{{ m.role }}:{{ m.content }}{{ m.tool_calls | tojson }}{% endfor %}{{ tools | tojson }}{{ today }}";
const app = createApp(tinyServedModel({ contextLength: 48, chatTemplate }), {
  log: (line) => {
    const { status, cause } = JSON.parse(line) as { status: number; cause?: string };
    if (status === 500 || cause !== undefined) faults.push(line);
  },
  logFormat: "json",
  stalledTimeoutMs: 1000,
});

const numbers = fc.constantFrom(0, -0, 1, -1, 2, 0.5, 1e308, 5e-324, 2 ** 31, 2 ** 53, -(2 ** 53), 1e21, 32, 47, 48);
const texts = fc.oneof(
  fc.constantFrom(
    "",
    "x",
    "user",
    "assistant",
    "tool",
    "json_object",
    "auto",
    "length",
    "\u0000",
    "\ud800",
    "<|endoftext|>",
  ),
  fc.constantFrom("(a+)+$", "[", "root ::= root", 'root ::= "a"', "{{ 1 / 0 }}", "__proto__", "constructor", "tiny"),
  fc.string({ unit: "binary", maxLength: 8 }),
);
const leaves = fc.oneof(numbers, texts, fc.boolean(), fc.constant(null));
/** Values as fields have them, and any others. */
const values = fc.oneof(
  { weight: 3, arbitrary: leaves },
  fc.array(leaves, { maxLength: 3 }),
  fc.record({
    role: texts,
    content: fc.oneof(leaves, fc.array(fc.record({ type: texts, text: leaves }), { maxLength: 2 })),
  }),
  fc.record({ type: texts, function: fc.record({ name: texts, parameters: fc.jsonValue({ maxDepth: 2 }) }) }),
  fc.record({ type: texts, json_schema: fc.record({ name: texts, schema: fc.jsonValue({ maxDepth: 2 }) }) }),
  fc.dictionary(texts, leaves, { maxKeys: 3 }),
  fc.jsonValue({ maxDepth: 3 }),
);
const others = [
  "system",
  "stop_sequences",
  "thinking",
  "output_config",
  "options",
  "format",
  "think",
  "raw",
  "tokens",
  "add_special_tokens",
];
const names = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom(...Object.keys({ ...chatFields, ...completionFields }), ...others) },
  texts,
);
const messages = fc.array(
  fc.oneof(fc.constant({ role: "user", content: "a" }), fc.record({ role: texts, content: values }), values),
  { maxLength: 3 },
);
/** One that would be answered, and what is changed of it. */
const bodies = fc
  .tuple(fc.dictionary(names, values, { maxKeys: 3 }), fc.option(messages), fc.option(values))
  .map(([changes, list, prompt]) => ({
    messages: list ?? [{ role: "user", content: "Hi" }],
    prompt: prompt ?? "Hi",
    max_tokens: 2,
    ...changes,
  }));
/** The two endpoints of texts know no field of the other. */
const bodyFor: Readonly<Record<string, (body: Record<string, unknown>) => object>> = {
  "/v1/completions": ({ messages: _, ...body }) => body,
  "/v1/chat/completions": ({ prompt: _, ...body }) => body,
  "/v1/messages": ({ prompt: _, ...body }) => body,
  "/v1/messages/count_tokens": ({ prompt: _, max_tokens: __, ...body }) => body,
  "/api/chat": ({ prompt: _, max_tokens: __, ...body }) => ({ options: { num_predict: 2 }, ...body }),
  "/api/generate": ({ messages: _, max_tokens: __, ...body }) => ({ options: { num_predict: 2 }, ...body }),
  "/api/show": (body) => body,
  "/tokenize": ({ messages: _, max_tokens: __, ...body }) => body,
  "/detokenize": ({ messages: _, prompt: __, max_tokens: ___, ...body }) => ({ tokens: [1], ...body }),
};

async function check(path: string, body: string | Uint8Array): Promise<void> {
  const response = await app.request(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: body as string,
  });
  await response.text();
  expect([response.status >= 500 ? response.status : "answered", faults]).toEqual(["answered", []]);
  expect(response.headers.get("x-request-id")).not.toBeNull();
}

const runs = (numRuns: number) => ({ numRuns, interruptAfterTimeLimit: 5000, markInterruptAsFailure: false });

test.each(Object.keys(bodyFor))("fields of any value, at %s", async (path) => {
  await fc.assert(
    fc.asyncProperty(bodies, (body) => check(path, JSON.stringify(bodyFor[path](body)))),
    runs(60),
  );
});

test("any JSON, and any bytes", async () => {
  const any = fc.oneof(fc.json(), fc.string({ unit: "binary" }), fc.uint8Array({ maxLength: 64 }));
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...Object.keys(bodyFor)), any, (path, body) => check(path, body)),
    runs(200),
  );
});
