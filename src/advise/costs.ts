/** Time and money of an estimate on devices. */
import { DECODE_UTILISATION, type Gpu, TRAINING_UTILISATION } from "./devices.ts";
import type { ServingEstimate } from "./serving.ts";
import type { TrainingEstimate } from "./training.ts";

const GIB = 2 ** 30;
/** Share of a card's memory that a program may have; the rest is the driver's and the libraries'. */
const USABLE = 0.9;

/** What work takes on a device. */
export interface DeviceCost {
  device: string;
  /** Cards over which what is kept is spread, where it does not fit on one. */
  cards: number;
  /** Tokens of training or of all texts together, a second. */
  tokensPerSecond: number;
  /** Of all tokens that were asked for. */
  seconds: number;
  /** US dollars; undefined for this machine. */
  dollars?: number;
}

/** Tokens of training that a device takes in a second, where it reaches so many FLOP/s. */
export const trainingRate = ({ items, flops }: TrainingEstimate, flopsPerSecond: number): number =>
  (items * flopsPerSecond) / flops;

/** Training on a GPU, of so many tokens. Cards share the work without loss. */
export function trainingCost(estimate: TrainingEstimate, gpu: Gpu, tokens: number): DeviceCost {
  const peak = 1e12 * (estimate.precision === "bf16" ? gpu.bf16 : gpu.f32);
  const cards = cardsFor(estimate.deviceBytes, gpu);
  return priced(gpu, { cards, tokensPerSecond: cards * trainingRate(estimate, peak * TRAINING_UTILISATION) }, tokens);
}

/**
 * Serving on a GPU, of so many tokens written: a step for all texts reads the weights once and each text's keys and
 * values, or computes, whichever takes longer.
 */
export function servingCost(estimate: ServingEstimate, gpu: Gpu, tokens: number): DeviceCost {
  const { totalBytes, weightBytes, bytesPerToken, flopsPerToken, concurrency } = estimate;
  const cards = cardsFor(totalBytes, gpu);
  const read = weightBytes + (bytesPerToken - weightBytes) * concurrency;
  const reading = read / (cards * gpu.bandwidth * 1e9 * DECODE_UTILISATION);
  const computing = (flopsPerToken * concurrency) / (cards * gpu.bf16 * 1e12 * TRAINING_UTILISATION);
  return priced(gpu, { cards, tokensPerSecond: concurrency / Math.max(reading, computing) }, tokens);
}

const cardsFor = (bytes: number, { memory }: Gpu) => Math.max(1, Math.ceil(bytes / (USABLE * memory * GIB)));

function priced(
  { name, dollarsPerHour }: Gpu,
  { cards, tokensPerSecond }: Pick<DeviceCost, "cards" | "tokensPerSecond">,
  tokens: number,
): DeviceCost {
  const seconds = tokens / tokensPerSecond;
  return { device: name, cards, tokensPerSecond, seconds, dollars: (seconds / 3600) * cards * dollarsPerHour };
}
