/** Learned states before the texts of a language model. */
import { type CausalDecoder, type ForwardOptions, TextPrefix } from "../models/index.ts";
import { GrowingCache, type KeyValueCache, type LayerState, Parameter, type StateTensor } from "../nn/index.ts";
import {
  add,
  arange,
  broadcastTo,
  concat,
  full,
  gather,
  less,
  moveAxis,
  reshape,
  slice,
  type Tensor,
  where,
} from "../tensor/index.ts";
import { widened } from "./adapter.ts";

/** Positions of the tokens of a text behind so many others: i32 [B, T] */
function positionsBehind(count: number, inputIds: Tensor<"i32">, { positions }: ForwardOptions): Tensor<"i32"> {
  const [batch, length] = inputIds.shape;
  return broadcastTo(add(positions ?? arange(length), count), [batch, length]) as Tensor<"i32">;
}

/** Which of a text's tokens and of so many before them there are: bool [B, P + T] */
function maskBehind(count: number, { shape: [batch, length] }: Tensor<"i32">, mask: ForwardOptions["attentionMask"]) {
  const all = (size: typeof length) => full([batch, size], 1, "bool");
  return concat([all(count), mask ?? all(length)], 1);
}

type CachedOptions = Parameters<TextPrefix["cached"]>[2];

/** Rows [P, W] for what is at the first P positions, in place of states [B, T, W]. positions: i32 [B, T] */
function atFirst(rows: Tensor<"f32">, positions: Tensor<"i32">, states: Tensor<"f32">): Tensor<"f32"> {
  const isFirst = less(positions, rows.size(0)); // [B, T]
  const [batch, length] = positions.shape;
  return where(reshape(isFirst, [batch, length, 1]), gather(rows, where(isFirst, positions, 0), 0), states);
}

/** Learned embeddings before those of a text. Lester et al. 2021, arXiv:2104.08691, section 2. */
export class SoftPrompt extends TextPrefix {
  readonly prompt: Parameter; // [P, D]

  constructor(prompt: StateTensor) {
    super();
    this.prompt = new Parameter(prompt.shape, widened(prompt));
  }

  get stateCount(): number {
    return this.prompt.shape[0];
  }

  get length(): number {
    return this.prompt.shape[0];
  }

  cached(model: CausalDecoder, inputIds: Tensor<"i32">, options: CachedOptions): Tensor<"f32"> {
    const embeddings = atFirst(this.prompt.value, options.positions, model.embed(inputIds)); // [B, T, D]
    return model.hidden(inputIds, { ...options, embeddings });
  }

  hidden(model: CausalDecoder, inputIds: Tensor<"i32">, options: ForwardOptions): Tensor<"f32"> {
    const [batch] = inputIds.shape;
    const [count, width] = this.prompt.shape;
    const { attentionMask, embeddings = model.embed(inputIds) } = options;
    const prompt = broadcastTo(reshape(this.prompt.value, [1, count, width]), [batch, count, width]);
    const places = broadcastTo(arange(count), [batch, count]);
    return model.hidden(concat([full([batch, count], 0, "i32"), inputIds], 1), {
      ...options,
      embeddings: concat([prompt, embeddings], 1), // [B, P + T, D]
      positions: options.positions && concat([places, positionsBehind(count, inputIds, options)], 1),
      attentionMask: attentionMask && maskBehind(count, inputIds, attentionMask),
    }); // [B, P + T, D]
  }
}

/** Learned keys and values of each layer before those of a text. Li and Liang 2021, arXiv:2101.00190, section 4. */
export class KeyValuePrefix extends TextPrefix {
  readonly prompt: Parameter; // [P, 2 L K Dh]
  readonly stateCount = 0;

  constructor(prompt: StateTensor) {
    super();
    this.prompt = new Parameter(prompt.shape, widened(prompt));
  }

  get length(): number {
    return this.prompt.shape[0];
  }

  cached(model: CausalDecoder, inputIds: Tensor<"i32">, options: CachedOptions): Tensor<"f32"> {
    const { positions, cache } = options;
    const { numLayers } = model.cacheShape;
    const parts = reshape(this.prompt.value, [this.length, 2 * numLayers, -1]); // [P, 2 L, K Dh]
    const part = (i: number) => reshape(slice(parts, { axis: 1, start: i, end: i + 1 }), [this.length, -1]);
    const put = (i: number, states: Tensor<"f32">) => atFirst(part(i), positions, states); // [B, T, K Dh]
    const prefixed: KeyValueCache = {
      keyCount: cache.keyCount,
      positions: (length) => cache.positions(length),
      attend: (layer, q, k, v, settings) => cache.attend(layer, q, put(2 * layer, k), put(2 * layer + 1, v), settings),
    };
    return model.hidden(inputIds, { ...options, cache: prefixed });
  }

  hidden(model: CausalDecoder, inputIds: Tensor<"i32">, options: ForwardOptions): Tensor<"f32"> {
    const [batch] = inputIds.shape;
    const [count] = this.prompt.shape;
    const { numLayers, numKeyHeads, headDim } = model.cacheShape;
    const parts = reshape(this.prompt.value, [count, 2 * numLayers, numKeyHeads, headDim]);
    const byLayer = moveAxis(parts, 0, 2); // [2 L, K, P, Dh]
    const part = (i: number) =>
      broadcastTo(slice(byLayer, { start: i, end: i + 1 }), [batch, numKeyHeads, count, headDim]);
    const layers = Array.from({ length: numLayers }, (_, i): LayerState => ({ k: part(2 * i), v: part(2 * i + 1) }));
    const positions = positionsBehind(count, inputIds, options);
    const { attentionMask, ...rest } = options;
    const places = broadcastTo(arange(count), [batch, count]);
    const keyPositions = concat([places, positions], 1); // [B, P + T]
    const keyMask = maskBehind(count, inputIds, attentionMask);
    const cache = new GrowingCache(layers, { queryPositions: positions, keyPositions, keyMask });
    return model.hidden(inputIds, { ...rest, positions, cache });
  }
}
