import { onAbort } from "../base/index.ts";

/** Room for a number of requests at a time; who waits gets it in the order of coming. */
export class Slots {
  private free: number;
  private readonly waiting: (() => void)[] = [];

  constructor(count: number) {
    this.free = count;
  }

  /** Whether there was room before the signal was aborted. */
  async take(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    if (this.free > 0) {
      this.free--;
      return true;
    }
    return new Promise((resolve) => {
      const enter = () => {
        stop();
        resolve(true);
      };
      const stop = onAbort(signal, () => {
        stop();
        this.waiting.splice(this.waiting.indexOf(enter), 1);
        resolve(false);
      });
      this.waiting.push(enter);
    });
  }

  /** Takes room if there is some now, and nobody waits for it. */
  tryTake(): boolean {
    if (this.free === 0) return false;
    this.free--;
    return true;
  }

  /** Gives a place back: who waits longest has it. */
  give(): void {
    const next = this.waiting.shift();
    if (next) next();
    else this.free++;
  }
}
