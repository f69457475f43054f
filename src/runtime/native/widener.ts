import { releasePages } from "../../files/index.ts";
import { nodeModel } from "../node-model.mjs";
import { ortTypes } from "../protocol.ts";
import type { OrtLibrary } from "./library.ts";
import { NativeSession, type NativeSessionOptions, RunOptions } from "./session.ts";
import { codeOf, NativeValue } from "./value.ts";

/** Numbers that are widened at a time, 8 MiB of a file: a mapped file's pages are given back after each. */
const SLICE_NUMBERS = 2 ** 22;

/** Makes f32 of numbers in 16 bits, by ONNX Runtime in its threads. */
export class Widener {
  private readonly ort: OrtLibrary;
  private readonly options: Pick<NativeSessionOptions, "threads" | "config">;
  private readonly runOptions: RunOptions;
  private readonly sessions = new Map<"f16" | "bf16", Promise<NativeSession>>();

  constructor(ort: OrtLibrary, { threads, config }: Pick<NativeSessionOptions, "threads" | "config">) {
    this.ort = ort;
    this.options = { threads, config };
    this.runOptions = new RunOptions(ort);
  }

  async widen(dtype: "f16" | "bf16", shape: readonly number[], bits: Uint16Array): Promise<NativeValue> {
    const { ort, options, sessions } = this;
    const model = () => nodeModel({ type: codeOf(ortTypes[dtype]), to: codeOf("float32") });
    const opening = sessions.get(dtype) ?? NativeSession.create(ort, model(), options);
    sessions.set(dtype, opening);
    const session = await opening;
    const wide = NativeValue.allocate(ort, "float32", shape);
    const numbers = wide.data as Float32Array;
    for (let start = 0; start < bits.length; start += SLICE_NUMBERS) {
      const [from, to] = [bits, numbers].map((array) => array.subarray(start, start + SLICE_NUMBERS));
      const halves = NativeValue.over(ort, ortTypes[dtype], [from.length], from);
      const slice = NativeValue.over(ort, "float32", [to.length], to);
      try {
        await session.run(BigUint64Array.of(halves.pointer), BigUint64Array.of(slice.pointer), this.runOptions);
      } finally {
        halves.dispose();
        slice.dispose();
        releasePages(bits);
      }
    }
    return wide;
  }

  async dispose(): Promise<void> {
    for (const session of this.sessions.values()) (await session).dispose();
    this.runOptions.dispose();
  }
}
