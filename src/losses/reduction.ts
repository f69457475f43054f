import { type FloatDType, ShapeError } from "../base/index.ts";
import { type LossReduction, requireReduction } from "../ops/index.ts";
import { broadcastTo, cast, div, mul, sum, Tensor, tensor, where } from "../tensor/index.ts";

/** How the losses of a batch become one number. */
export interface ReductionOptions {
  /** "none" leaves them as they are; a mean of none is NaN, as in PyTorch. @default "mean" */
  reduction?: LossReduction;
}

/** The losses as they are, their sum, or their mean. [...] -> [...] or [] */
export function reduce<D extends FloatDType>(
  name: string,
  losses: Tensor<D>,
  reduction: LossReduction = "mean",
): Tensor<D> {
  requireReduction(name, reduction);
  if (reduction === "none") return losses;
  return reduction === "sum" ? sum(losses) : div(sum(losses), sizeOf(losses));
}

/** How many elements there are, as a number of their dtype: of nothing 0. */
function sizeOf<D extends FloatDType>(x: Tensor<D>): Tensor<D> {
  return sum(broadcastTo(cast(tensor(1), x.dtype), x.shape));
}

/**
 * The mean, or the sum, over what counts: `mask`, of the leading axes of the losses. Without a reduction what does not
 * count is 0. losses: [A, ...], mask: bool [A]
 */
export function reduceMasked<D extends FloatDType>(
  name: string,
  losses: Tensor<D>,
  { mask, reduction = "mean" }: ReductionOptions & { mask?: Tensor<"bool"> },
): Tensor<D> {
  if (!mask) return reduce(name, losses, reduction);
  requireReduction(name, reduction);
  const leading = losses.shape.slice(0, mask.rank);
  requireSame(name, { mask: mask.shape, "leading axes of the losses": leading });
  const counts = broadcastTo(
    mask.reshape([...mask.shape, ...losses.shape.slice(mask.rank).map(() => 1)]),
    losses.shape,
  );
  const kept = where(counts, losses, 0);
  if (reduction === "none") return kept;
  return reduction === "sum" ? sum(kept) : div(sum(kept), sum(cast(counts, losses.dtype)));
}

/** Weighted losses: their mean is divided by the number of losses, not by the weights. */
export const weighted = <D extends FloatDType>(losses: Tensor<D>, weight: Tensor<NoInfer<D>> | undefined): Tensor<D> =>
  weight ? mul(losses, weight) : losses;

type Shapes = Readonly<Record<string, Tensor["shape"] | Tensor>>;

/** @throws ShapeError for tensors of several shapes: broadcasting [N, 1] with [N] would be a mistake */
export function requireSame(where: string, shapes: Shapes): void {
  const entries = Object.entries(shapes).map(([name, x]) => [name, x instanceof Tensor ? x.shape : x] as const);
  if (entries.every(([, shape]) => String(shape) === String(entries[0][1]))) return;
  throw new ShapeError({
    where,
    expected: `the same shape of ${entries.map(([name]) => name).join(" and ")}`,
    received: entries.map(([name, shape]) => `${name} [${shape.map(String).join(", ")}]`).join(", "),
    fix: "reshape one of them",
  });
}
