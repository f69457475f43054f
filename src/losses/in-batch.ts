/** Contrastive losses in which the rest of the batch is what a row is to be told from. */
import { type FloatDType, known, numberRules, requireNumbers } from "../base/index.ts";
import {
  add,
  arange,
  concat,
  crossEntropy,
  exp,
  l2Normalize,
  matmul,
  mul,
  reshape,
  type Tensor,
  transpose,
} from "../tensor/index.ts";
import { type ReductionOptions, requireSame } from "./reduction.ts";

/** What queries are compared with, and how sharply. */
export interface InfoNceOptions<D extends FloatDType> extends ReductionOptions {
  /** Further vectors that belong to no query: [M, D]. @default none */
  negatives?: Tensor<D>;
  /** Cosines are divided by it, above 0. @default 0.07, MoCo's */
  temperature?: number;
  /** Brings vectors to length 1, which makes products cosines. @default true */
  normalize?: boolean;
  /** Adds the loss of positives that look for their query, and halves the sum. @default false */
  symmetric?: boolean;
}

/**
 * InfoNCE: the cross-entropy of finding a query's positive among the positives of all queries, and the negatives.
 * queries and positives: [N, D] -> [], or [N] without a reduction. Van den Oord et al. 2018, arXiv:1807.03748; with
 * these defaults that of He et al. 2019, arXiv:1911.05722.
 * @throws OptionError for temperature not above 0
 */
export function infoNceLoss<D extends FloatDType>(
  queries: Tensor<D>,
  positives: Tensor<NoInfer<D>>,
  options: InfoNceOptions<NoInfer<D>> = {},
): Tensor<D> {
  const {
    negatives,
    temperature = 0.07,
    normalize = true,
    symmetric = false,
    reduction,
  } = known("infoNceLoss", options, {
    ...({ negatives: true, temperature: true, normalize: true, symmetric: true } as const),
    reduction: true,
  });
  requireNumbers("infoNceLoss", { temperature }, { temperature: numberRules.positive });
  requireSame("infoNceLoss", { queries, positives });
  const direction = (x: Tensor<D>) => (normalize ? l2Normalize(x) : x);
  const [from, to] = [direction(queries), direction(positives)];
  const candidates = negatives ? concat([to, direction(negatives)], 0) : to;
  const find = (rows: Tensor<D>, among: Tensor<D>) =>
    crossEntropy(matmul(rows, among, { transposeB: true, scale: 1 / temperature }), arange(rows.shape[0]), {
      reduction,
    });
  const forth = find(from, candidates);
  return symmetric ? mul(add(forth, find(to, from)), 0.5) : forth;
}

/**
 * CLIP's loss: the mean of the cross-entropies of finding the text of each image and the image of each text by their
 * cosines times exp(logitScale), which is learned. images and texts: [N, D], logitScale: [] or [1] -> []. Radford et
 * al. 2021, arXiv:2103.00020, figure 3.
 */
export function clipLoss<D extends FloatDType>(
  images: Tensor<D>,
  texts: Tensor<NoInfer<D>>,
  logitScale: Tensor<NoInfer<D>>,
): Tensor<D> {
  requireSame("clipLoss", { images, texts });
  const cosines = matmul(l2Normalize(images), l2Normalize(texts), { transposeB: true }); // [N, N]
  const logits = mul(cosines, exp(reshape(logitScale, [])));
  const pairs = arange(images.shape[0]);
  return mul(add(crossEntropy(logits, pairs), crossEntropy(transpose(logits), pairs)), 0.5);
}
