/** Prompts and messages as clients send them. */
import { describe, expect, test } from "vitest";
import { jsonPost } from "../testing/json-post.ts";
import { heldModel, tinyServedModel } from "../testing/served-model.ts";
import { createApp } from "./index.ts";
import { templateMessages } from "./messages.ts";

interface Answer {
  id: string;
  created: number;
  choices: { index: number; text: string; finish_reason: string; message: { content: string } }[];
  usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
  error: { message: string; type: string; param: string | null; code: string | null };
}

type TestApp = ReturnType<typeof createApp>;
const appOf = (template?: string) => createApp(tinyServedModel({ chatTemplate: template }));
const app = appOf();

async function post(path: string, body: object, to: TestApp = app) {
  const response = await to.request(path, jsonPost(body));
  return { status: response.status, body: (await response.json()) as Answer };
}
const complete = (body: object, to?: TestApp) => post("/v1/completions", body, to);
const chat = (body: object, to?: TestApp) => post("/v1/chat/completions", body, to);

describe("prompts", () => {
  test("ids are used as they are: a special token stays one", async () => {
    const model = heldModel();
    const held = createApp(model);
    const prompt = [0, 40, 0, 41];
    const { status, body } = await complete({ prompt, max_tokens: 1 }, held);
    expect([status, body.usage.prompt_tokens]).toEqual([200, 4]);
    expect(model.generator.prompts).toEqual([prompt]);
    await complete({ prompt: [prompt, [1], [2, 3]], max_tokens: 1 }, held);
    expect(model.generator.prompts.slice(1)).toEqual([prompt, [1], [2, 3]]);
  });

  test("ids that are text give the answer of that text", async () => {
    const text = await complete({ prompt: "Hello", temperature: 0, max_tokens: 4 });
    const ids = await complete({
      prompt: await tinyServedModel().tokenizer.encode("Hello"),
      temperature: 0,
      max_tokens: 4,
    });
    expect(ids.body.choices).toEqual(text.body.choices);
  });

  test.each([[[0, 99999]], [[-1]], [[[1], [97]]]])("ids outside the vocabulary are refused: %j", async (prompt) => {
    const { status, body } = await complete({ prompt });
    expect([status, body.error.param]).toEqual([400, "prompt"]);
    expect(body.error.message).toMatch(/prompt: expected token ids from 0 to 96; received (99999|-1|97)/);
  });

  test.each([[""], [[]], [[""]], [["a", ""]], [[[]]]])("a prompt of nothing is refused: %j", async (prompt) => {
    const { status, body } = await complete({ prompt });
    expect([status, body.error.message]).toEqual([400, "prompt: expected at least one token; received none"]);
  });

  test("several prompts, n answers to each: as if asked one by one", async () => {
    const common = { max_tokens: 6, seed: 3 };
    const { body } = await complete({ ...common, prompt: ["Hello", "World"], n: 2 });
    expect(body.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(body.usage).toEqual({ prompt_tokens: 10, completion_tokens: 24, total_tokens: 34 });
    const [hello, world] = await Promise.all(
      ["Hello", "World"].map(async (prompt) => (await complete({ ...common, prompt })).body.choices[0].text),
    );
    expect([body.choices[0].text, body.choices[2].text]).toEqual([hello, world]);
    expect(body.choices[1].text).not.toBe(hello);
  });

  test("echo puts the prompt in front", async () => {
    const { body } = await complete({ prompt: ["Hello", "You"], echo: true, max_tokens: 0 });
    expect(body.choices.map(({ text }) => text)).toEqual(["Hello", "You"]);
    expect((await complete({ prompt: [41, 42], echo: true, max_tokens: 0 })).body.choices[0].text).toBe("HI");
  });

  test("stop is a text or a list, and is not given out", async () => {
    const free = (await complete({ prompt: "Hello", temperature: 0, max_tokens: 20 })).body.choices[0].text;
    const stop = free.slice(5, 7);
    for (const value of [stop, [stop, "never~"]]) {
      const { choices } = (await complete({ prompt: "Hello", temperature: 0, max_tokens: 20, stop: value })).body;
      expect(choices[0]).toMatchObject({ text: free.slice(0, free.indexOf(stop)), finish_reason: "stop" });
    }
  });
});

describe("how tokens are drawn", () => {
  /** What the generator is told by a request, of a model with such a generation_config.json. */
  async function asked(body: object, generationConfig: Record<string, unknown> = {}) {
    const model = heldModel();
    model.generator.model.generationConfig = generationConfig;
    await complete({ prompt: "x", max_tokens: 1, seed: 1, ...body }, createApp(model));
    return model.generator.options.at(-1);
  }

  test("by OpenAI's defaults, the model's own settings, and the request, which goes first", async () => {
    expect(await asked({})).toMatchObject({ doSample: true, topK: 0, temperature: undefined });
    expect(await asked({}, { top_k: 20, temperature: 0.6 })).toMatchObject({
      doSample: true,
      topK: undefined,
      temperature: undefined,
    }); // the file's
    const all = { temperature: 0.5, top_p: 0.9, top_k: 3, min_p: 0.1, repetition_penalty: 1.2 };
    expect(await asked(all, { top_k: 20 })).toMatchObject({
      temperature: 0.5,
      topP: 0.9,
      topK: 3,
      minP: 0.1,
      repetitionPenalty: 1.2,
      seed: 1,
    });
    expect((await asked({ top_k: -1 }, { top_k: 20 }))?.topK).toBe(0);
    expect(await asked({ temperature: 0 })).not.toHaveProperty("doSample");
  });

  test("any seed that is a whole number is taken, and answers to n differ", async () => {
    for (const seed of [0, -1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]) {
      const { status, body } = await complete({ prompt: "Hello", seed, n: 3, max_tokens: 8 });
      expect(status).toBe(200);
      expect(new Set(body.choices.map(({ text }) => text)).size).toBe(3);
    }
  });
});

describe("the context", () => {
  test("a prompt beyond it is refused in OpenAI's words", async () => {
    const { status, body } = await complete({ prompt: "x".repeat(80) });
    expect(status).toBe(400);
    expect(body.error).toEqual({
      message:
        "This model's maximum context length is 64 tokens. However, your prompt resulted in 80 tokens. Please reduce the length of the prompt.",
      type: "invalid_request_error",
      param: "prompt",
      code: "context_length_exceeded",
    });
  });

  test("so is an answer that it has no room for", async () => {
    const { status, body } = await chat({ messages: [{ role: "user", content: "Hi" }], max_completion_tokens: 60 });
    expect(status).toBe(400);
    expect(body.error).toEqual({
      message:
        "This model's maximum context length is 64 tokens. However, you requested 79 tokens (19 in the messages, 60 in the completion). " +
        "Please reduce the length of the messages or completion.",
      type: "invalid_request_error",
      param: "messages",
      code: "context_length_exceeded",
    });
    expect((await complete({ prompt: "x", max_tokens: 32768 })).body.error.code).toBe("context_length_exceeded");
    expect((await complete({ prompt: "x".repeat(44), max_tokens: 20 })).status).toBe(200);
  });

  test("an answer without a limit takes the room there is", async () => {
    const { body } = await chat({ messages: [{ role: "user", content: "Hi" }] });
    expect(body.usage).toEqual({ prompt_tokens: 19, completion_tokens: 45, total_tokens: 64 });
    expect((await complete({ prompt: "x".repeat(60) })).body.usage.completion_tokens).toBe(4);
  });
});

test("created is the time of the answer", async () => {
  const before = Math.floor(Date.now() / 1000) + 2;
  await new Promise((resolve) => setTimeout(resolve, 2000));
  expect((await complete({ prompt: "x", max_tokens: 1 })).body.created).toBeGreaterThanOrEqual(before);
});

test("streams of several answers carry their index, and usage at the end", async () => {
  const body = { prompt: ["Hello", "You"], max_tokens: 4, seed: 1, temperature: 0 };
  const whole = (await complete(body)).body;
  const response = await app.request(
    "/v1/completions",
    jsonPost({ ...body, stream: true, stream_options: { include_usage: true } }),
  );
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  const events = (await response.text()).split("\n\n").filter((event) => event !== "");
  expect(events.pop()).toBe("data: [DONE]");
  const objects = events.map((event) => JSON.parse(event.slice("data: ".length)) as Answer);
  const texts = ["", ""];
  for (const { choices } of objects.slice(0, -1)) texts[choices[0].index] += choices[0].text;
  expect(texts).toEqual(whole.choices.map(({ text }) => text));
  expect(objects.at(-1)).toMatchObject({ choices: [], usage: whole.usage });
  expect(objects.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
});

const call = { id: "c1", type: "function", function: { name: "add", arguments: '{"a": 1}' } };

describe("messages", () => {
  test("of a conversation with a tool, in all forms that clients have", async () => {
    const [user, result] = [
      { role: "user", content: "1+1" },
      { role: "tool", tool_call_id: "c1", content: "2" },
    ];
    for (const assistant of [
      { content: null, tool_calls: [call] },
      { tool_calls: [call] },
      { content: "", tool_calls: [call] },
      { content: null },
      { refusal: "no" },
    ]) {
      expect(
        (await chat({ messages: [user, { role: "assistant", ...assistant }, result], max_tokens: 1 })).status,
      ).toBe(200);
    }
  });

  test("are checked, and their contents texts", () => {
    const messages = [
      {
        role: "developer",
        content: [
          { type: "text", text: "a" },
          { type: "text", text: "b" },
        ],
      },
      { role: "user", name: "Ann", content: "c" },
      {
        role: "assistant",
        content: null,
        refusal: null,
        annotations: [],
        audio: null,
        function_call: null,
        tool_calls: [call],
      },
      { role: "tool", tool_call_id: "c1", content: [{ type: "text", text: "3" }] },
      { role: "assistant", function_call: { name: "f", arguments: "not JSON" } },
      { role: "assistant", content: [{ type: "refusal", refusal: "no" }] },
    ];
    expect(templateMessages(messages, { knowsDevelopers: false }).messages).toEqual([
      { role: "system", content: "a\nb" },
      { role: "user", name: "Ann", content: "c" },
      { role: "assistant", content: "", tool_calls: [call] },
      { role: "tool", tool_call_id: "c1", content: "3" },
      {
        role: "assistant",
        content: "",
        tool_calls: [{ type: "function", function: { name: "f", arguments: "not JSON" } }],
      },
      { role: "assistant", content: "no" },
    ]);
    expect(templateMessages(messages, { knowsDevelopers: true }).messages[0].role).toBe("developer");
  });

  test("are rendered by the template, special tokens of people as plain text", async () => {
    const template =
      "{% for m in messages %}{{ m.role[0] }}:{{ m.content }}{% if m.tool_calls %}{{ m.tool_calls[0].function.arguments | tojson }}{% endif %};{% endfor %}";
    const withTools = appOf(template);
    const { body } = await chat({ messages: [{ role: "assistant", tool_calls: [call] }], max_tokens: 1 }, withTools);
    expect(body.usage.prompt_tokens).toBe('a:{"a": 1};'.length);
    const special = await chat({ messages: [{ role: "user", content: "<|endoftext|>" }], max_tokens: 1 }, withTools);
    expect(special.body.usage.prompt_tokens).toBe("u:<|endoftext|>;".length);
  });

  test("that a template refuses are the request's fault, in its words", async () => {
    const refusing = appOf("{{ raise_exception('roles must alternate') }}");
    const { status, body } = await chat({ messages: [{ role: "user", content: "x" }] }, refusing);
    expect(status).toBe(400);
    expect(body.error).toMatchObject({
      param: "messages",
      code: "chat_template_error",
      message: expect.stringContaining("roles must alternate"),
    });
  });

  test("a template that fails otherwise is a 400 too", async () => {
    const failing = appOf("{% for m in messages %}{{ m.content + 5 }}{% endfor %}");
    expect((await chat({ messages: [{ role: "user", content: "x" }] }, failing)).status).toBe(400);
  });

  test("chat_template_kwargs are variables of the template, and cannot replace the messages", async () => {
    const thinking = appOf("{% if enable_thinking %}think{% endif %}{{ messages[0].content }}");
    const messages = [{ role: "user", content: "x" }];
    const ask = async (kwargs: object) =>
      (await chat({ messages, max_tokens: 1, chat_template_kwargs: kwargs }, thinking)).body.usage.prompt_tokens;
    expect(await ask({ enable_thinking: true })).toBe(6);
    expect(await ask({ enable_thinking: false, messages: [{ content: "longer" }] })).toBe(1);
  });

  test("special tokens in chat_template_kwargs are plain text, and none of the template's is replaced by one", async () => {
    const dated = appOf("{{ bos_token }}{{ today }}{{ messages[0].content }}");
    const ask = async (kwargs: object) =>
      (await chat({ messages: [{ role: "user", content: "x" }], max_tokens: 1, chat_template_kwargs: kwargs }, dated))
        .body.usage.prompt_tokens;
    const special = "<|endoftext|>";
    expect(await ask({ today: "1 May" })).toBe((await ask({})) + 5);
    expect(await ask({ today: special })).toBe((await ask({})) + special.length);
    expect(await ask({ bos_token: special })).toBe(special.length + 1);
  });
});

test("bodies that are deep, or lie about prototypes, are refused and harm nothing", async () => {
  const send = async (body: string) =>
    (await app.request("/v1/completions", { method: "POST", headers: { "content-type": "application/json" }, body }))
      .status;
  const deep = "[".repeat(100_000) + "]".repeat(100_000);
  expect(await send(`{"prompt": ${deep}}`)).toBe(400);
  expect(await send(`{"prompt": "x", "logit_bias": {"a": ${deep}}}`)).toBe(400);
  expect(await send(deep)).toBe(400);
  expect(await send(`{"prompt": "x", "max_tokens": 1, "user": ${deep}}`)).toBe(400);
  expect(await send('{"prompt": "x", "__proto__": {"n": 5}}')).toBe(400);
  expect(await send("{not json")).toBe(400);
  const nested = {
    role: "assistant",
    tool_calls: [{ id: "1", type: "function", function: { name: "f", arguments: `{"a":${deep}}` } }],
  };
  expect([200, 400]).toContain((await chat({ messages: [nested], max_tokens: 1 })).status);
});
