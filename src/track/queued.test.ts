import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { queuedTracker, type TrackerSink } from "./queued.ts";
import { trackEvents } from "./track-events.ts";
import type { TrackedEntry } from "./tracker.ts";

const run = { name: "a", folder: "a", config: {} };
const end = { end: "finished", step: 1, values: {} } as const;

/** A sink that fails as long as it is told to. */
class Scripted implements TrackerSink {
  readonly name = "scripted";
  readonly steps: number[] = [];
  readonly calls: string[] = [];
  isBroken = false;
  hangs = false;

  async open(_: unknown, resumedStep: number) {
    this.calls.push(`open ${resumedStep}`);
    await this.answer();
  }

  async write(entries: readonly TrackedEntry[]) {
    await this.answer();
    this.steps.push(...entries.map(({ step }) => step));
  }

  async close({ end }: { end: string }) {
    this.calls.push(`close ${end}`);
  }

  private async answer() {
    if (this.hangs) await new Promise(() => {});
    if (this.isBroken) throw new Error("the server is away.");
  }
}

test("what fails is written again, the oldest of too many are dropped, and it is said once and at the end", async () => {
  const [sink, notes] = [new Scripted(), [] as string[]];
  const onWarning = (warning: { notes: readonly string[] }) => notes.push(...warning.notes);
  const tracker = queuedTracker(sink, { flushIntervalMs: 5, mostQueued: 3, onWarning });
  sink.isBroken = true;
  tracker.start(run, 0);
  for (let step = 1; step <= 5; step++) tracker.log(step, { loss: 1 });
  await sleep(60);
  expect(sink.steps).toEqual([]);
  sink.isBroken = false;
  await tracker.finish(end);
  expect(sink.steps).toEqual([3, 4, 5]);
  expect(notes).toEqual([
    "the server is away. Training goes on; the last 3 entries wait, and are tried again",
    "2 entries are lost",
  ]);
  expect(sink.calls.at(-1)).toBe("close finished");
});

test("a sink that never answers holds the end up no longer than allowed", async () => {
  const [sink, notes] = [new Scripted(), [] as string[]];
  sink.hangs = true;
  const onWarning = (warning: { notes: readonly string[] }) => notes.push(...warning.notes);
  const tracker = queuedTracker(sink, { finishTimeoutMs: 50, onWarning });
  tracker.start(run, 0);
  tracker.log(1, { loss: 1 });
  await tracker.finish(end);
  expect(notes).toEqual(["1 entries are lost"]);
});

test("numbers that change after the call are written as they were", async () => {
  const written: TrackedEntry[] = [];
  const sink = new Scripted();
  sink.write = async (entries) => void written.push(...entries);
  const tracker = queuedTracker(sink);
  const values = { loss: 1 };
  tracker.start(run, 0);
  tracker.log(1, values);
  values.loss = 2;
  await tracker.finish(end);
  expect(written).toMatchObject([{ values: { loss: 1 } }]);
});

test("wrong options are refused", () => {
  expect(() => queuedTracker(new Scripted(), { mostQueued: 0 })).toThrow(/mostQueued to be a positive integer/);
  expect(() => queuedTracker(new Scripted(), { flushInterval: 1 } as object)).toThrow(/did you mean "flushIntervalMs"/);
});

const step = { gradientNorm: 1, learningRate: 0.1, metrics: { accuracy: 0.5 }, throughput: 100 };
async function* training(error?: Error) {
  yield { type: "ready", parameters: 10 } as const;
  yield { type: "resumed", step: 4, validationLoss: null } as const;
  yield { type: "step", step: 5, loss: 3, elapsedSeconds: 1, ...step } as const;
  yield { type: "evaluation", step: 5, validationLoss: 4, metrics: {} } as const;
  if (error) throw error;
  yield { type: "step", step: 6, loss: 3.5, elapsedSeconds: 1, ...step } as const;
  yield { type: "finished", step: 6, reason: "steps", validationLoss: 4, validationStep: 5 } as const;
}

async function follow(error?: Error, stopAfter = 10) {
  const sink = new Scripted();
  const values: Record<string, number>[] = [];
  let summary: unknown;
  sink.write = async (entries) =>
    void values.push(...entries.flatMap((entry) => (entry.type === "values" ? [entry.values] : [])));
  sink.close = async (result) => {
    summary = result;
  };
  const types: string[] = [];
  const done = (async () => {
    for await (const event of trackEvents(training(error), run, [queuedTracker(sink)])) {
      types.push(event.type);
      if (types.length === stopAfter) break;
    }
  })();
  await done.catch((thrown) => expect(thrown).toBe(error));
  return { types, values, summary, calls: sink.calls };
}

test("events pass through, and trackers get the numbers of steps and evaluations", async () => {
  const { types, values, summary, calls } = await follow();
  expect(types).toEqual(["ready", "resumed", "step", "evaluation", "step", "finished"]);
  expect(calls).toEqual(["open 4"]);
  expect(values[0]).toEqual({
    "train/loss": 3,
    "train/gradientNorm": 1,
    "train/learningRate": 0.1,
    "train/throughput": 100,
    "train/accuracy": 0.5,
    "system/residentBytes": expect.any(Number),
  });
  expect(values[1]).toEqual({ "validation/loss": 4 });
  expect(summary).toMatchObject({ end: "finished", step: 6, values: { "train/loss": 3.5, "train/lossBest": 3 } });
});

test("an error of the training goes on to the caller, and the run has failed", async () => {
  expect((await follow(new Error("diverged"))).summary).toMatchObject({ end: "failed", step: 5 });
});

test("a caller who leaves has stopped the run", async () => {
  expect((await follow(undefined, 3)).summary).toMatchObject({ end: "stopped", step: 5 });
});
