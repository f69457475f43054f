import { nodeModel } from "../node-model.mjs";
import type { OrtLibrary } from "./library.ts";
import { NativeSession, RunOptions } from "./session.ts";
import { codeOf, NativeValue } from "./value.ts";

/** A run that takes so long may have needed much memory; shorter ones, such as those of single tokens, do not. */
const LARGE_RUN_MS = 50;
/** Nor does one that takes less than this part of the longest since the arena last shrank. */
const COMPARABLE = 1 / 4;
/** Memory is kept so long after a large run, for the next: a step of training follows at once. */
const REST_MS = 1000;

/**
 * Gives the memory of large runs back to the system. ONNX Runtime's arena keeps what runs have needed at most; it
 * shrinks when a second has passed since the last large run, between two small ones if there are some. Small runs alone
 * never cause it, and so cost nothing. How long a run takes stands for how large it is: ONNX Runtime does not tell what
 * a run has needed.
 */
export class MemoryKeeper {
  private readonly ort: OrtLibrary;
  private readonly timer: NodeJS.Timeout;
  private startedAt: number | undefined;
  /** Of the runs since the arena last shrank. */
  private longestMs = 0;
  /** A second has passed, in the middle of a run. */
  private isDue = false;
  private shrinking: Promise<void> = Promise.resolve();
  private session: Promise<NativeSession> | undefined;

  constructor(ort: OrtLibrary) {
    this.ort = ort;
    this.timer = setTimeout(() => this.onRest(), REST_MS).unref();
  }

  runBegins(): void {
    this.startedAt = performance.now();
  }

  runEnds(): void {
    const milliseconds = performance.now() - (this.startedAt ?? 0);
    this.startedAt = undefined;
    if (milliseconds >= Math.max(LARGE_RUN_MS, COMPARABLE * this.longestMs)) {
      this.longestMs = Math.max(this.longestMs, milliseconds);
      this.expect();
    } else if (this.isDue) this.shrink();
  }

  /** There is, or soon will be, something to give back. */
  expect(): void {
    this.isDue = false;
    this.timer.refresh();
  }

  private onRest(): void {
    this.isDue = true;
    if (this.startedAt === undefined) this.shrink();
  }

  private shrink(): void {
    this.isDue = false;
    this.longestMs = 0;
    this.shrinking = this.shrinking.then(() => this.shrinkArena()).catch(() => {}); // it stays as large as it is
  }

  /** The arena is that of all sessions, so any run will do: that of a model of one node. */
  private async shrinkArena(): Promise<void> {
    const { ort } = this;
    this.session ??= NativeSession.create(ort, nodeModel({ type: codeOf("float32") }), { threads: 1, config: {} });
    const options = new RunOptions(ort, { shrinksArena: true });
    const [x, y] = [0, 0].map(() => NativeValue.over(ort, "float32", [1], new Float32Array(1)));
    try {
      const session = await this.session;
      await session.run(BigUint64Array.of(x.pointer), BigUint64Array.of(y.pointer), options);
      await ort.trim(); // the arena gives its memory to the C library, which keeps it
    } finally {
      for (const part of [x, y, options]) part.dispose();
    }
  }

  async dispose(): Promise<void> {
    clearTimeout(this.timer);
    await this.shrinking;
    (await this.session)?.dispose();
  }
}
