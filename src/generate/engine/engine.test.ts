/** The engine over a model that is computed by hand: order, places, ends, errors, and ten thousand random schedules. */
import { describe, expect, test } from "vitest";
import { END, FakeRunner, fakeModel, logitsAfter } from "../../testing/fake-runner.ts";
import { Random } from "../../testing/fuzz/random.ts";
import type { Proposer } from "../speculation/index.ts";
import { TokenPicker } from "../token-picker.ts";
import { type Clock, Engine, type EngineOptions } from "./engine.ts";
import type { Sequence, SequenceOptions } from "./sequence.ts";

/** A clock that goes on when somebody sleeps. */
class HandClock implements Clock {
  time = 0;
  now(): number {
    return this.time;
  }
  async sleep(milliseconds: number): Promise<void> {
    this.time += milliseconds;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

interface Set extends Partial<Omit<EngineOptions, "runner">> {
  slots?: number;
  cacheTokens?: number;
}

function engineOf({ slots = 4, cacheTokens = 1000, ...options }: Set = {}) {
  const runner = new FakeRunner(slots, cacheTokens);
  const clock = new HandClock();
  const engine = new Engine({
    runner: async () => runner,
    limits: { contextLength: 1000 },
    maxSequences: slots,
    clock,
    ...options,
  });
  return { engine, runner, clock };
}

function optionsOf(prompt: readonly number[], count: number, more: Partial<SequenceOptions> = {}): SequenceOptions {
  const picker = new TokenPicker(fakeModel, prompt, prompt, {});
  picker.maxLength = prompt.length + count;
  return { prompt, picker, ...more };
}

/** What the model writes after a prompt, by itself. */
function alone(prompt: readonly number[], count: number): number[] {
  const text = [...prompt];
  while (text.length < prompt.length + count) {
    const id = logitsAfter(text).indexOf(5);
    if (id === END) break;
    text.push(id);
  }
  return text.slice(prompt.length);
}

async function write(sequence: Sequence, most = Number.POSITIVE_INFINITY): Promise<number[]> {
  const ids: number[] = [];
  while (ids.length < most) {
    const event = await sequence.next();
    if ("reason" in event) break;
    ids.push(event.id);
  }
  return ids;
}

describe("an engine", () => {
  test("writes texts together, a run for each token of all", async () => {
    const { engine, runner } = engineOf();
    const prompts = [[1, 2], [3], [4, 4, 4]];
    const texts = await Promise.all(prompts.map((prompt) => write(engine.add(optionsOf(prompt, 6)))));
    expect(texts).toEqual(prompts.map((prompt) => alone(prompt, 6)));
    expect(runner.runs).toBeLessThan(3 + 6);
    await engine.idle();
    expect(runner.holders.every((holder) => holder === undefined)).toBe(true);
    expect(engine.load).toEqual({ running: 0, waiting: 0, promptTokens: 5, sharedTokens: 0 });
  });

  test("computes nothing before somebody asks, and no further than asked", async () => {
    const { engine, runner } = engineOf();
    const sequence = engine.add(optionsOf([1, 2], 9));
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(runner.runs).toBe(0);
    await sequence.next();
    await engine.idle();
    expect(runner.runs).toBe(1);
    sequence.abandon();
    await engine.idle();
    expect(runner.holders[0]).toBeUndefined();
  });

  test("a long prompt is read in pieces, between which others get their tokens", async () => {
    const { engine, runner } = engineOf({ prefillTokens: 50, sharedPrefillTokens: 10 });
    const other = engine.add(optionsOf([7, 3, 7], 30));
    await other.next();
    const long = engine.add(optionsOf(new Array(100).fill(1), 1));
    let done = false;
    const written = write(long).then(() => {
      done = true;
    });
    let tokens = 0;
    while (!done && !("reason" in (await other.next()))) tokens++;
    await written;
    expect(tokens).toBeGreaterThanOrEqual(9);
    expect(runner.tokensRead).toBe(3 + tokens + 100 + (done ? 0 : 1));
    other.abandon();
  });

  test("those of a higher priority go first, and take the places of others", async () => {
    const { engine } = engineOf({ slots: 1 });
    const order: string[] = [];
    const follow = async (name: string, sequence: Sequence) => {
      const ids = await write(sequence);
      order.push(name);
      return ids;
    };
    const low = engine.add(optionsOf([9, 2, 5], 40));
    await low.next();
    const texts = [
      follow("low", low),
      follow("waits", engine.add(optionsOf([2], 3))),
      follow("high", engine.add(optionsOf([3], 3, { priority: 1 }))),
    ];
    await Promise.all(texts);
    expect(order).toEqual(["high", "low", "waits"]);
    expect([await low.next()]).toEqual([{ reason: expect.any(String) }]);
  });

  test("groups share the places evenly, however many texts each has", async () => {
    const { engine } = engineOf({ slots: 1 });
    const order: string[] = [];
    const add = (group: string, i: number) =>
      write(engine.add(optionsOf([5, i + 1], 4, { group }))).then(() => order.push(group));
    await Promise.all([...Array.from({ length: 6 }, (_, i) => add("many", i)), add("few", 7), add("few", 8)]);
    expect(order.lastIndexOf("few")).toBeLessThan(5);
  });

  test("one of which nobody asks a token gives its place away after a second, and goes on later", async () => {
    const { engine, clock } = engineOf({ slots: 1 });
    const paused = engine.add(optionsOf([1, 5], 20));
    const first = await write(paused, 2);
    expect(await write(engine.add(optionsOf([2, 5], 5)))).toEqual(alone([2, 5], 5));
    expect(clock.time).toBeGreaterThanOrEqual(1000);
    expect([...first, ...(await write(paused))]).toEqual(alone([1, 5], 20));
  });

  test("one that comes back after it has lost its place is not pushed out as soon as it has one", async () => {
    const { engine, clock } = engineOf({ slots: 1 });
    const paused = engine.add(optionsOf([1, 5], 20));
    const begun = await write(paused, 2);
    await write(engine.add(optionsOf([2, 5], 5))); // takes the place of the idle one
    clock.time += 5000;
    const texts = await Promise.all([
      write(paused),
      write(engine.add(optionsOf([3, 5], 5))),
      write(engine.add(optionsOf([4, 5], 5))),
    ]);
    expect([...begun, ...texts[0]]).toEqual(alone([1, 5], 20));
    expect(texts.slice(1)).toEqual([alone([3, 5], 5), alone([4, 5], 5)]);
  });

  test("one that has waited long and one of a higher priority get places in one step, and neither is lost", async () => {
    const { engine, clock } = engineOf({ slots: 2 });
    const hold = [1, 2].map((id) => engine.add(optionsOf([id, 5], 60, { priority: 5 })));
    for (const sequence of hold) await sequence.next();
    const low = [1, 2].map((id) => write(engine.add(optionsOf([id, 6], 4))));
    await new Promise((resolve) => setImmediate(resolve));
    clock.time += 11_000;
    const high = [1, 2, 3].map((id) => write(engine.add(optionsOf([id, 7], 4, { priority: 1 }))));
    for (const sequence of hold) sequence.abandon();
    expect(await Promise.all(low)).toEqual([1, 2].map((id) => alone([id, 6], 4)));
    expect(await Promise.all(high)).toEqual([1, 2, 3].map((id) => alone([id, 7], 4)));
  });

  test("a signal that comes while a text gets its place leaves no place taken", async () => {
    const { engine, runner } = engineOf({ slots: 1 });
    const controller = new AbortController();
    runner.beforeEnter = () => controller.abort(new Error("gone"));
    await expect(write(engine.add(optionsOf([1], 5, { signal: controller.signal })))).rejects.toThrow("gone");
    runner.beforeEnter = () => {};
    expect(await write(engine.add(optionsOf([2, 5], 5)))).toEqual(alone([2, 5], 5));
    await engine.idle();
    expect(runner.holders).toEqual([undefined]);
  });

  test("what has images keeps its place, which cannot be had again", async () => {
    const { engine, clock } = engineOf({ slots: 1 });
    const seeing = engine.add(optionsOf([1, 5], 9, { embedded: { embeddings: undefined as never } }));
    await seeing.next();
    const other = write(engine.add(optionsOf([2, 5], 5, { priority: 3 })));
    clock.time += 5000;
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(engine.load).toMatchObject({ running: 1, waiting: 1 });
    seeing.abandon();
    expect(await other).toEqual(alone([2, 5], 5));
  });

  test("weights that are set when a token of a prompt comes count for the texts of the same step", async () => {
    const { engine, runner } = engineOf();
    const writing = engine.add(optionsOf([1, 5, 2], 9));
    await writing.next();
    const beginning = engine.add(optionsOf([2, 5, 1], 9));
    const first = beginning.next().then((event) => {
      runner.weights = 7;
      return event;
    });
    const event = await writing.next();
    await first;
    const before = writing.picker.ids.slice(0, 4);
    expect(event).toEqual({ id: logitsAfter(before, 7).indexOf(5) });
  });

  test("other layers are taken when texts have ended, and idle ones hold nobody up", async () => {
    const { engine, runner } = engineOf();
    const idle = engine.add(optionsOf([1, 5], 9));
    await idle.next();
    runner.isExchanged = true;
    expect(await write(engine.add(optionsOf([2, 5], 5)))).toEqual(alone([2, 5], 5));
    expect(runner.isExchanged).toBe(false);
  });

  test("a disposed engine says so", async () => {
    const { engine } = engineOf();
    const under = engine.add(optionsOf([1, 5], 50));
    await under.next();
    const next = under.next();
    engine.dispose();
    await expect(next).rejects.toThrow("disposed");
    await expect(write(engine.add(optionsOf([2, 5], 5)))).rejects.toThrow("disposed");
  });

  test("tokens that are proposed are run together, and those kept that it would have picked", async () => {
    const { engine, runner } = engineOf();
    const prompt = [1, 5];
    const right = alone(prompt, 18);
    const told: [number, number][] = [];
    const proposer: Proposer = {
      propose: (ids, most) => {
        const next = right.slice(ids.length - prompt.length).slice(0, Math.min(4, most));
        return { ids: next.map((id, i) => (i === 2 && ids.length % 2 === 0 ? 1 + (id % 15) : id)) };
      },
      learn: (...counts) => told.push(counts),
    };
    expect(await write(engine.add(optionsOf(prompt, 18, { proposer })))).toEqual(right);
    expect(right).toHaveLength(18);
    expect(runner.runs).toBeLessThan(9);
    expect(told.every(([proposed, accepted]) => accepted <= proposed)).toBe(true);
    expect(told.some(([proposed, accepted]) => accepted < proposed)).toBe(true);
  });

  test("an error of what proposes ends its text alone", async () => {
    const { engine } = engineOf();
    const proposer: Proposer = {
      propose: () => {
        throw new Error("the draft's");
      },
      learn() {},
    };
    await expect(write(engine.add(optionsOf([2, 5], 5, { proposer })))).rejects.toThrow("the draft's");
    expect(await write(engine.add(optionsOf([2, 5], 5)))).toEqual(alone([2, 5], 5));
  });

  test("a signal ends a text at once, and its place is free", async () => {
    const { engine, runner } = engineOf({ slots: 1 });
    const controller = new AbortController();
    const ended = engine.add(optionsOf([1], 50, { signal: controller.signal }));
    await ended.next();
    const next = ended.next();
    controller.abort(new Error("gone"));
    await expect(next).rejects.toThrow("gone");
    expect(await write(engine.add(optionsOf([2, 5], 5)))).toEqual(alone([2, 5], 5));
    await engine.idle();
    expect(runner.holders).toEqual([undefined]);
  });

  test("a run that fails ends the texts of that run alone", async () => {
    const { engine, runner } = engineOf();
    const bad = engine.add(optionsOf([1, 1, 1], 9));
    const good = engine.add(optionsOf([2, 5], 5));
    runner.fails = (sequence) => sequence === bad && sequence.filled === 0;
    await expect(write(bad)).rejects.toThrow("the run failed");
    expect(await write(good)).toEqual(alone([2, 5], 5));
  });

  test("what a picker throws ends its text alone", async () => {
    const { engine } = engineOf();
    const picker = new TokenPicker(fakeModel, [1], [1], {
      onLogits: () => {
        throw new Error("the caller's");
      },
    });
    picker.maxLength = 5;
    const texts = [write(engine.add({ prompt: [1], picker })), write(engine.add(optionsOf([2, 5], 5)))] as const;
    await expect(texts[0]).rejects.toThrow("the caller's");
    expect(await texts[1]).toEqual(alone([2, 5], 5));
  });

  test("a model that cannot be run is an error of each text, and the next call tries again", async () => {
    let tries = 0;
    const runner = new FakeRunner(2, 100);
    const make = async () => {
      if (tries++ === 0) throw new Error("no memory");
      return runner;
    };
    const engine = new Engine({ runner: make, limits: { contextLength: 100 } });
    await expect(write(engine.add(optionsOf([1], 3)))).rejects.toThrow("no memory");
    expect(await write(engine.add(optionsOf([2, 5], 3)))).toEqual(alone([2, 5], 3));
  });
});

/** Proposes what follows, and sometimes something else. */
const guesser = (random: Random): Proposer => ({
  async propose(ids, most) {
    await new Promise((resolve) => setImmediate(resolve));
    const right = alone(ids, Math.min(most, random.below(6)));
    return { ids: right.map((id) => (random.below(5) === 0 ? 1 + random.below(15) : id)) };
  },
  learn() {},
});

/** Texts come, are read slowly or fast, given up, aborted and pushed out, in an order that a seed decides. */
async function randomSchedule(seed: number): Promise<void> {
  const random = new Random("schedules", seed);
  const slots = 1 + random.below(4);
  const { engine, runner, clock } = engineOf({
    slots,
    cacheTokens: 20 + random.below(60),
    prefillTokens: 1 + random.below(12),
    sharedPrefillTokens: 1 + random.below(6),
    limits: { contextLength: 1000 },
  });
  const ends: Promise<void>[] = [];
  for (let i = 0; i < 2 + random.below(7); i++) {
    const prompt = Array.from({ length: 1 + random.below(10) }, () => 1 + random.below(3));
    const count = random.below(12);
    const controller = new AbortController();
    const kind = random.pick(["whole", "whole", "whole", "given up", "aborted", "slow"] as const);
    const some = random.below(count + 1);
    const sequence = engine.add(
      optionsOf(prompt, count, {
        proposer: random.below(2) === 0 ? guesser(random) : undefined,
        priority: random.below(3),
        group: String(random.below(3)),
        signal: controller.signal,
      }),
    );
    const follow = async () => {
      for (let turns = random.below(4); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
      const ids: number[] = [];
      const most = kind === "given up" || kind === "aborted" ? some : Number.POSITIVE_INFINITY;
      while (ids.length < most) {
        if (kind === "slow") clock.time += random.below(800);
        const event = await sequence.next();
        if ("reason" in event) break;
        ids.push(event.id);
      }
      expect(ids).toEqual(alone(prompt, count).slice(0, most));
      if (kind === "given up") sequence.abandon();
      if (kind === "aborted") {
        const last = sequence.next().catch(() => {});
        controller.abort(new Error("gone"));
        await last;
      }
    };
    ends.push(follow());
    if (random.below(3) === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(ends);
  await engine.idle();
  expect(runner.holders.filter(Boolean)).toEqual([]);
  expect(engine.load).toMatchObject({ running: 0, waiting: 0 });
}

test("in 10,000 random schedules each text is the one it is alone, none starves, and no place is lost", async () => {
  for (let seed = 0; seed < 10_000; seed++) await randomSchedule(seed);
}, 120_000);
