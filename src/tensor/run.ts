import type { HostArray } from "../base/index.ts";
import type { TensorType } from "../ir/index.ts";
import type { DeviceBuffer } from "../runtime/index.ts";
import { Leaf, type Source } from "./leaf.ts";

/**
 * A call of a compiled function, from when it is made until it has ended. Its error is thrown to whoever waits for it
 * or for its results, and is no unhandled rejection when nobody does.
 */
export class Run implements Source {
  /** Until it has ended: whoever holds one result does not hold the others. */
  private unfinished: readonly ResultLeaf[];
  readonly end: Promise<void>;
  /** Its place among all that began. */
  place = 0;
  private failure: Error | undefined;
  private isTold = false;
  private hasEnded = false;
  private settle!: { resolve: () => void; reject: (cause: Error) => void };

  constructor(types: readonly TensorType[]) {
    this.end = new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
    });
    this.end.catch(() => {});
    this.unfinished = types.map((type) => new ResultLeaf(type, this));
  }

  get results(): readonly ResultLeaf[] {
    return this.unfinished;
  }

  /** Waits for the end. @throws the error that the run failed with */
  async wait(): Promise<void> {
    try {
      await this.end;
    } catch (cause) {
      this.isTold = true;
      throw cause;
    }
  }

  takeFailure(): Error | undefined {
    if (this.failure) this.isTold = true;
    return this.failure;
  }

  get hasUntoldFailure(): boolean {
    return this.failure !== undefined && !this.isTold;
  }

  get isOver(): boolean {
    return this.hasEnded && !this.hasUntoldFailure;
  }

  /** Called when it is on its way to the device: results that stay there can be used from now on. */
  began(buffers: readonly (DeviceBuffer | undefined)[], place: number): void {
    this.place = place;
    this.results.forEach((result, i) => {
      result.holdBuffer(buffers[i]);
    });
  }

  /** Called with the numbers that came back. */
  ended(data: readonly (HostArray | undefined)[]): void {
    this.results.forEach((result, i) => {
      result.finish(data[i]);
    });
    this.unfinished = [];
    this.hasEnded = true;
    this.settle.resolve();
  }

  failed(cause: Error): void {
    this.failure = cause;
    for (const result of this.results) result.fail();
    this.unfinished = [];
    this.hasEnded = true;
    this.settle.reject(cause);
  }
}

/** A result of a compiled function, from the call on. */
export class ResultLeaf extends Leaf {
  readonly isState = false;
  /** Until it has ended well. */
  private run: Run | undefined;
  private numbers: HostArray | undefined;
  private deviceNumbers: DeviceBuffer | undefined;

  constructor(type: TensorType, run: Run) {
    super("data", type); // graphs that differ only in where their data comes from are the same graph
    this.run = run;
  }

  get isOnHost(): boolean {
    return this.numbers !== undefined;
  }

  get host(): HostArray | undefined {
    return this.numbers;
  }

  get buffer(): DeviceBuffer | undefined {
    return this.deviceNumbers;
  }

  get lack(): Promise<void> | undefined {
    return this.numbers || this.deviceNumbers ? undefined : this.run?.end;
  }

  place(): void {}

  get sources(): readonly Source[] {
    return this.run ? [this.run] : [];
  }

  holdBuffer(buffer: DeviceBuffer | undefined): void {
    this.deviceNumbers = buffer;
  }

  finish(numbers: HostArray | undefined): void {
    this.numbers = numbers;
    this.run = undefined;
  }

  fail(): void {
    this.deviceNumbers?.dispose();
    this.deviceNumbers = undefined;
  }

  protected free(): void {
    this.deviceNumbers?.dispose();
  }
}
