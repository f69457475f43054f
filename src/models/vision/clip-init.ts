/** First weights of CLIP and SigLIP. */
import { type Initializer, normalInit, type TransformerLayerConfig, xavierUniform } from "../../nn/index.ts";

/** What decides how large the weights of a tower begin. */
interface Sizes {
  hiddenSize: number;
  numLayers: number;
  initializerRange: number;
}
interface Traits {
  isSiglip: boolean;
}

/**
 * Of the layers of a tower. CLIP: by their width, and what is added to the residual by the number of layers too, as
 * transformers has it after Radford et al. 2019; SigLIP: Glorot and Bengio 2010.
 */
export function layerInits(
  { hiddenSize: width, numLayers }: Pick<Sizes, "hiddenSize" | "numLayers">,
  { isSiglip }: Traits,
): Pick<TransformerLayerConfig, "init" | "inits"> {
  if (isSiglip) return { init: xavierUniform };
  const small = normalInit((width * 2 * numLayers) ** -0.5);
  return {
    init: small,
    inits: { output: normalInit(width ** -0.5), up: normalInit((2 * width) ** -0.5), down: small },
  };
}

/** Of a table of tokens or places: in CLIP by initializer_range, in SigLIP by its width. */
export const tableInit = (
  { hiddenSize: width, initializerRange: range }: Pick<Sizes, "hiddenSize" | "initializerRange">,
  { isSiglip }: Traits,
): Initializer => normalInit(isSiglip ? width ** -0.5 : range);
