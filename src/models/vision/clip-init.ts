/** First weights of CLIP and SigLIP. */
import { type Initializer, normalInit, type TransformerLayerConfig, xavierUniform } from "../../nn/index.ts";

/**
 * Of the layers of a tower. CLIP: by their width, and what is added to the residual by the number of layers too, as
 * transformers has it after Radford et al. 2019; SigLIP: Glorot and Bengio 2010.
 */
export function layerInits(
  { hiddenSize: width, numLayers }: { hiddenSize: number; numLayers: number },
  { isSiglip }: { isSiglip: boolean },
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
  { hiddenSize: width, initializerRange: range }: { hiddenSize: number; initializerRange: number },
  { isSiglip }: { isSiglip: boolean },
): Initializer => normalInit(isSiglip ? width ** -0.5 : range);
