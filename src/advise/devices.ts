/** GPUs that are common to rent or to have: what they hold, how fast they are, and what they cost. */

/** A GPU, by its data sheet. */
export interface Gpu {
  name: string;
  /** GiB. */
  memory: number;
  /** GB a second between memory and cores. */
  bandwidth: number;
  /** Dense products in f32, TFLOP/s, without tensor cores' shorter formats. */
  f32: number;
  /** Dense products in bf16 (f16 where there is no bf16) that are added in f32, TFLOP/s, without sparsity. */
  bf16: number;
  /** Of one card on demand, in US dollars an hour. */
  dollarsPerHour: number;
}

/** The prices are about as they were then, from memory. They change by the month: costs tell an order, and no bill. */
export const PRICES_DATE = "2025-06";

/** Share of the highest rate that training reaches: what PaLM, Llama 3 and MosaicML report is 0.35 to 0.5. */
export const TRAINING_UTILISATION = 0.4;

/** Share of the bandwidth that writing one token after another reaches, with the kernels of vLLM and llama.cpp. */
export const DECODE_UTILISATION = 0.6;

/**
 * Common cards, for estimates: noted from memory, and not looked up again; prices change. Memory, bandwidth and rates
 * as in the makers' data sheets (NVIDIA T4, L4, A10G, L40S, RTX A6000, A100, H100, H200, B200
 * and the Ampere, Ada and Blackwell GeForce white papers; AMD MI300X), dense, with sums in f32. Prices: on demand, of
 * one card, rounded: Google Cloud (T4, L4), AWS (A10G, L40S by g5.xlarge and g6e.xlarge), Lambda (A100, H100, B200) and
 * RunPod (GeForce, A6000, H200, MI300X).
 */
export const gpus: readonly Gpu[] = [
  { name: "T4", memory: 16, bandwidth: 320, f32: 8.1, bf16: 65, dollarsPerHour: 0.35 },
  { name: "RTX 3090", memory: 24, bandwidth: 936, f32: 35.6, bf16: 71, dollarsPerHour: 0.43 },
  { name: "L4", memory: 24, bandwidth: 300, f32: 30.3, bf16: 121, dollarsPerHour: 0.71 },
  { name: "A10G", memory: 24, bandwidth: 600, f32: 31.2, bf16: 70, dollarsPerHour: 1.01 },
  { name: "RTX 4090", memory: 24, bandwidth: 1008, f32: 82.6, bf16: 165, dollarsPerHour: 0.69 },
  { name: "RTX 5090", memory: 32, bandwidth: 1792, f32: 104.8, bf16: 209, dollarsPerHour: 0.94 },
  { name: "A100 40GB", memory: 40, bandwidth: 1555, f32: 19.5, bf16: 312, dollarsPerHour: 1.29 },
  { name: "L40S", memory: 48, bandwidth: 864, f32: 91.6, bf16: 362, dollarsPerHour: 1.86 },
  { name: "RTX A6000", memory: 48, bandwidth: 768, f32: 38.7, bf16: 155, dollarsPerHour: 0.76 },
  { name: "A100 80GB", memory: 80, bandwidth: 2039, f32: 19.5, bf16: 312, dollarsPerHour: 1.79 },
  { name: "H100 80GB", memory: 80, bandwidth: 3350, f32: 67, bf16: 989, dollarsPerHour: 2.99 },
  { name: "H200", memory: 141, bandwidth: 4800, f32: 67, bf16: 989, dollarsPerHour: 3.99 },
  { name: "B200", memory: 180, bandwidth: 8000, f32: 75, bf16: 2250, dollarsPerHour: 4.99 },
  { name: "MI300X", memory: 192, bandwidth: 5300, f32: 163.4, bf16: 1307, dollarsPerHour: 2.99 },
];
