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

  /** Frees the memory on the device. A second call does nothing. */
  dispose(): void {
    if (this.isDisposed) return;
    this.isDisposed = true;
    abandoned.unregister(this);
    this.connection.notify({ kind: "free", buffers: [this.id] });
  }
}
