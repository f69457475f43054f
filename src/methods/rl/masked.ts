/** Sums and means over the tokens of completions. */
import { cast, clip, div, logicalAnd, mul, sum, type Tensor } from "../../tensor/index.ts";

type Numbers = Tensor<"f32">;

/** Mean of what the mask counts; 0 of nothing. x, mask: [N, C] -> [] */
export const maskedMean = (x: Numbers, mask: Numbers): Numbers => div(sum(mul(x, mask)), clip(sum(mask), { min: 1 }));

/** Share of the tokens for which all conditions hold. bool [N, C] each -> [] */
export const maskedShare = (conditions: readonly Tensor<"bool">[], mask: Numbers): Numbers =>
  maskedMean(
    cast(
      conditions.reduce((a, b) => logicalAnd(a, b)),
      "f32",
    ),
    mask,
  );
