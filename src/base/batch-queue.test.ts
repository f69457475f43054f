/** What waits together is run together: turns of groups, lengths, ends, errors, and a thousand random schedules. */
import { describe, expect, test } from "vitest";
import { Random } from "../testing/fuzz/random.ts";
import { BatchQueue, type BatchQueueOptions } from "./batch-queue.ts";

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A part is its length; its result the double. Runs end when they are let go on. */
function handQueue(options: Partial<BatchQueueOptions<number, number>> = {}) {
  const batches: { parts: readonly number[]; end: (cause?: unknown) => void; signal?: AbortSignal }[] = [];
  const queue = new BatchQueue<number, number>({
    run: (parts, signal) =>
      new Promise((resolve, reject) => {
        const end = (cause?: unknown) => (cause ? reject(cause) : resolve(parts.map((part) => 2 * part)));
        batches.push({ parts, end, signal });
      }),
    tokensOf: (part) => part,
    maxTokens: 100,
    ...options,
  });
  const goOn = async (cause?: unknown) => {
    await turn();
    batches[batches.length - 1].end(cause);
    await turn();
  };
  return { queue, batches, goOn };
}

describe("a queue of batches", () => {
  test("runs together what came while a run was under way, in the order of lengths nearest to the first", async () => {
    const { queue, batches, goOn } = handQueue();
    const first = queue.add([10]);
    await turn();
    const others = [queue.add([20, 50]), queue.add([19]), queue.add([20, 48])];
    await goOn();
    expect(await first).toEqual([20]);
    await goOn();
    await goOn();
    expect(batches.map(({ parts }) => parts)).toEqual([[10], [20, 20, 19], [50, 48]]);
    expect(await Promise.all(others)).toEqual([[40, 100], [38], [40, 96]]);
  });

  test("keeps to the most tokens and rows, and to little padding; what is longer is run by itself", async () => {
    const { queue, batches, goOn } = handQueue();
    const long = queue.add([500]);
    const few = queue.add([30, 30, 30, 30], { maxRows: 2 });
    const uneven = queue.add([9, 30]);
    for (let i = 0; i < 5; i++) await goOn();
    await Promise.all([long, few, uneven]);
    expect(batches.map(({ parts }) => parts)).toEqual([[500], [30, 30], [30, 30], [9], [30]]);
  });

  test("gives each group its turn, however much others ask for", async () => {
    const { queue, batches, goOn } = handQueue({ maxTokens: 50 });
    const much = queue.add(new Array(20).fill(50), { group: "a" });
    const little = queue.add([1, 2], { group: "b" });
    let isDone = false;
    void little.then(() => {
      isDone = true;
    });
    for (let i = 0; i < 3; i++) await goOn();
    await turn();
    expect(batches.slice(0, 3).map(({ parts }) => parts[0])).toEqual([50, 1, 50]);
    for (let i = 0; i < 19; i++) await goOn();
    expect(isDone).toBe(true);
    expect((await much).length).toBe(20);
  });

  test("an aborted call leaves at once; a run of its parts alone is told, one with others goes on", async () => {
    const { queue, batches, goOn } = handQueue();
    const gone = new AbortController();
    const first = queue.add([90], { signal: gone.signal });
    await turn();
    const [second, other] = [queue.add([40, 40], { signal: gone.signal }), queue.add([41])];
    gone.abort(new Error("gone"));
    await expect(first).rejects.toThrow("gone");
    await expect(second).rejects.toThrow("gone");
    await expect(queue.add([1], { signal: gone.signal })).rejects.toThrow("gone");
    expect(batches[0].signal).toBe(gone.signal);
    await goOn(gone.signal.reason);
    await goOn();
    expect(await other).toEqual([82]);
    expect(batches.map(({ parts }) => parts)).toEqual([[90], [41]]);
  });

  test("an error is that of the call whose parts fail", async () => {
    const queue = new BatchQueue<number, number>({
      run: async (parts) => {
        if (parts.includes(13)) throw new Error("13");
        return parts;
      },
      tokensOf: () => 1,
    });
    const calls = [[1, 2], [3, 13], [4]].map((parts) => queue.add(parts));
    const ends = await Promise.allSettled(calls);
    expect(ends.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(await queue.add([5])).toEqual([5]);
    expect(await queue.add([])).toEqual([]);
  });

  test("random schedules: each gets its results, and nobody waits for ever", async () => {
    for (let seed = 0; seed < 200; seed++) {
      const random = new Random("batches", seed);
      let runs = 0;
      const queue = new BatchQueue<number, string>({
        run: async (parts) => {
          runs++;
          const longest = Math.max(...parts);
          expect(parts.length === 1 || parts.length * longest <= 64).toBe(true);
          if (parts.some((part) => part % 17 === 0)) throw new Error("fails");
          if (random.below(2) === 0) await turn();
          return parts.map((part) => `of ${part}`);
        },
        tokensOf: (part) => part,
        maxTokens: 64,
      });
      const calls = Array.from({ length: 12 }, async () => {
        for (let i = random.below(4); i > 0; i--) await turn();
        const parts = Array.from({ length: random.below(9) }, () => 1 + random.below(40));
        const gone = new AbortController();
        const isGone = random.below(6) === 0;
        const group = `g${random.below(3)}`;
        const results = queue.add(parts, { group, signal: isGone ? gone.signal : undefined });
        if (isGone) setImmediate(() => gone.abort(new Error("gone")));
        const fails = parts.some((part) => part % 17 === 0);
        await results.then(
          (texts) => expect([texts, fails]).toEqual([parts.map((part) => `of ${part}`), false]),
          (cause) => expect(["gone", fails ? "fails" : "gone"]).toContain((cause as Error).message),
        );
      });
      await Promise.all(calls);
      expect(runs).toBeLessThan(200);
    }
  });
});
