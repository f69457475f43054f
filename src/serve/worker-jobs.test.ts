/** Threads of the server: turns, and the end of an idle one. */
import { EventEmitter } from "node:events";
import type { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { HandClock } from "../testing/hand-loader.ts";
import { asClient } from "./client.ts";
import { WorkerJobs } from "./worker-jobs.ts";

/** Is ready at once, and answers when the test says so. */
class HandWorker extends EventEmitter {
  readonly asked: string[] = [];
  isEnded = false;
  isRef = true;

  constructor() {
    super();
    queueMicrotask(() => this.emit("message", "ready"));
  }

  postMessage(request: string): void {
    this.asked.push(request);
  }

  answer(): void {
    this.emit("message", `of ${this.asked[this.asked.length - 1]}`);
  }

  ref(): void {
    this.isRef = true;
  }

  unref(): void {
    this.isRef = false;
  }

  async terminate(): Promise<number> {
    this.isEnded = true;
    this.emit("exit", 1);
    return 1;
  }
}

function handJobs() {
  const clock = new HandClock();
  const workers: HandWorker[] = [];
  const jobs = new WorkerJobs<string, string>(
    () => {
      workers.push(new HandWorker());
      return workers[workers.length - 1] as unknown as Worker;
    },
    { clock },
  );
  return { jobs, workers, clock };
}

const signal = new AbortController().signal;

test("clients have turns, and so have requests of a client that ask for one thing after another", async () => {
  const { jobs, workers } = handJobs();
  const request = async (name: string, count: number) => {
    for (let i = 1; i <= count; i++) await jobs.ask(`${name}${i}`, { signal });
  };
  const all = Promise.all([
    ...["p", "q", "r"].map((name) => asClient("a", () => request(name, 2))),
    asClient("b", () => request("z", 2)),
  ]);
  const expected = ["p1", "q1", "z1", "r1", "p2", "z2", "q2", "r2"];
  for (const [i] of expected.entries()) {
    await new Promise((resolve) => setImmediate(resolve));
    expect(workers[0].asked.length).toBe(i + 1);
    workers[0].answer();
  }
  await all;
  expect(workers[0].asked).toEqual(expected);
});

test("a thread that has nothing to do for a minute ends, and starts anew when there is something", async () => {
  const { jobs, workers, clock } = handJobs();
  const ask = async (request: string) => {
    const answer = jobs.ask(request, { signal });
    await null; // it is ready
    workers[workers.length - 1].answer();
    return answer;
  };
  expect(await ask("a")).toBe("of a");
  clock.turn(59_999);
  expect(await ask("b")).toBe("of b"); // a minute from here
  clock.turn(59_999);
  expect([workers.length, workers[0].isEnded, workers[0].isRef]).toEqual([1, false, false]);
  clock.turn(1);
  expect(workers[0].isEnded).toBe(true);
  expect(await ask("c")).toBe("of c");
  expect(workers.length).toBe(2);
  const long = jobs.ask("d", { signal });
  clock.turn(600_000); // it is at work
  expect(workers[1].isEnded).toBe(false);
  workers[1].answer();
  expect(await long).toBe("of d");
  await jobs.dispose();
  expect(clock.waiting).toBe(0);
});

test.each<[string, (worker: HandWorker) => void, string]>([
  ["by an error", (worker) => worker.emit("error", new Error("out of memory")), "out of memory"],
  ["by itself", (worker) => worker.emit("exit", 3), "a thread of the server ended with code 3"],
])("a thread that ends %s takes one job with it, and another does the next", async (_, end, message) => {
  const { jobs, workers } = handJobs();
  const [broken, next] = [jobs.ask("a", { signal }), jobs.ask("b", { signal })];
  await null; // it is ready
  end(workers[0]);
  await expect(broken).rejects.toThrow(message);
  await null;
  workers[1].answer();
  expect(await next).toBe("of b");
});

test("what is asked of a thread that is disposed of is refused, and it starts anew for others", async () => {
  const { jobs, workers } = handJobs();
  const asked = [jobs.ask("a", { signal }), jobs.ask("b", { signal })];
  await null; // it is ready
  const refused = asked.map((answer) => expect(answer).rejects.toThrow("the thread was ended"));
  await jobs.dispose();
  await Promise.all(refused);
  const next = jobs.ask("c", { signal });
  await null;
  workers[1].answer();
  expect(await next).toBe("of c");
});
