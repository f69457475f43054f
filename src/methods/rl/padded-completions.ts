/** Completions as tensors, and what a model says of their tokens. */
import type { CausalLM, RunOptions } from "../../models/index.ts";
import {
  div,
  exp,
  gather,
  logSumExp,
  mul,
  neg,
  reshape,
  sub,
  sum,
  type Tensor,
  takeAlong,
  tensor,
} from "../../tensor/index.ts";
import type { Completion } from "./completions.ts";

/** Numbers of a batch on the host, of rows [N, T] with completions [N, C]. */
export interface HostCompletions {
  rows: number; // N
  width: number; // T
  length: number; // C
  inputIds: number[]; // [N, T], padded at the right
  attentionMask: number[]; // [N, T]
  /** Of each completion's token the place in the flat rows whose state tells it. */
  places: number[]; // [N, C]
  targets: number[]; // [N, C]
  /** 1 for tokens of completions. */
  mask: number[]; // [N, C]
  /** What else the loss needs, [N] or [N, C] each, by name. */
  extras: Record<string, number[]>;
  /** What was measured of them. */
  metrics: Record<string, number>;
}

/** The same as tensors; `extras` by their names. */
export interface CompletionTensors {
  inputIds: Tensor<"i32">; // [N, T]
  attentionMask: Tensor<"bool">; // [N, T]
  places: Tensor<"i32">; // [N, C]
  targets: Tensor<"i32">; // [N, C]
  mask: Tensor<"f32">; // [N, C]
  extras: Readonly<Record<string, Tensor<"f32">>>;
  metrics: Readonly<Record<string, Tensor<"f32">>>;
}

/** Lengths are multiples of this: each length is compiled for itself. */
const LEAST_MULTIPLE = 16;
/** Lengths there are at most. */
const LENGTHS = 8;

/** How far rows are padded. */
export interface PadOptions {
  padId: number;
  /** Most tokens of a completion. */
  maxNewTokens: number;
}

/** Completions behind their prompts, in rows of one width. */
export function padCompletions(
  completions: readonly Pick<Completion, "ids" | "prompt">[],
  { padId, maxNewTokens }: PadOptions,
): HostCompletions {
  const multiple = Math.max(LEAST_MULTIPLE, Math.ceil(maxNewTokens / LENGTHS));
  const up = (size: number) => Math.ceil(size / multiple) * multiple;
  const rows = completions.length;
  const width = up(Math.max(...completions.map(({ ids, prompt }) => prompt.ids.length + ids.length)));
  const length = Math.min(maxNewTokens, up(Math.max(...completions.map(({ ids }) => ids.length))));
  const filled = (size: number, value: number) => new Array<number>(rows * size).fill(value);
  const host = {
    ...{ inputIds: filled(width, padId), attentionMask: filled(width, 0) },
    ...{ places: filled(length, 0), targets: filled(length, padId), mask: filled(length, 0) },
  };
  for (const [row, { ids, prompt }] of completions.entries()) {
    const all = [...prompt.ids, ...ids];
    for (const [i, id] of all.entries()) {
      host.inputIds[row * width + i] = id;
      host.attentionMask[row * width + i] = 1;
    }
    const first = row * width + prompt.ids.length - 1; // whose state tells the first token
    for (let i = 0; i < length; i++) {
      host.places[row * length + i] = first + Math.min(i, ids.length - 1);
      if (i >= ids.length) continue;
      host.targets[row * length + i] = ids[i];
      host.mask[row * length + i] = 1;
    }
  }
  return { rows, width, length, ...host, extras: {}, metrics: {} };
}

/** The numbers of a batch as tensors. */
export function completionTensors(host: HostCompletions): CompletionTensors {
  const { rows, width, length, extras, metrics } = host;
  const ids = (values: number[], size: number) => tensor(Int32Array.from(values), { shape: [rows, size] });
  const numbers = (values: number[]) => tensor(Float32Array.from(values), { shape: shapeOf(values.length, rows) });
  const mapped = <T, R>(record: Record<string, T>, of: (value: T) => R) =>
    Object.fromEntries(Object.entries(record).map(([name, value]) => [name, of(value)]));
  return {
    inputIds: ids(host.inputIds, width),
    attentionMask: tensor(Uint8Array.from(host.attentionMask), { dtype: "bool", shape: [rows, width] }),
    places: ids(host.places, length),
    targets: ids(host.targets, length),
    mask: tensor(Float32Array.from(host.mask), { shape: [rows, length] }),
    extras: mapped(extras, numbers),
    metrics: mapped(metrics, (value) => tensor(value)),
  };
}

const shapeOf = (count: number, rows: number): number[] => (count === rows ? [rows] : [rows, count / rows]);

/** What a model says of the tokens of completions, [N, C] each. */
export interface TokenStatistics {
  /** Log probabilities, in nats. */
  logprobs: Tensor<"f32">;
  /** Entropies of what else might have stood there, in nats. */
  entropies: Tensor<"f32">;
  /** The states that tell the tokens, [N C, D]. */
  states: Tensor<"f32">;
}

/**
 * Log probabilities and entropies of the tokens of completions, in a trace. Logits are made for these tokens alone, and
 * divided by the temperature that texts are drawn with: so it is their distribution that is trained.
 */
export function tokenStatistics(
  model: CausalLM,
  { inputIds, attentionMask, places, targets }: CompletionTensors,
  { temperature, ...run }: RunOptions & { temperature: number },
): TokenStatistics {
  const [rows, length] = places.shape as [number, number];
  const { lastHiddenState } = model.forward({ inputIds, attentionMask, ...run }); // its logits are computed for nobody
  const width = lastHiddenState.size(2);
  const states = gather(reshape(lastHiddenState, [-1, width]), reshape(places, [-1]), 0); // [N C, D]
  const logits = div(model.logits(states), temperature); // [N C, V]
  const norms = logSumExp(logits, { axes: -1 }); // [N C]
  const logs = sub(logits, reshape(norms, [-1, 1])); // [N C, V]
  const entropies = neg(sum(mul(exp(logs), logs), { axes: -1 }));
  const logprobs = takeAlong(logs, reshape(targets, [-1, 1]), 1); // [N C, 1]
  const shaped = (x: Tensor<"f32">) => reshape(x, [rows, length]);
  return { logprobs: shaped(logprobs), entropies: shaped(entropies), states };
}
