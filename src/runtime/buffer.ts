import type { DType, HostArray } from "../base/index.ts";
import { fromBoundary } from "./boundary.ts";
import type { Connection } from "./connection.ts";

/** Frees what the program has forgotten. */
const abandoned = new FinalizationRegistry<{ connection: Connection; id: number }>(({ connection, id }) =>
  connection.notify({ kind: "free", buffers: [id] }),
);

/**
 * Tensor data that lives on a device. Free it with `dispose`; forgotten ones are freed when they are garbage collected.
 */
export class DeviceBuffer {
  /** @internal */
  readonly connection: Connection;
  /** @internal */
  readonly id: number;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Whether the backend has it: a request that makes it was sent. @internal */
  isFilled = false;
  /** Buffers in the memory of this one, by their rows. */
  private readonly views = new Map<string, DeviceBuffer>();
  /** The buffer in whose memory this one is: held, so that it is not collected. @internal */
  whole?: DeviceBuffer;
  private isDisposed = false;

  /** A new buffer, whose contents the next request that writes it will make. */
  constructor(connection: Connection, dtype: DType, shape: readonly number[]) {
    this.connection = connection;
    this.id = connection.newId();
    this.dtype = dtype;
    this.shape = shape;
    abandoned.register(this, { connection, id: this.id }, this);
  }

  /** A copy of the numbers, row-major. */
  async read(): Promise<HostArray> {
    const data = await this.connection.request<HostArray>({ kind: "read", buffer: this.id });
    return fromBoundary(this.dtype, data);
  }

  /**
   * Rows of the first axis as a buffer in the same memory, where the device has such. It is this buffer's, and gone
   * with it. @internal
   */
  rows(start: number, count: number): DeviceBuffer {
    if (start === 0 && count === this.shape[0]) return this;
    const key = `${start} ${count}`;
    const present = this.views.get(key);
    if (present) return present;
    const view = new DeviceBuffer(this.connection, this.dtype, [count, ...this.shape.slice(1)]);
    view.isFilled = true;
    view.whole = this;
    this.views.set(key, view);
    this.connection.notify({ kind: "view", buffer: view.id, of: this.id, row: start, shape: view.shape });
    return view;
  }

  /** Frees the memory on the device, and what is in it. A second call does nothing. */
  dispose(): void {
    if (this.isDisposed) return;
    this.isDisposed = true;
    for (const view of this.views.values()) view.dispose();
    abandoned.unregister(this);
    this.connection.notify({ kind: "free", buffers: [this.id] });
  }
}
