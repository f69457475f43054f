/** vLLM's `prompt_logprobs`. */
import { expect, test, vi } from "vitest";
import { jsonPost } from "../testing/json-post.ts";
import { tinyServedModel } from "../testing/served-model.ts";
import { createApp } from "./index.ts";

const model = tinyServedModel({ contextLength: 2048 });
const { generator } = model;
const app = createApp(model);

type Entry = { logprob: number; rank: number; decoded_token: string };
type PromptLogprobs = (Record<string, Entry> | null)[];
interface Answer {
  choices: { text: string; prompt_logprobs?: PromptLogprobs; logprobs: { token_logprobs: (number | null)[] } | null }[];
  prompt_logprobs?: PromptLogprobs;
  error: { message: string; param: string; code: string };
}

async function post(path: string, body: object) {
  const response = await app.request(path, jsonPost(body));
  return { status: response.status, body: (await response.json()) as Answer };
}
const complete = (body: object) => post("/v1/completions", { prompt: "Once", max_tokens: 2, temperature: 0, ...body });
const messages = [{ role: "user", content: "Hi" }];
const chat = (body: object) => post("/v1/chat/completions", { messages, max_tokens: 2, temperature: 0, ...body });

/** What `score` says, as the field has it. */
async function expected(ids: readonly number[], count: number): Promise<PromptLogprobs> {
  const scored = await generator.score(ids, { topLogprobs: count });
  return scored.map(({ id, logprob, rank, top }, i) => {
    if (i === 0) return null;
    const entry = (logprob: number, rank: number, id: number) => ({
      logprob,
      rank,
      decoded_token: id === 0 ? expect.any(String) : id === 96 ? "\n" : String.fromCharCode(31 + id),
    });
    return Object.fromEntries([
      [id, entry(logprob, rank, id)],
      ...top.map((other, at) => [other.id, entry(other.logprob, at + 1, other.id)]),
    ]) as Record<string, Entry>;
  });
}
const once = [48, 79, 68, 70];

test("a completion tells of each token of its prompt, and of the likeliest", async () => {
  const [plain] = (await complete({})).body.choices;
  expect(plain).not.toHaveProperty("prompt_logprobs");
  for (const count of [0, 2]) {
    const { body } = await complete({ prompt_logprobs: count, n: 2 });
    for (const choice of body.choices) expect(choice.prompt_logprobs).toEqual(await expected(once, count));
    expect(body.choices[0].text).toBe(plain.text);
    for (const [i, entries] of body.choices[0].prompt_logprobs!.entries()) {
      if (i > 0) expect(Object.keys(entries!).length).toBeGreaterThanOrEqual(Math.max(1, count));
    }
  }
});

test("-1 tells of the whole vocabulary", async () => {
  const { prompt_logprobs: told } = (await complete({ prompt_logprobs: -1, max_tokens: 0 })).body.choices[0];
  const { vocabSize } = generator.model.config;
  for (const entries of told!.slice(1)) {
    const all = Object.values(entries!);
    expect(all.length).toBe(vocabSize);
    expect(all.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0)).toBeCloseTo(1, 4);
    expect(all.map(({ rank }) => rank).sort((a, b) => a - b)).toEqual(all.map((_, i) => i + 1));
  }
});

test("several prompts have their own, and an echo its own number: each prompt is scored once", async () => {
  const score = vi.spyOn(generator, "score");
  const { body } = await complete({ prompt: ["Once", "Hello"], prompt_logprobs: 1, echo: true, logprobs: 3, n: 2 });
  expect(score).toHaveBeenCalledTimes(2);
  score.mockRestore();
  for (const choice of body.choices.slice(0, 2)) expect(choice.prompt_logprobs).toEqual(await expected(once, 1));
  expect(body.choices[2].prompt_logprobs!.length).toBe(5);
  const echoed = body.choices[0].logprobs!.token_logprobs.slice(1, 4);
  const scores = body.choices[0].prompt_logprobs!.slice(1).map((entries, i) => entries![once[i + 1]].logprob);
  expect(echoed).toEqual(scores);
});

test("a chat has one list beside its choices, of the rendered prompt", async () => {
  const { body } = await chat({ prompt_logprobs: 1, n: 2 });
  const tokenized = await app.request("/tokenize", jsonPost({ messages }));
  const { tokens } = (await tokenized.json()) as { tokens: number[] };
  expect(body.prompt_logprobs).toEqual(await expected(tokens, 1));
  for (const choice of body.choices) expect(choice).not.toHaveProperty("prompt_logprobs");
  expect((await chat({})).body).not.toHaveProperty("prompt_logprobs");
});

test.each([
  [{ prompt_logprobs: 1, stream: true }, "prompt_logprobs: expected no stream, as in vLLM; received 1"],
  [{ prompt_logprobs: 21 }, "prompt_logprobs: expected a whole number from -1 to 20; received 21"],
  [{ prompt_logprobs: -2 }, "prompt_logprobs: expected a whole number from -1 to 20; received -2"],
  [{ prompt_logprobs: 0.5 }, "prompt_logprobs: expected a whole number from -1 to 20; received 0.5"],
])("%j is refused by name", async (body, message) => {
  for (const ask of [complete, chat]) {
    const { status, body: answer } = await ask(body);
    expect([status, answer.error.param, answer.error.message]).toEqual([400, "prompt_logprobs", message]);
  }
});

test("more numbers than the limit are refused before anything is scored", async () => {
  const score = vi.spyOn(generator, "score");
  const { status, body } = await complete({ prompt: "x".repeat(1000), prompt_logprobs: -1, n: 3 });
  expect([status, body.error.param]).toEqual([400, "prompt_logprobs"]);
  expect(body.error.message).toContain("(limit requestPromptLogprobs); received a request for 291000");
  expect(score).not.toHaveBeenCalled();
  score.mockRestore();
});

test.each([
  ["/v1/completions", { prompt: "Once" }],
  ["/v1/chat/completions", { messages }],
])("a stream of %s may ask for none beside the tokens of the prompt, and nothing is scored", async (path, body) => {
  const score = vi.spyOn(generator, "score");
  const answer = await app.request(path, jsonPost({ ...body, max_tokens: 2, prompt_logprobs: 0, stream: true }));
  expect(answer.status).toBe(200);
  expect(await answer.text()).not.toContain("prompt_logprobs");
  expect(score).not.toHaveBeenCalled();
  score.mockRestore();
});
