import {
  add,
  customGradient,
  exp,
  full,
  greaterEqual,
  less,
  linear,
  logAddExp,
  logicalAnd,
  logSumExp,
  matmul,
  mul,
  reshape,
  scatterAdd,
  square,
  stack,
  sub,
  sum,
  type Tensor,
  takeAlong,
  tanh,
  unsqueeze,
  unstack,
  where,
  zeros,
} from "../tensor/index.ts";
import { type Block, scanBlocks } from "./scan-blocks.ts";

type Numbers = Tensor<"f32">;
type Indices = Tensor<"i32">;

/** An output layer and the states that it is applied to: the logits of row i are cap(scale (W hidden[i] + bias)). */
export interface LinearHead {
  /** [N, D] */
  hidden: Numbers;
  /** [V, D] */
  weight: Numbers;
  /** [V] */
  bias?: Numbers;
  /** Factor on logits. */
  scale: number;
  /** Bound of logits, by cap tanh(x / cap). */
  softCap?: number;
}
/** How many classes at a time, and what is asked for. */
export interface RowStatisticsOptions {
  chunk: number;
  hasTotal: boolean;
}

/** Of each row: log(sum(exp(logits))), the logit of its class and, where it is asked for, the sum of the logits. [N] */
export interface RowStatistics {
  logSum: Numbers;
  picked: Numbers;
  total?: Numbers;
}

/**
 * What losses need of logits [N, V], computed for at most `chunk` classes at a time, so that all logits never exist at
 * once: not here, and not for the gradient, which computes them again. That costs a fourth product of hidden states and
 * weight where there were three, and no sum over parts: each class has its part of the weight's gradient once. Blocks
 * of rows would need no fourth product, but would add up a gradient as large as the weight for each of them, and keep
 * two of it. classes: i32 [N]; the logit of what is no class is 0. After Wijmans et al. 2024, arXiv:2411.09009.
 */
export function rowStatistics(
  layer: LinearHead,
  classes: Indices,
  { chunk, hasTotal }: RowStatisticsOptions,
): RowStatistics {
  const { hidden, weight, bias } = layer;
  const run = customGradient(
    (hidden: Numbers, weight: Numbers, ...rest: Numbers[]) => {
      const [rows] = hidden.shape;
      const init = {
        logSum: full([rows], Number.NEGATIVE_INFINITY),
        picked: zeros([rows]),
        ...(hasTotal && { total: zeros([rows]) }),
      };
      const inputs = { ...layer, hidden, weight, bias: rest.at(0) };
      const { carry } = scanBlocks(inputs, chunk, init, (before, block) => {
        const logits = blockLogits(inputs, block);
        const { isInside, places } = placesIn(block, classes);
        const picked = where(isInside, reshape(takeAlong(logits, places, 1), [rows]), 0);
        return {
          carry: {
            logSum: logAddExp(before.logSum, logSumExp(logits, { axes: 1 })),
            picked: add(before.picked, picked),
            ...(before.total && { total: add(before.total, sum(logits, { axes: 1 })) }),
          },
          y: {},
        };
      });
      return stack(Object.values(carry), 0); // [2, N] or [3, N]
    },
    (dy, [hidden, weight, ...rest], y) => {
      const inputs = { ...layer, hidden, weight, bias: rest.at(0) };
      const { carry, y: dWeights } = scanBlocks(inputs, chunk, zeros(hidden.shape), (before, block) => {
        const dLogits = blockGradient(inputs, block, classes, { dy, y }); // [N, C]
        return {
          carry: add(before, matmul(dLogits, block.weight)),
          y: {
            weight: matmul(dLogits, hidden, { transposeA: true }),
            ...(block.bias && { bias: sum(dLogits, { axes: 0 }) }),
          },
        };
      });
      return [carry, dWeights.weight, ...(dWeights.bias ? [dWeights.bias] : [])];
    },
  );
  const [logSum, picked, total] = unstack(bias ? run(hidden, weight, bias) : run(hidden, weight));
  return { logSum, picked, total };
}

/** [N, C] */
function blockLogits({ hidden, scale, softCap }: LinearHead, { weight, bias }: Block): Numbers {
  const product = bias
    ? linear(hidden, weight, bias, { transposeB: true })
    : matmul(hidden, weight, { transposeB: true });
  const scaled = scale === 1 ? product : mul(product, scale);
  return softCap ? mul(tanh(mul(scaled, 1 / softCap)), softCap) : scaled;
}

/** Where in a block the classes stand, [N, 1], and whether they do, [N]. */
function placesIn({ weight, start }: Block, classes: Indices): { isInside: Tensor<"bool">; places: Indices } {
  const at = sub(classes, start);
  const isInside = logicalAnd(greaterEqual(at, 0), less(at, weight.size(0)));
  return { isInside, places: reshape(where(isInside, at, 0), [-1, 1]) };
}

/**
 * What the product of a block gets of the cotangents of the statistics, with p the softmax over all classes:
 * dLogSum p + dPicked at the class + dTotal, then back through cap and scale. [N, C]
 */
function blockGradient(
  layer: LinearHead,
  block: Block,
  classes: Indices,
  { dy, y }: { dy: Numbers; y: Numbers },
): Numbers {
  const { scale, softCap } = layer;
  const logits = blockLogits(layer, block);
  const [dLogSum, dPicked, dTotal] = unstack(unsqueeze(dy, 2)); // [N, 1]
  const [logSum] = unstack(unsqueeze(y, 2));
  const { isInside, places } = placesIn(block, classes);
  const probabilities = exp(sub(logits, logSum)); // [N, C]
  const atClass = where(reshape(isInside, [-1, 1]), dPicked, 0);
  const through = mul(probabilities, dLogSum);
  const dLogits = scatterAdd(dTotal ? add(through, dTotal) : through, places, atClass, 1);
  const dScaled = softCap ? mul(dLogits, sub(1, square(mul(logits, 1 / softCap)))) : dLogits;
  return scale === 1 ? dScaled : mul(dScaled, scale);
}
