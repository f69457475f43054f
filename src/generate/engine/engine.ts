import { nextTurn, RuntimeError } from "../../base/index.ts";
import { type ProposalRuns, type SequenceRunner, StaleContext } from "./runner.ts";
import { isWriting, type Piece, Scheduler, type SchedulerOptions, sourceTokens } from "./scheduler.ts";
import { type ContextLimits, Sequence, type SequenceOptions } from "./sequence.ts";

/** What an engine runs, and how. */
export interface EngineOptions extends SchedulerOptions {
  /** Called once, when a runner is needed first. */
  runner: () => Promise<SequenceRunner>;
  limits: ContextLimits;
  /** @default the computer's */
  clock?: Clock;
}

/** What time it is, in milliseconds, and waiting: in tests a clock that is turned by hand. */
export interface Clock {
  now(): number;
  sleep(milliseconds: number): Promise<void>;
}

const realClock: Clock = {
  now: () => performance.now(),
  sleep: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
};

/** Tokens are picked for so long, in milliseconds, without a pause. */
const LONGEST_PICKING_MS = 8;

/** What an engine has to do, and what it has done. */
export interface EngineLoad {
  /** Texts that have a place. */
  running: number;
  /** Texts that wait for one. */
  waiting: number;
  /** Tokens of all prompts so far. */
  promptTokens: number;
  /** Those of them that were not read, since another text had them. */
  sharedTokens: number;
}

/** How long the engine sleeps, in milliseconds, when those who wait cannot have a place yet. */
const RETRY_MS = 100;

/**
 * Writes texts with a model, as many together as there is room for (continuous batching: Yu et al. 2022, "Orca", OSDI).
 * A step gives places to those who wait, reads pieces of prompts, and then the next token of all texts that are being
 * written, in one run; it picks their tokens, and who asks for a further one is in the next step. It runs while
 * somebody asks.
 */
export class Engine {
  private readonly scheduler: Scheduler;
  private readonly limits: ContextLimits;
  private readonly makeRunner: () => Promise<SequenceRunner>;
  private runner: SequenceRunner | undefined;
  /** The same, when it is being made. */
  private opening: Promise<SequenceRunner> | undefined;
  private loop: Promise<void> | undefined;
  private readonly clock: Clock;
  private isDisposed = false;
  private promptTokens = 0;
  private sharedTokens = 0;

  constructor({ runner, limits, clock = realClock, ...options }: EngineOptions) {
    this.scheduler = new Scheduler(options, () => clock.now());
    this.clock = clock;
    this.limits = limits;
    this.makeRunner = runner;
  }

  /** A new text. It begins when somebody asks for its first token. */
  add(options: SequenceOptions): Sequence {
    const sequence = new Sequence(options, this.limits, (changed) => this.onChange(changed));
    if (this.isDisposed) sequence.fail(disposed());
    if (!sequence.hasEnded) this.scheduler.add(sequence);
    return sequence;
  }

  /** What there is to do now, and what was done. */
  get load(): EngineLoad {
    const { promptTokens, sharedTokens } = this;
    return { running: this.scheduler.running.size, waiting: this.scheduler.waitingCount, promptTokens, sharedTokens };
  }

  /** Compiles what so many texts, written together, need; texts need not wait for the end of it. */
  async prepare(texts: number): Promise<void> {
    if (!this.isDisposed) await (await this.open()).prepare?.(texts);
  }

  private async open(): Promise<SequenceRunner> {
    this.opening ??= this.makeRunner().catch((cause) => {
      this.opening = undefined; // the next text tries again
      throw cause;
    });
    this.runner = await this.opening;
    return this.runner;
  }

  /** Resolves when nothing is run. */
  async idle(): Promise<void> {
    while (this.loop) await this.loop;
  }

  /** Frees what it keeps, after the step under way. Texts that have not ended are errors then. */
  dispose(): void {
    this.isDisposed = true;
    for (const sequence of this.scheduler.sequences) sequence.fail(disposed());
    void this.idle().then(async () => (await this.opening?.catch(() => undefined))?.dispose());
  }

  private onChange(sequence: Sequence): void {
    if (sequence.hasEnded && sequence.slot === undefined) this.scheduler.remove(sequence); // else the loop sees it
    if (this.isDisposed) return;
    this.loop ??= this.run()
      .catch((cause) => {
        for (const each of this.scheduler.sequences) each.fail(cause);
        this.sweep();
      })
      .finally(() => {
        this.loop = undefined;
        if (this.hasWork) this.onChange(sequence);
      });
  }

  private get hasWork(): boolean {
    return this.scheduler.sequences.some(({ isWanted, hasEnded }) => isWanted || hasEnded);
  }

  private async run(): Promise<void> {
    for (;;) {
      await nextTurn(); // those who have their tokens ask for the next
      const runner = await this.open();
      this.sweep();
      if (this.isDisposed || !this.scheduler.sequences.some(({ isWanted }) => isWanted)) return;
      if (!(await this.step(runner))) await this.clock.sleep(RETRY_MS);
    }
  }

  /** Takes back the places of those who have ended. */
  private sweep(): void {
    for (const sequence of this.scheduler.sequences) {
      if (!sequence.hasEnded) continue;
      if (sequence.slot !== undefined) this.runner?.leave(sequence);
      this.scheduler.remove(sequence);
    }
  }

  /** Whether there was something to do. */
  private async step(runner: SequenceRunner): Promise<boolean> {
    this.noticeWeights(runner);
    const placed = await this.place(runner);
    const pieces = this.scheduler.pieces();
    const writing = this.scheduler.writing();
    for (const piece of pieces) {
      await this.read(runner, piece);
      this.noticeWeights(runner); // who has got a token may have set them
    }
    const going = writing.filter((sequence) => !sequence.hasEnded && isWriting(sequence));
    const isAlone = going.length === 1 && going[0].proposer !== undefined;
    if (isAlone && runner.proposals && (await this.verify(runner.proposals, going[0]))) return true;
    if (going.length > 0) await this.advance(runner, going);
    return placed + pieces.length + writing.length > 0;
  }

  private noticeWeights(runner: SequenceRunner): void {
    if (runner.noticeWeights()) this.rereadAll();
  }

  private rereadAll(): void {
    for (const sequence of this.scheduler.running) reread(sequence);
  }

  /** An error ends the texts that it concerns, and no others. */
  private async attempt(sequences: readonly Sequence[], run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (cause) {
      if (cause instanceof StaleContext) return this.rereadAll();
      for (const sequence of sequences) sequence.fail(cause);
    }
  }

  private async place(runner: SequenceRunner): Promise<number> {
    // a text is written by the layers that it began with: others wait for its end
    const isOld = this.scheduler.waitingCount > 0 && runner.hasOtherLayers();
    const admits = !isOld || this.scheduler.running.size === 0;
    if (isOld && admits) runner.takeLayers();
    const { preempted, admitted } = this.scheduler.place((sequences) => runner.fits(sequences), admits);
    for (const sequence of preempted) {
      runner.leave(sequence);
      sequence.filled = 0;
    }
    for (const sequence of admitted) {
      if (sequence.hasEnded) continue;
      await this.attempt([sequence], () => {
        sequence.onEnter?.();
        return runner.enter(sequence);
      });
      // one that has ended meanwhile was not known to have a place
      if (sequence.hasEnded && sequence.slot !== undefined) runner.leave(sequence);
    }
    return admitted.length;
  }

  private async read(runner: SequenceRunner, { sequence, count }: Piece): Promise<void> {
    if (sequence.hasEnded || sequence.slot === undefined) return;
    await this.attempt([sequence], async () => {
      const before = sequence.filled - sequence.shared - sourceTokens(sequence);
      const logits = await runner.read(sequence, count);
      if (logits && !sequence.hasBegun) {
        this.promptTokens += sequence.context.length;
        this.sharedTokens += sequence.shared;
      }
      this.take(sequence, logits, Math.max(0, sequence.filled - sequence.shared - before));
    });
  }

  private async advance(runner: SequenceRunner, sequences: readonly Sequence[]): Promise<void> {
    await this.attempt(sequences, async () => {
      const logits = await runner.advance(sequences);
      let since = performance.now();
      for (const [i, sequence] of sequences.entries()) {
        this.take(sequence, logits[i], 1);
        if (performance.now() - since < LONGEST_PICKING_MS) continue;
        await nextTurn(); // what else the program has to do
        since = performance.now();
      }
    });
  }

  /**
   * Runs several tokens of a text together, where some are proposed: for one that is written alone, since those of
   * several texts are run together anyway. False where there are none.
   */
  private async verify(runs: ProposalRuns, sequence: Sequence): Promise<boolean> {
    let hasRun = false;
    await this.attempt([sequence], async () => {
      const proposals = await sequence.proposals(runs.most(sequence));
      if (proposals.ids.length === 0 || sequence.hasEnded) return;
      hasRun = true;
      const rows = await runs.verify(sequence, proposals.ids);
      const before = sequence.filled;
      if (!sequence.hasEnded) sequence.takeProposed(rows, proposals);
      this.scheduler.serve(sequence, sequence.filled - before + 1);
    });
    return hasRun || sequence.hasEnded;
  }

  private take(sequence: Sequence, logits: Float32Array | undefined, tokens: number): void {
    this.scheduler.serve(sequence, tokens);
    if (logits && !sequence.hasEnded) sequence.take(logits);
  }
}

const disposed = (): Error =>
  new RuntimeError({
    where: "generate",
    expected: "a generator that is there",
    received: "one that was disposed",
    fix: "dispose it when its texts have ended, and make a new one for others",
  });

/** By other weights: nothing of the cache is good. What has images cannot be read again, and goes on. */
function reread(sequence: Sequence): void {
  if (!sequence.embedded) sequence.filled = 0;
  sequence.source?.forget();
}
