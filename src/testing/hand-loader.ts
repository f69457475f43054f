/** A loader and a clock that tests move. */
import type { Clock } from "../serve/clock.ts";

/** A clock that stands still until it is turned. */
export class HandClock implements Clock {
  private time = 0;
  private readonly calls = new Set<{ at: number; call: () => void }>();

  now(): number {
    return this.time;
  }

  after(ms: number, call: () => void): () => void {
    const entry = { at: this.time + ms, call };
    this.calls.add(entry);
    return () => this.calls.delete(entry);
  }

  turn(ms: number): void {
    this.time += ms;
    for (const entry of [...this.calls].sort((a, b) => a.at - b.at)) {
      if (entry.at > this.time || !this.calls.delete(entry)) continue;
      entry.call();
    }
  }

  get waiting(): number {
    return this.calls.size;
  }
}

/** What is loaded. */
export interface Value {
  id: string;
  isDisposed: boolean;
}

/** A load or a disposal that the test has not ended. */
export interface PendingCall {
  id: string;
  end: () => void;
  fail: (error: Error) => void;
}

/** Loads and disposes when the test says so, and counts. */
export class HandLoader {
  readonly loads: PendingCall[] = [];
  readonly disposals: PendingCall[] = [];
  readonly alive = new Set<Value>();
  /** Of what is loaded or being loaded. */
  usedBytes = 0;

  source(id: string, bytes: number, isPinned = false) {
    return {
      id,
      bytes,
      isPinned,
      load: async (): Promise<Value> => {
        this.usedBytes += bytes;
        try {
          await this.pending(this.loads, id);
        } catch (error) {
          this.usedBytes -= bytes;
          throw error;
        }
        const value = { id, isDisposed: false };
        this.alive.add(value);
        return value;
      },
      dispose: async (value: Value) => {
        if (value.isDisposed) throw new Error("disposed of twice");
        value.isDisposed = true;
        try {
          await this.pending(this.disposals, id);
        } finally {
          this.alive.delete(value);
          this.usedBytes -= bytes;
        }
      },
    };
  }

  private pending(list: PendingCall[], id: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => list.splice(list.indexOf(entry), 1);
      const entry: PendingCall = {
        id,
        end: () => {
          leave();
          resolve();
        },
        fail: (error) => {
          leave();
          reject(error);
        },
      };
      list.push(entry);
    });
  }
}
