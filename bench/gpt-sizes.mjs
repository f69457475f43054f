// @ts-check
/** The GPTs of the benchmarks, for Kindling and for the JavaScript peers; torch/workloads.py has the same. */
export const gptSizes = {
  "gpt-S": { vocab: 65, width: 128, heads: 4, layers: 4, batch: 12, context: 64 },
  "gpt-M": { vocab: 65, width: 384, heads: 6, layers: 6, batch: 12, context: 256 },
  "gpt-L": { vocab: 8192, width: 512, heads: 8, layers: 8, batch: 4, context: 512 },
};
