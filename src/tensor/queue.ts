/**
 * What runs graphs, in the order in which it was called: the next begins when that before it has been handed to the
 * device, which works in order itself. So state changes in the order of the calls, though most of them have something
 * to wait for at times: arguments that are still computed, first values of variables, room.
 */
class CallQueue {
  /** Settles when all that were called have begun; undefined when none waits. */
  private last: Promise<unknown> | undefined;
  /** The runs that have begun and not ended. */
  private readonly underWay = new Set<Promise<unknown>>();
  private count = 0;

  /** Begins at once when no other waits, so that a call leaves nothing to be done later. */
  add<T>(begin: () => T | Promise<T>): T | Promise<T> {
    const begun = this.last ? this.last.then(begin) : begin();
    if (!(begun instanceof Promise)) return begun;
    const last: Promise<unknown> = begun.then(ignore, ignore).then(() => {
      if (this.last === last) this.last = undefined;
    });
    this.last = last;
    return begun;
  }

  /** How many runs have begun so far. */
  get begunCount(): number {
    return this.count;
  }

  /** Counts a run as begun, and as under way until it has ended; gives its place among all. */
  follow(end: Promise<unknown>): number {
    this.underWay.add(end);
    const remove = () => this.underWay.delete(end);
    end.then(remove, remove);
    return ++this.count;
  }

  /**
   * What a run waits for when so many are under way that the device has enough to do: those that wait hold what they
   * were given, but no memory of the device and no copies.
   */
  get room(): Promise<void> | undefined {
    if (this.underWay.size < MAX_UNDER_WAY) return undefined;
    const [oldest] = this.underWay;
    return oldest.then(ignore, ignore);
  }
}

const MAX_UNDER_WAY = 32; // as many as JAX's CPU client

const ignore = () => {};

/** One for all devices: functions of different devices may share variables. */
export const calls = new CallQueue();
