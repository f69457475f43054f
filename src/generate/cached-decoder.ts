import type { EncoderDecoder } from "../models/index.ts";
import {
  broadcastTo,
  type CompiledFunction,
  compile,
  gather,
  reshape,
  slice,
  type Tensor,
  tensor,
} from "../tensor/index.ts";
import { KeyValueCache, type KeyValueCacheOptions } from "./key-value-cache.ts";

export type KeysAndValues = { k: Tensor<"f32">; v: Tensor<"f32"> };

/** What an encoder has read, for several texts of it; to be disposed of. */
export class EncodedSource {
  /** For each layer of the decoder. */
  readonly keysAndValues: KeysAndValues[];
  /** bool [1, S], false for padding; null where all counts. */
  readonly mask: Tensor<"bool"> | null;
  /** The tokens that were read; undefined for what is no text. */
  readonly inputIds: readonly number[] | undefined;

  constructor(keysAndValues: KeysAndValues[], mask: Tensor<"bool"> | null, inputIds?: readonly number[]) {
    this.keysAndValues = keysAndValues;
    this.mask = mask;
    this.inputIds = inputIds;
  }

  dispose(): void {
    for (const { k, v } of this.keysAndValues) {
      k.dispose();
      v.dispose();
    }
  }
}

/** ids [N, T], parents [N] or null for one beam, lengths [N], total [1], the encoder's mask, its keys and values. */
type StepInputs = [
  Tensor<"i32">,
  Tensor<"i32"> | null,
  Tensor<"i32">,
  Tensor<"i32">,
  Tensor<"bool"> | null,
  KeysAndValues[],
];

export interface DecoderRunOptions {
  /** Of which hypothesis of the last run each is the continuation. @default of that in its place */
  parents?: readonly number[];
  /** Ends the run. */
  signal?: AbortSignal;
}

/** The decoder of an encoder-decoder over a cache, for one text or for several hypotheses of it. */
export class CachedDecoder {
  readonly numBeams: number;
  private readonly cache: KeyValueCache;
  private readonly step: CompiledFunction<StepInputs, Tensor<"f32">>;

  constructor(
    model: EncoderDecoder,
    numBeams: number,
    options: Pick<KeyValueCacheOptions, "maxLength" | "cacheDtype" | "initialRoom">,
  ) {
    const { numLayers, numHeads: numKeyHeads, headDim } = model.cacheShape;
    this.numBeams = numBeams;
    this.cache = new KeyValueCache({ ...options, numLayers, numKeyHeads, headDim, batch: numBeams });
    const spread = <T extends Tensor>(x: T) => broadcastTo(x, [numBeams, ...x.shape.slice(1)]) as T;
    const step = (...[ids, parents, lengths, total, mask, read]: StepInputs) => {
      const { layers } = this.cache;
      const past = parents
        ? layers.map(({ k, v }) => ({ k: gather(k, parents, 0), v: gather(v, parents, 0) }))
        : layers;
      const encoderKeysAndValues = read.map(({ k, v }) => ({ k: spread(k), v: spread(v) }));
      const result = model.decode(ids, {
        cache: { layers: past, lengths, total },
        encoderMask: mask ? spread(mask) : undefined,
        encoderKeysAndValues,
      });
      this.cache.assign(result.layers);
      const length = ids.shape[1] as number;
      return model.logits(
        reshape(slice(result.hidden, { axis: 1, start: length - 1, end: length }), [numBeams, model.config.hiddenSize]),
      ); // [N, V]
    };
    // a run writes its own positions, and those before them stay as they were
    this.step = compile(step, { keepsPartialState: true });
  }

  /**
   * Runs new tokens and gives the logits after the last of them, f32 [V], for each hypothesis.
   * @param fresh new tokens of each hypothesis, as many of each
   * @param total tokens of each, the new ones included
   */
  async run(
    fresh: readonly (readonly number[])[],
    total: number,
    { mask, keysAndValues }: EncodedSource,
    { parents, signal }: DecoderRunOptions = {},
  ): Promise<Float32Array[]> {
    const { numBeams } = this;
    const i32 = (values: readonly number[], shape: readonly number[]) => tensor(Int32Array.from(values), { shape });
    await this.cache.reserve(total);
    const order = numBeams === 1 ? null : i32(parents ?? fresh.map((_, i) => i), [numBeams]);
    const lengths = i32(new Array<number>(numBeams).fill(total - 1), [numBeams]);
    const logits = await this.step.withSignal(signal)(
      i32(fresh.flat(), [numBeams, fresh[0].length]),
      order,
      lengths,
      i32([total], [1]),
      mask,
      keysAndValues as never,
    );
    const numbers = await logits.read();
    logits.dispose();
    const width = numbers.length / numBeams;
    return fresh.map((_, i) => numbers.slice(i * width, (i + 1) * width));
  }

  dispose(): void {
    this.step.dispose();
    this.cache.dispose();
  }
}
