/** The thread of grammars: turns of clients, what is given up, and what it survives. */
import { Worker } from "node:worker_threads";
import { describe, expect, test, vi } from "vitest";
import { type GrammarSource, grammarTask, type JobMessage, type PackedTask } from "../../generate/index.ts";
import { HandClock } from "../../testing/hand-loader.ts";
import { GrammarThread } from "./thread.ts";

const job = (content: GrammarSource): JobMessage => ({
  task: grammarTask({ content })!,
  marks: { bytes: new Map(), addsBlanks: false },
  characters: undefined,
  alikeBytes: 16,
});
const quick = job({ choice: ["yes", "no"] });
/** Some hundred milliseconds. */
const slow = job({ regex: "(a|b)*a(a|b){13}" });
const never = new AbortController().signal;

async function withThread(work: (thread: GrammarThread) => Promise<void>, mostMs?: number) {
  const thread = new GrammarThread(mostMs === undefined ? {} : { mostMs });
  try {
    await work(thread);
  } finally {
    await thread.dispose();
  }
}

test("makes grammars while the event loop goes on", () =>
  withThread(async (thread) => {
    let turns = 0;
    let isOver = false;
    const count = () => {
      turns++;
      if (!isOver) setImmediate(count);
    };
    await thread.run(quick, { client: "a", signal: never }); // it has begun
    setImmediate(count);
    const { grammars } = await thread.run<PackedTask>(slow, { client: "a", signal: never });
    isOver = true;
    expect(grammars[0].heads[1]).toBe(2 ** 14);
    expect(turns).toBeGreaterThan(100);
  }));

test("clients have turns: who sends many waits for them alone", () =>
  withThread(async (thread) => {
    const order: string[] = [];
    const run = async (client: string, name: string) => {
      await thread.run(quick, { client, signal: never });
      order.push(name);
    };
    await Promise.all([run("a", "a1"), run("a", "a2"), run("a", "a3"), run("b", "b1"), run("c", "c1"), run("b", "b2")]);
    expect(order).toEqual(["a1", "a2", "b1", "c1", "a3", "b2"]);
  }));

describe("what nobody waits for any more", () => {
  test("is not begun", () =>
    withThread(async (thread) => {
      const controller = new AbortController();
      const first = thread.run(slow, { client: "a", signal: never });
      const second = thread.run(slow, { client: "a", signal: controller.signal });
      const third = thread.run(quick, { client: "a", signal: never });
      controller.abort(new Error("gone"));
      await expect(second).rejects.toThrow("gone");
      await Promise.all([first, third]);
      await expect(thread.run(quick, { client: "a", signal: controller.signal })).rejects.toThrow("gone");
    }));

  test("is given up, and others go on", () =>
    withThread(async (thread) => {
      await thread.run(quick, { client: "a", signal: never });
      const controller = new AbortController();
      const first = thread.run(slow, { client: "a", signal: controller.signal });
      const second = thread.run<PackedTask>(quick, { client: "a", signal: never });
      controller.abort(new Error("gone"));
      await expect(first).rejects.toThrow("gone");
      expect((await second).grammars.length).toBe(1);
    }));
});

test("what takes too long is refused by the name of the limit", () =>
  withThread(async (thread) => {
    const refused = thread.run(slow, { client: "a", signal: never });
    await expect(refused).rejects.toThrow(/grammar: expected .*\(limit grammarSeconds\)/);
  }, 1));

test("a job that breaks down takes no other with it", () =>
  withThread(async (thread) => {
    const broken = thread.run(null as never, { client: "a", signal: never });
    const next = thread.run<PackedTask>(quick, { client: "a", signal: never });
    await expect(broken).rejects.toThrow();
    expect((await next).grammars.length).toBe(1);
  }));

test("a thread that has nothing to do for a minute ends, and starts anew when there is something", async () => {
  const clock = new HandClock();
  const thread = new GrammarThread({ clock });
  const ended = vi.spyOn(Worker.prototype, "terminate");
  const run = () => thread.run<PackedTask>(quick, { client: "a", signal: never });
  const first = await run();
  clock.turn(59_999);
  expect(ended).not.toHaveBeenCalled();
  clock.turn(1);
  expect(ended).toHaveBeenCalledTimes(1);
  expect(await run()).toEqual(first);
  await thread.dispose();
  expect([ended.mock.calls.length, clock.waiting]).toEqual([2, 0]);
  ended.mockRestore();
});
